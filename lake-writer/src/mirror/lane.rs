//! What is in hand of some source partitions: a batch that fills, batches that wait, one in flight.
//!
//! ```text
//! Message ─► Lanes: the one of its partition ─► open batch ─► full batches ─► one in flight
//! ```
//!
//! A lane's partitions are written together: their sales meet in the same rollups, so that one update
//! serves all of them. Its batches are written one after the other, those of several lanes at once.
//!
//! Owns: which lane a partition belongs to, when a batch is due.
//! Does not own: claims and their order (`engine::partitions`), the writing (`engine::writing`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::source::Message;

use super::Limits;
use super::batch::Batch;
use super::checkpoint::{Claim, ServerSession};
use super::failure::DatabaseError;
use super::learned::Learned;
use super::write::Written;

/// A batch being written, the bytes that it holds, and when that began.
pub(super) struct InFlight {
    pub(super) task: JoinHandle<Result<Written, DatabaseError>>,
    pub(super) bytes: usize,
    /// Dropped, it stops the writing.
    pub(super) _going_on: oneshot::Sender<()>,
}

/// A source partition that is claimed, and how far it is.
pub(super) struct Held {
    /// Its `next` is the first offset that the database does not hold.
    pub(super) claim: Claim,
    /// First offset that was not read.
    pub(super) position: i64,
    /// When the newest message that was read came to the broker.
    pub(super) last_ms: Option<i64>,
}

/// Some source partitions that are written together.
pub(super) struct Lane {
    pub(super) server_session: ServerSession,
    pub(super) held: BTreeMap<i32, Held>,
    pub(super) learned: Arc<Mutex<Learned>>,
    pub(super) in_flight: Option<InFlight>,
    full: VecDeque<Batch>,
    open: Batch,
    /// When the first message of the open batch came.
    since: Option<Duration>,
    /// Bytes of `full`.
    full_bytes: usize,
}

impl Lane {
    fn new(server_session: ServerSession, limits: &Limits) -> Self {
        Self {
            server_session,
            learned: Arc::new(Mutex::new(Learned::new(limits.batch_messages))),
            held: BTreeMap::new(),
            in_flight: None,
            full: VecDeque::new(),
            open: Batch::default(),
            since: None,
            full_bytes: 0,
        }
    }

    /// Bytes held, those in flight included.
    fn bytes(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, |flight| flight.bytes);
        in_flight + self.full_bytes + self.open.bytes()
    }

    fn push(&mut self, message: &Message<'_>, limits: &Limits, now: Duration) {
        let Some(held) = self.held.get_mut(&message.partition) else {
            return;
        };
        held.position = message.offset + 1;
        held.last_ms = message.timestamp_ms.or(held.last_ms);
        self.since.get_or_insert(now);
        self.open.push(message);
        if self.open.len() >= limits.batch_messages || self.open.bytes() >= limits.batch_bytes {
            self.close();
        }
    }

    fn advance(&mut self, partition: i32, next: i64, now: Duration) {
        let Some(held) = self.held.get_mut(&partition) else {
            return;
        };
        if next > held.position {
            held.position = next;
            self.since.get_or_insert(now);
            self.open.advance(partition, next);
        }
    }

    fn close(&mut self) {
        let full = std::mem::take(&mut self.open);
        self.full_bytes += full.bytes();
        self.full.push_back(full);
        self.since = None;
    }

    /// The batch to write next, if one is due and none is being written.
    pub(super) fn due(
        &mut self,
        limits: &Limits,
        now: Duration,
        in_any_case: bool,
    ) -> Option<Batch> {
        if self.in_flight.is_some() {
            return None;
        }
        let is_old = self
            .since
            .is_some_and(|since| now.saturating_sub(since) >= limits.batch_age);
        if self.full.is_empty() && self.open.has_moved() && (is_old || in_any_case) {
            self.close();
        }
        let batch = self.full.pop_front()?;
        self.full_bytes -= batch.bytes();
        Some(batch)
    }

    /// Whether anything was read and is not written.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_some() || !self.full.is_empty() || self.open.has_moved()
    }
}

/// All lanes of a session, and which one a partition belongs to.
pub(super) struct Lanes {
    pub(super) all: Vec<Lane>,
    of: BTreeMap<i32, usize>,
}

impl Lanes {
    /// A lane for each session of the server.
    pub(super) fn new(server_sessions: Vec<ServerSession>, limits: &Limits) -> Self {
        let lane = |server_session| Lane::new(server_session, limits);
        Self {
            all: server_sessions.into_iter().map(lane).collect(),
            of: BTreeMap::new(),
        }
    }

    /// Which lanes these partitions are to join: those with the fewest, so that all have about as many.
    pub(super) fn places(&self, partitions: &[i32]) -> Vec<(i32, usize)> {
        let mut sizes: Vec<usize> = self.all.iter().map(|lane| lane.held.len()).collect();
        let mut place = |partition: &i32| {
            let smallest = (0..sizes.len())
                .min_by_key(|lane| sizes[*lane])
                .unwrap_or(0);
            sizes[smallest] += 1;
            (*partition, smallest)
        };
        partitions.iter().map(&mut place).collect()
    }

    /// Takes a claimed partition into a lane, to be read from `low` on where it has begun there.
    /// Returns the first offset to read.
    pub(super) fn join(&mut self, lane: usize, claim: Claim, low: i64, now: Duration) -> i64 {
        let (partition, next) = (claim.partition, claim.next);
        let held = Held {
            claim,
            position: next,
            last_ms: None,
        };
        self.all[lane].held.insert(partition, held);
        self.of.insert(partition, lane);
        self.all[lane].advance(partition, low, now);
        next.max(low)
    }

    /// Gives a partition up. What was read of it must have been written, or be dropped with the session.
    pub(super) fn leave(&mut self, partition: i32) -> Option<Claim> {
        let lane = self.of.remove(&partition)?;
        let held = self.all[lane].held.remove(&partition);
        held.map(|held| held.claim)
    }

    /// Partitions that are held, in order.
    pub(super) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.of.keys().copied()
    }

    /// What is held of a partition.
    pub(super) fn held(&self, partition: i32) -> Option<&Held> {
        let lane = self.of.get(&partition)?;
        self.all[*lane].held.get(&partition)
    }

    /// The lane of a partition.
    pub(super) fn of(&self, partition: i32) -> Option<&Lane> {
        self.of.get(&partition).map(|lane| &self.all[*lane])
    }

    /// Everything before `next` is in the database.
    pub(super) fn written(&mut self, partition: i32, next: i64) {
        if let Some(lane) = self.of.get(&partition)
            && let Some(held) = self.all[*lane].held.get_mut(&partition)
        {
            held.claim.next = next;
        }
    }

    /// Takes a message into the open batch of its lane; one of a partition that is not held is passed by.
    pub(super) fn push(&mut self, message: &Message<'_>, limits: &Limits, now: Duration) {
        if let Some(lane) = self.of.get(&message.partition) {
            self.all[*lane].push(message, limits, now);
        }
    }

    /// There is no message of this partition before `next` any more.
    pub(super) fn advance(&mut self, partition: i32, next: i64, now: Duration) {
        if let Some(lane) = self.of.get(&partition) {
            self.all[*lane].advance(partition, next, now);
        }
    }

    /// Whether no partition is held.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether anything was read and is not written.
    pub(super) fn is_busy(&self) -> bool {
        self.all.iter().any(Lane::is_busy)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.all.iter().map(Lane::bytes).sum()
    }
}
