//! A company with stores all over France, and the sales it makes.
//!
//! seed, event times ──► Till ──► Sale
//!
//! Owns everything that is made up: regions, stores, products, customers, opening hours, curves.
//! Does not own how a sale is written or sent. The company itself never changes; the seed decides
//! what is sold, and equal seeds give equal sales.

pub mod regions;
pub mod stores;
mod assortment;
pub mod products;
pub mod calendar;
pub mod timeline;
pub mod till;
