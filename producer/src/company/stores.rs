//! The stores of the company: where they are, of what kind, and when they are open.
//!
//! Owns the store list and the opening hours. Does not own who comes at what hour (`calendar`).

use super::regions::REGIONS;

/// A kind of store. Each region has at least one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Large, at the edge of town.
    Hypermarket,
    /// The ordinary one.
    Supermarket,
    /// Small, in town, open late and on Sundays.
    Corner,
}

impl StoreKind {
    /// All kinds, in the order in which weights are listed elsewhere.
    pub const ALL: [StoreKind; 3] = [
        StoreKind::Hypermarket,
        StoreKind::Supermarket,
        StoreKind::Corner,
    ];

    /// Opening hours on a weekday (0 is Monday), in half hours since local midnight, as a
    /// half-open range.
    pub fn open_half_hours(self, weekday: u32) -> std::ops::Range<u32> {
        match (self, weekday == 6) {
            (StoreKind::Hypermarket, false) => 17..43, // 8:30 to 21:30
            (StoreKind::Supermarket, false) => 17..40, // 8:30 to 20:00
            (StoreKind::Hypermarket | StoreKind::Supermarket, true) => 18..25, // 9:00 to 12:30
            (StoreKind::Corner, false) => 15..44,      // 7:30 to 22:00
            (StoreKind::Corner, true) => 18..40,       // 9:00 to 20:00
        }
    }

    /// How many inhabitants, in thousands, one store of this kind serves.
    fn thousands_per_store(self) -> u32 {
        match self {
            StoreKind::Hypermarket => 700,
            StoreKind::Supermarket => 350,
            StoreKind::Corner => 400,
        }
    }
}

/// The identifiers of all stores, grouped by region and kind.
#[derive(Debug)]
pub struct Stores {
    ids: Vec<String>,
    /// Half-open ranges into `ids`, by region and kind.
    groups: Vec<[std::ops::Range<u32>; 3]>,
}

impl Stores {
    /// The company's stores: always the same.
    pub fn new() -> Self {
        let mut ids = Vec::new();
        let groups = REGIONS
            .iter()
            .map(|region| {
                StoreKind::ALL.map(|kind| {
                    let first = ids.len() as u32;
                    let stores = (region.thousands / kind.thousands_per_store()).max(1);
                    ids.extend((0..stores).map(|i| format!("S{:04}", first + i + 1)));
                    first..first + stores
                })
            })
            .collect();
        Self { ids, groups }
    }

    /// How many stores there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none; there always are some.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The identifier of a store, such as S0042.
    #[inline]
    pub fn id(&self, store: usize) -> &str {
        &self.ids[store]
    }

    /// The store of a region and kind that `pick` falls on. The same pick gives the same store,
    /// which is how a customer has a usual one.
    #[inline]
    pub fn of_kind(&self, region: usize, kind: usize, pick: u32) -> usize {
        let group = &self.groups[region][kind];
        (group.start + pick % (group.end - group.start)) as usize
    }

    /// Any store of a region: the one that prepares an order made on the web.
    #[inline]
    pub fn of_region(&self, region: usize, pick: u32) -> usize {
        let (first, end) = (self.groups[region][0].start, self.groups[region][2].end);
        (first + pick % (end - first)) as usize
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_every_kind_of_store() {
        let stores = Stores::new();
        for region in 0..REGIONS.len() {
            for kind in 0..StoreKind::ALL.len() {
                let store = stores.of_kind(region, kind, 0);
                assert!(stores.id(store).starts_with('S'));
            }
        }
        assert!(
            stores.len() > 300 && stores.len() < 10_000,
            "{}",
            stores.len()
        );
    }

    #[test]
    fn a_pick_stays_in_its_region() {
        let stores = Stores::new();
        let corsica: Vec<usize> = (0..10).map(|pick| stores.of_region(4, pick)).collect();
        let brittany: Vec<usize> = (0..100).map(|pick| stores.of_region(2, pick)).collect();
        assert!(corsica.iter().all(|store| !brittany.contains(store)));
    }
}
