//! The one place that wires the stages, and the loop that drives them.
//!
//! ```text
//! Source::poll ─► OpenCut (decode, partition, batch, stage) ─► Log::commit ─► Log::publish ─► acknowledge
//! ```
//!
//! Owns: the order of things, from an assignment to an acknowledged commit, and what follows from a
//! failure: everything in hand is dropped, and reading begins again where the log stands.
//! Does not own: any decision about what the log admits (`commit`).
//!
//! One thread polls, decodes and encodes; what waits for a store runs on the runtime beside it, so
//! that cut N + 1 fills while cut N is being committed.

pub mod assemble;
pub mod cut;
mod assign;
mod commit;
mod session;
mod upkeep;
mod engine;
mod outage;
mod read_times;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parquet::errors::ParquetError;
use tokio::sync::watch;

use crate::batch::Rotation;
use crate::commit::CommitError;
use crate::commit::record::Definition;
use crate::member::{MemberParts, RunMode, Stop};
use crate::settings::FirstStart;
use crate::source::SourceError;
use crate::store::Store;

use cut::OpenCut;

pub(crate) use commit::data_file;
pub use upkeep::UpkeepPlan;

/// Makes an empty cut for a session, whose name goes into the names of its files.
pub type MakeCut = Box<dyn FnMut(&str) -> Result<OpenCut, ParquetError> + Send>;

/// Everything that a writer is made of.
pub struct WriterParts {
    /// What reads the topic.
    pub member: MemberParts,
    /// The table's store, probed.
    pub store: Arc<dyn Store>,
    /// What the table must be, or becomes at its first start.
    pub definition: Definition,
    /// Makes a cut for each session.
    pub make_cut: MakeCut,
    /// When a commit happens.
    pub rotation: Rotation,
    /// Where a source partition without a log entry begins.
    pub first_start: FirstStart,
    /// Id of a re-created topic that may follow the one in the log.
    pub accept_topic_id: Option<String>,
    /// Whether offsets that retention took before they were read are passed over.
    pub accept_lost_offsets: bool,
    /// When the log is checkpointed and the stage swept.
    pub upkeep: UpkeepPlan,
}

impl std::fmt::Debug for WriterParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterParts")
            .field("store", &self.store)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Commits published.
    pub commits: u64,
    /// Rows in them.
    pub rows: u64,
    /// Data files in them.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Dead letters in them.
    pub dead_letters: u64,
    /// Tombstones in them.
    pub tombstones: u64,
    /// Times that everything in hand was dropped and read again.
    pub restarts: u64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The source.
    #[error("failed to read the topic: {0}")]
    Source(#[from] SourceError),
    /// The log or the store.
    #[error("failed to commit: {0}")]
    Commit(#[from] CommitError),
    /// The schema.
    #[error("Parquet cannot hold a column of the schema: {0}")]
    Parquet(#[from] ParquetError),
    /// What was in hand could not be committed in time. Nothing is lost: the next start reads it
    /// again.
    #[error(
        "stopped with rows in hand that could not be committed within {0:?}; the next start reads \
         them again"
    )]
    DrainTimeout(std::time::Duration),
}

/// Runs a writer on the calling thread until it is over.
///
/// # Errors
/// See [`WriterError`]; what can be waited out is waited out and is no error.
pub fn run(
    parts: WriterParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, WriterError> {
    engine::Engine::new(parts, mode, stop).run()
}
