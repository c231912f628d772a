//! What is in hand of one source partition: a batch that fills, batches that wait, one in flight.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::source::Message;

use super::Limits;
use super::batch::Batch;
use super::checkpoint::Claim;
use super::failure::DatabaseError;
use super::transaction::Written;

/// A batch being written, the bytes that it holds, and when that began.
pub(super) struct InFlight {
    pub(super) task: JoinHandle<Result<Written, DatabaseError>>,
    pub(super) bytes: usize,
    /// Dropped, it stops the writing.
    pub(super) _going_on: oneshot::Sender<()>,
}

/// One source partition that is claimed. Its batches are written one after the other.
pub(super) struct Lane {
    pub(super) claim: Claim,
    /// First offset that the database does not hold.
    pub(super) written: i64,
    pub(super) in_flight: Option<InFlight>,
    full: VecDeque<Batch>,
    open: Batch,
    /// When the first message of the open batch came.
    since: Option<Duration>,
    /// Bytes of `full`.
    full_bytes: usize,
    pub(super) last_ms: Option<i64>,
}

impl Lane {
    pub(super) fn new(claim: Claim) -> Self {
        Self {
            written: claim.next,
            in_flight: None,
            full: VecDeque::new(),
            open: Batch::new(claim.partition, claim.next),
            claim,
            since: None,
            full_bytes: 0,
            last_ms: None,
        }
    }

    /// First offset that was not read.
    pub(super) fn position(&self) -> i64 {
        self.open.next
    }

    /// Bytes held, those in flight included.
    pub(super) fn bytes(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, |flight| flight.bytes);
        in_flight + self.full_bytes + self.open.bytes()
    }

    pub(super) fn push(&mut self, message: &Message<'_>, limits: &Limits, now: Duration) {
        self.since.get_or_insert(now);
        self.last_ms = message.timestamp_ms.or(self.last_ms);
        self.open.push(message);
        if self.open.len() >= limits.batch_messages || self.open.bytes() >= limits.batch_bytes {
            self.close();
        }
    }

    /// There is no message before `next` any more.
    pub(super) fn advance(&mut self, next: i64, now: Duration) {
        if next > self.open.next {
            self.since.get_or_insert(now);
            self.open.advance(next);
        }
    }

    fn close(&mut self) {
        let next = Batch::new(self.claim.partition, self.open.next);
        let full = std::mem::replace(&mut self.open, next);
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
