//! What one session of the engine has in hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::commit::{CommitError, Log};
use crate::source::TopicIdentity;

use super::assign::{Claimed, Wanted};
use super::commit::{Committed, Held};
use super::cut::OpenCut;
use super::read_times::ReadTimes;
use super::upkeep::Upkeep;

/// One stretch between two failures.
pub(super) struct Session {
    pub(super) log: Arc<Mutex<Log>>,
    pub(super) cut: OpenCut,
    /// Claimed and being read.
    pub(super) reading: BTreeMap<i32, Held>,
    pub(super) claiming: Option<(Wanted, JoinHandle<Result<Claimed, CommitError>>)>,
    pub(super) committing: Option<JoinHandle<Result<Committed, CommitError>>>,
    pub(super) looking: Option<JoinHandle<Result<BTreeMap<i32, i64>, CommitError>>>,
    /// Whether the first claim says that the table begins at the latest messages.
    pub(super) begins_latest: bool,
    /// Next offset of each source partition as the log last had it.
    pub(super) published: BTreeMap<i32, i64>,
    pub(super) read_times: ReadTimes,
    pub(super) looked_at: Duration,
    /// How much earlier than the settings say the open cut is too old.
    pub(super) haste: Duration,
    pub(super) upkeep: Upkeep,
    /// When the topic's identity is looked at again before a commit, after it could not be.
    pub(super) identity_retry_at: Duration,
}

impl Session {
    pub(super) fn is_busy(&self) -> bool {
        self.claiming.is_some() || self.committing.is_some() || self.looking.is_some()
    }

    /// Stops what is under way. A task that is stopped in the middle is a crash as far as the log
    /// is concerned, which the next fold sorts out.
    pub(super) fn drop_work(&mut self) {
        self.cut.abandon();
        if let Some((_, claiming)) = &self.claiming {
            claiming.abort();
        }
        if let Some(committing) = &self.committing {
            committing.abort();
        }
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

/// First offset that is not committed, by number of the source partition.
pub(super) fn next_offsets(log: &Log, topic: &TopicIdentity) -> BTreeMap<i32, i64> {
    let sources = log.state().sources.iter();
    sources
        .filter(|(source, _)| source.topic_id == topic.topic_id)
        .map(|(source, state)| (source.partition, state.next))
        .collect()
}
