//! SQL over the lake and its mirror, in the PostgreSQL wire protocol.
//!
//! ```text
//! client ─► server ─► engine ─► catalog ─┬─► lake: Parquet of committed offsets
//!                                        ├─► mirror: the sales of now, and their sums
//!                                        └─► both: every sale once
//! ```

pub mod catalog;
mod query;
mod yielding;
mod zone;
mod lake;
mod mirror;
mod both;
pub mod engine;
pub mod server;
pub mod cli;
#[cfg(test)]
mod fixtures;
