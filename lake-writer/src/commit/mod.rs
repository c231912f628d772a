//! The commit log: the one truth for offsets and live files.
//!
//! ```text
//! staged files ─► Log::commit ─► log/00000000000000000042.json ─► Log::publish ─► data/…
//! ```
//!
//! Owns: the format of records (`record`), what they add up to (`state`), how one is appended
//! (`append`, a state machine without I/O), and the I/O around it (`log`, `publish`, `sweep`).
//! Does not own: how files are made (`stage`) and when (`writer`), or what a store is (`store`).
//!
//! Three invariants carry the promise that a reader of `data/**/*.parquet` sees every row once:
//!
//! 1. Records are numbered without gaps, put only if absent and never changed, so that all writers
//!    fold the same history.
//! 2. A commit is put at number N + 1 only by a writer that has folded up to N and found that each
//!    of its ranges starts where the state ends, under an epoch that is still its own.
//! 3. A file reaches `data/` only after a record names it, and everything that a record names
//!    reaches `data/`, by its writer or by any writer that starts later.

pub mod record;
pub mod state;
pub mod append;
pub mod log;
mod publish;
pub mod sweep;

#[cfg(test)]
mod tests;

pub use log::{Log, fold, fold_showing};
pub use state::State;

use crate::store::{StoreError, TablePath};

/// What goes wrong with the log, by what there is to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store failed; what was being done may or may not have happened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another writer holds the source partitions now: everything in hand is dropped and read again
    /// by whoever holds them.
    #[error(transparent)]
    Fenced(#[from] state::Fenced),
    /// The log does not add up. A person has to look; writing on could double or lose rows.
    #[error("the commit log is broken at record {number}: {problem}")]
    Broken {
        /// Number of the record.
        number: u64,
        /// What does not add up.
        problem: String,
    },
    /// A record was written by a newer lake-writer.
    #[error(
        "record {number} of the commit log has format {found}, this lake-writer knows formats up to \
         {known}: use a newer lake-writer for this table"
    )]
    Newer {
        /// Number of the record.
        number: u64,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A committed file is neither staged nor published.
    #[error(
        "`{path}` of commit {number} is neither staged nor published: the rows of {ranges} have to \
         be written again from Kafka"
    )]
    LostFile {
        /// Number of the commit.
        number: u64,
        /// The file's final name.
        path: TablePath,
        /// The offset ranges of the commit, readable.
        ranges: String,
    },
    /// The table was made with another definition.
    #[error("{0}")]
    OtherTable(String),
}
