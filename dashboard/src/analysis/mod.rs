//! What only sales one by one can tell: how their amounts spread, how many customers, and what comes next.
//!
//! ```text
//! parts of the cube that changed ─► reader ─► sales of these parts ─► tallies ─► figures
//! sums by step ─► forecast ─► figures
//! ```
//!
//! Rollups hold counts and sums, from which neither a standard deviation nor different customers can be had.
//! So sales are read, each part of time once, and again when it has changed: see `docs/adr/0015`.
//!
//! Owns: the numbers and the reading. Does not own: which part of them a view shows (see `figures`).

#[cfg(test)]
mod chance;
mod moments;
mod customers;
mod bucket;
mod tallies;
mod reader;
pub mod forecast;

pub use bucket::{Bucket, Tally};
pub use customers::{CONFIDENCE, Estimate, Level};
pub use moments::Moments;
pub use reader::{Analysed, follow};
pub use tallies::{By, Coverage, Limits, Tallies, Work};
