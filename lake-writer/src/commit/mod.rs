//! The commit log: the one truth for offsets and live files.
//!
//! ```text
//! staged files ─► Log::commit ─► log/00000000000000000042.json ─► Log::publish ─► data/…
//!                                          │ every so many
//!                                          ▼
//!                        log/checkpoints/…, log/segments/… ─► older records are dropped
//! ```
//!
//! Owns: the formats (`record`, `segment`, `checkpoint`), what records add up to (`state`), how one
//! is appended (`append`, a state machine without I/O), and the I/O around it: reading (`boundary`,
//! `live`, `fold`, `follower`), writing (`offer`, `publish`, `log`), and keeping it short and clean (`upkeep`,
//! `sweep`).
//! Does not own: how files are made (`stage`) and when (`writer`), or what a store is (`store`).
//!
//! Four invariants carry the promise that a reader of `data/**/*.parquet` sees every row once:
//!
//! 1. Records are numbered without gaps, put only if absent and never changed, so that all writers
//!    fold the same history.
//! 2. A commit is put at number N + 1 only by a writer that has folded up to N and found that each
//!    of its ranges starts where the state ends, under an epoch that is still its own.
//! 3. A file reaches `data/` only after a record names it, and everything that a record names
//!    reaches `data/`, by its writer or by any writer that starts later, unless a later record has
//!    taken it out.
//! 4. Records are dropped only after a checkpoint holds what they add up to, and a record that is
//!    put where one was dropped does not count: whoever puts one looks afterwards.

pub mod record;
pub mod state;
pub mod append;
pub mod segment;
pub mod checkpoint;
mod boundary;
mod live;
mod fold;
mod follower;
mod offer;
mod publish;
pub mod log;
pub mod upkeep;
pub mod sweep;

#[cfg(test)]
mod tests;

pub use boundary::newest_checkpoint;
pub use fold::{fold, read_record, record_numbers, records};
pub use follower::Follower;
pub use live::{Snapshot, snapshot};
pub use log::Log;
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
    /// A checkpoint has passed this writer while it slept, so that it cannot tell whether its record
    /// stood before it was dropped. What is in hand is dropped, and read again where the log stands.
    #[error("the log was checkpointed up to record {boundary} while a record was being appended")]
    Outdated {
        /// Last record of the checkpoint.
        boundary: u64,
    },
    /// A file that was to be replaced cannot be. Nothing was appended.
    #[error("`{path}` cannot be replaced: {problem}")]
    NotLive {
        /// The file.
        path: TablePath,
        /// Why it cannot.
        problem: &'static str,
    },
    /// The log does not add up. A person has to look; writing on could double or lose rows.
    #[error("the commit log is broken at record {number}: {problem}")]
    Broken {
        /// Number of the record.
        number: u64,
        /// What does not add up.
        problem: String,
    },
    /// A checkpoint or a segment is not what was written. A person has to look.
    #[error("`{path}` of the commit log cannot be used: {problem}; restore it from a backup")]
    BrokenDocument {
        /// Its name.
        path: TablePath,
        /// What is wrong with it.
        problem: String,
    },
    /// A part of the log was written by a newer lake-writer.
    #[error(
        "{name} of the commit log has format {found}, this lake-writer knows formats up to {known}: \
         use a newer lake-writer for this table"
    )]
    Newer {
        /// Which part, such as `record 5`.
        name: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A committed file is neither staged nor published.
    #[error(
        "`{path}` of record {number} is neither staged nor published: the rows of {about} have to \
         be written again from Kafka"
    )]
    LostFile {
        /// Number of the record.
        number: u64,
        /// The file's final name.
        path: TablePath,
        /// The offset ranges of the commit, readable.
        about: String,
    },
    /// The table was made with another definition.
    #[error("{0}")]
    OtherTable(String),
}
