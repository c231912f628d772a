//! The 13 regions of metropolitan France and how many people live in each.
//!
//! Owns names (as the official geographic code spells them) and populations, rounded to the
//! thousand from the census of INSEE. They only have to be in proportion: sales follow them.

/// A region and its inhabitants in thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Official name.
    pub name: &'static str,
    /// Inhabitants, in thousands.
    pub thousands: u32,
}

/// All regions, by name.
pub const REGIONS: [Region; 13] = [
    region("Auvergne-Rhône-Alpes", 8_235),
    region("Bourgogne-Franche-Comté", 2_800),
    region("Bretagne", 3_430),
    region("Centre-Val de Loire", 2_573),
    region("Corse", 352),
    region("Grand Est", 5_560),
    region("Hauts-de-France", 5_980),
    region("Île-de-France", 12_360),
    region("Normandie", 3_327),
    region("Nouvelle-Aquitaine", 6_110),
    region("Occitanie", 6_100),
    region("Pays de la Loire", 3_890),
    region("Provence-Alpes-Côte d'Azur", 5_160),
];

const fn region(name: &'static str, thousands: u32) -> Region {
    Region { name, thousands }
}
