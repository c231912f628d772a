//! Writing again what was committed already, in the place of the files that hold it.
//!
//! ```text
//! log ─► Ledger ─► units (one a commit) ─► Rewriter: topic ─► Filling ─► Log::replace
//!                              files ─► Loader: Portions ─► Filling ─► Log::replace
//! ```
//!
//! Owns: what belongs to a commit by now, what speaks against writing it again, and doing so.
//! Does not own: decoding and files (`writer::cut`), the log (`commit`), what is to be written again
//! (`cli::repair` by the findings of `verify`, `cli::backfill` by offsets and times).
//!
//! A unit is a commit with all of its ranges: their messages become the same rows, dead letters and
//! tombstones again, or nothing is replaced. The log's counts therefore stay right, and a topic that
//! has lost messages since never makes the lake lose rows.

mod filling;
mod unit;
mod rewriter;
mod portions;
mod loader;
mod foreign;
mod plan;

#[cfg(test)]
mod loader_tests;
#[cfg(test)]
mod tests;

use parquet::errors::ParquetError;

use crate::commit::CommitError;
use crate::source::SourceError;
use crate::source::file::FileError;
use crate::store::StoreError;

pub use filling::Filling;
pub use foreign::move_out;
pub use loader::{ClaimedFile, FileName, Loaded, Loader};
pub use plan::Plan;
pub use portions::{Portion, Portions};
pub use rewriter::{Outcome, Rewriter, RewriterParts};
pub use unit::Unit;
pub(crate) use unit::units;

/// Why writing again came to a stop. What was replaced before stays replaced.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Brokers or topic.
    #[error("failed to read the topic: {0}")]
    Source(#[from] SourceError),
    /// The log.
    #[error("failed to replace files: {0}")]
    Commit(#[from] CommitError),
    /// The store.
    #[error("failed to write the table: {0}")]
    Store(#[from] StoreError),
    /// A file that is to be written into the table.
    #[error(transparent)]
    File(#[from] FileError),
    /// The table has these bytes already.
    #[error(
        "`{file}` has the same bytes as `{name}` of backfill {set}, so its rows are in the table \
         already: leave it out, or write it under that name and set"
    )]
    SameBytes {
        /// The file's name.
        file: String,
        /// The set that has them.
        set: String,
        /// And the file in it.
        name: String,
    },
    /// So many records that a file's number would not fit its column.
    #[error("the log has more than 2,147,483,647 records: no file can get a number any more")]
    NoNumbers,
    /// The schema.
    #[error("Parquet cannot hold a column of the schema: {0}")]
    Parquet(#[from] ParquetError),
}
