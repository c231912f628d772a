//! The live dashboard: a page and a read-only API over the sales that are mirrored to MongoDB.
//!
//! ```text
//! rollups in MongoDB ─► mirror ─► feed ─► cube ─► figures ─► web ─► page
//!   sales in MongoDB ─► mirror ─► analysis ─────────┘
//! ```

pub mod error_chain;
pub mod clock;
pub mod calendar;
pub mod decimal;
pub mod settings;
pub mod cube;
pub mod mirror;
pub mod feed;
pub mod analysis;
pub mod figures;
pub mod live;
pub mod web;
pub mod cli;
