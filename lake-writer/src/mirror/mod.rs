//! The topic in MongoDB: a consumer of its own, beside the lake's writer.
//!
//! ```text
//! Source::poll ─► Batch ─► Prepared (documents, dead letters) ─► one transaction: documents,
//!                                                                rollups, checkpoint
//! ```
//!
//! Owns: everything about MongoDB; the one room that knows its driver.
//! Does not own: decoding (`decode`), the topic (`source`). It shares nothing with the lake's writer
//! but these: neither waits for the other, and each has its checkpoint where it writes.

mod plan;
mod bytes;
pub mod decimal;
mod document;
mod command;
mod rollup;
mod batch;
mod prepared;
mod validation;
mod failure;
mod database;
mod checkpoint;
mod outcome;
mod transaction;
mod write;
mod totals;
mod keyed;
mod learned;
mod lane;
mod engine;
mod rebuild;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::member::{MemberParts, RunMode, Stop};
use crate::settings::{FirstStart, MongoDb};
use crate::source::SourceError;

pub use database::Mongo;
pub use failure::{DatabaseError, FailureKind};
pub use plan::{Plan, PlanError};
pub use rebuild::{Rebuild, Rebuilt};

/// Everything that a mirror is made of.
pub struct MirrorParts {
    /// What reads the topic, of the mirror's own group.
    pub member: MemberParts,
    /// The database.
    pub mongo: Mongo,
    /// What is mirrored, and how.
    pub plan: Arc<Plan>,
    /// When a transaction is due, and how much is held.
    pub limits: Limits,
    /// Where a mirror without checkpoints begins.
    pub first_start: FirstStart,
    /// Whether offsets that retention took before they were read are passed over.
    pub accept_lost_offsets: bool,
}

impl std::fmt::Debug for MirrorParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorParts")
            .field("place", &self.mongo.place())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// When a transaction is due, and how much may be held.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages of a transaction.
    pub batch_messages: usize,
    /// Bytes of those messages.
    pub batch_bytes: usize,
    /// Longest wait of a message for others.
    pub batch_age: Duration,
    /// Transactions in flight.
    pub transactions: usize,
    /// Bytes of messages that are not written yet.
    pub budget_bytes: usize,
}

impl Limits {
    /// As the settings have it.
    pub fn new(settings: &MongoDb) -> Self {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            batch_messages: size(settings.batch_max_messages),
            batch_bytes: size(settings.batch_max_bytes),
            batch_age: Duration::from_millis(settings.batch_max_age_ms),
            transactions: size(settings.transactions),
            budget_bytes: size(settings.budget_bytes),
        }
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Transactions committed.
    pub transactions: u64,
    /// Messages that became documents.
    pub documents: u64,
    /// Messages that became dead letters.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
    /// Times that everything in hand was dropped and read again.
    pub restarts: u64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The source.
    #[error("failed to read the topic: {0}")]
    Source(#[from] SourceError),
    /// The database.
    #[error("failed to mirror: {0}")]
    Database(#[from] DatabaseError),
    /// What was in hand could not be written in time. Nothing is lost: the next start reads it again.
    #[error(
        "stopped with messages in hand that could not be mirrored within {0:?}; the next start \
         reads them again"
    )]
    DrainTimeout(Duration),
}

/// Runs a mirror on the calling thread until it is over.
///
/// # Errors
/// See [`MirrorError`]; what can be waited out is waited out and is no error.
pub fn run(
    parts: MirrorParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, MirrorError> {
    engine::Engine::new(parts, mode, stop).run()
}
