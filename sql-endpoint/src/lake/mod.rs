//! The lake as a table: the Parquet files that the commit log names, and no others.
//!
//! ```text
//! commit log ─► Moment (one a query) ─► files a predicate needs ─► Parquet scan ─► rows
//! ```
//!
//! Owns: which files a query reads, and how they are reached; the one room that knows `object_store`.
//! Does not own: reading Parquet, row groups that are passed over (the query engine).

mod moment;
mod objects;
mod pruning;
mod table;

pub use moment::LakeError;
pub(crate) use moment::{Lake, Moment};
pub(crate) use table::{LakeTable, Wanted};
