//! A member of the topic's consumer group, across all failures of what it writes to.
//!
//! ```text
//! Source ─► messages and ends ─► whoever writes them (`writer`, `mirror`)
//!    └────► events ─► assigned ─► their claims
//!                └──► asked back, lost ─► what they have in hand
//! ```
//!
//! Owns: what outlives a failure of theirs: the partitions that the group has given, how far a run is to
//! read, whether fetching is paused, and how long they wait before they begin again.
//! Does not own: claims, which alone say who may write, and where reading begins.

mod backoff;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::{Chance, Clock};
use crate::error_chain::ErrorChain;
use crate::source::{Message, Source, SourceError, SourceEvent, TopicIdentity, Watermarks};
use crate::telemetry::{Away, EngineState, Metrics};

use backoff::Backoff;

/// Wait for messages when nothing else is going on: bounds how late a stop is noticed, and what is due
/// by age.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Wait for messages while something is under way whose end should be noticed soon.
pub(crate) const BUSY_WAIT: Duration = Duration::from_millis(5);
/// How often lag is looked at, and how far others have come.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// When it is told to stop.
    Forever,
    /// When everything before the high watermarks seen at the start is published.
    UntilEnd,
}

/// What the process was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// Nothing.
    #[default]
    Go,
    /// Commit what is in hand, and stop.
    Drain,
}

/// What a member is made of.
pub struct MemberParts {
    /// Which one it is, in what it logs: `lake`, `mirror`.
    pub name: &'static str,
    /// The topic's consumer.
    pub source: Box<dyn Source>,
    /// Longest time that a revocation or a stop waits for what is in hand.
    pub drain_timeout: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and jitter.
    pub chance: Chance,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Where it runs what waits for a store.
    pub runtime: Handle,
}

impl std::fmt::Debug for MemberParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberParts")
            .field("name", &self.name)
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}

/// What the group has taken.
pub(crate) enum Taken {
    /// It asks these back: what was read of them can be written first.
    Asked(Vec<i32>),
    /// They are somebody else's already.
    Lost(Vec<i32>),
}

/// A member of the group.
pub(crate) struct Member {
    pub(crate) source: Box<dyn Source>,
    pub(crate) drain_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) runtime: Handle,
    name: &'static str,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
    assigned: BTreeSet<i32>,
    events: VecDeque<SourceEvent>,
    /// High watermarks seen at the start, for [`RunMode::UntilEnd`].
    targets: Option<BTreeMap<i32, i64>>,
    /// Whether fetching is stopped, by us.
    is_paused: bool,
    backoff: Backoff,
    is_proven: bool,
    restarts: u64,
}

impl Member {
    pub(crate) fn new(parts: MemberParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        let MemberParts {
            name,
            source,
            drain_timeout,
            clock,
            chance,
            metrics,
            runtime,
        } = parts;
        Self {
            source,
            drain_timeout,
            clock,
            chance,
            metrics,
            runtime,
            name,
            mode,
            stop,
            assigned: BTreeSet::new(),
            events: VecDeque::new(),
            targets: None,
            is_paused: false,
            backoff: Backoff::new(),
            is_proven: false,
            restarts: 0,
        }
    }

    /// Leaves the group.
    pub(crate) fn close(self) {
        self.metrics.state(EngineState::Stopped);
        self.source.close();
    }

    /// Whether the process was told to stop.
    pub(crate) fn told_to_stop(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// The topic as it is now. The first time it fixes how far a run to the end goes.
    pub(crate) fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        let topic = self.source.identify()?;
        if self.mode == RunMode::UntilEnd && self.targets.is_none() {
            self.targets = Some(self.ends(&topic)?);
        }
        Ok(topic)
    }

    /// High watermarks of all partitions of the topic.
    pub(crate) fn ends(
        &mut self,
        topic: &TopicIdentity,
    ) -> Result<BTreeMap<i32, i64>, SourceError> {
        let ends = self.watermarks(0..topic.partitions)?.into_iter();
        Ok(ends
            .map(|(partition, marks)| (partition, marks.high))
            .collect())
    }

    /// Watermarks as the brokers have them now.
    pub(crate) fn watermarks(
        &mut self,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Result<BTreeMap<i32, Watermarks>, SourceError> {
        let mut found = BTreeMap::new();
        for partition in partitions {
            found.insert(partition, self.source.watermarks(partition)?);
        }
        Ok(found)
    }
}

/// Reading.
impl Member {
    /// Hands waiting messages to `sink`. Returns the partitions that were read to their end, with the first
    /// offset that was not there: they follow these messages.
    pub(crate) fn poll(
        &mut self,
        is_busy: bool,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Vec<(i32, i64)>, SourceError> {
        let wait = if is_busy { BUSY_WAIT } else { IDLE_WAIT };
        let polled = self.source.poll(wait, sink)?;
        self.events.extend(polled.events);
        self.metrics.polled(self.clock.monotonic());
        self.metrics.consumed(polled.messages as u64);
        Ok(polled.ends)
    }

    /// Polls while nothing is being read: the group keeps us, events are kept for later. What was fetched
    /// before reading stopped is dropped; every partition is started anew before it is read again.
    pub(crate) fn poll_nothing(&mut self, wait: Duration) -> Result<(), SourceError> {
        let polled = self.source.poll(wait, &mut |_| {})?;
        self.events.extend(polled.events);
        self.metrics.polled(self.clock.monotonic());
        Ok(())
    }

    /// Stops fetching, or goes on.
    pub(crate) fn set_paused(&mut self, paused: bool) -> Result<(), SourceError> {
        if self.is_paused != paused {
            if paused {
                self.source.pause()?;
            } else {
                self.source.resume()?;
            }
            self.is_paused = paused;
        }
        Ok(())
    }

    /// Waits for work on the runtime while polling, so that the group keeps us.
    pub(crate) fn wait_for<T>(&mut self, task: JoinHandle<T>) -> Result<T, SourceError> {
        while !task.is_finished() {
            self.poll_nothing(BUSY_WAIT)?;
        }
        Ok(self.finished(task))
    }

    /// The result of a task that is over.
    pub(crate) fn finished<T>(&self, task: JoinHandle<T>) -> T {
        match self.runtime.block_on(task) {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => unreachable!("only a session that is over stops its tasks"),
        }
    }

    /// Behind by so many messages, and in time by the age of the last one that was read.
    pub(crate) fn report_lag(&self, partition: i32, next: i64, last_ms: Option<i64>) {
        let Some(high) = self.source.cached_high(partition) else {
            return;
        };
        let behind = (high - next).max(0);
        let now_ms = self.clock.wall_micros() / 1_000;
        let age_ms = match last_ms {
            Some(read_ms) if behind > 0 => u64::try_from(now_ms - read_ms).unwrap_or(0),
            _ => 0,
        };
        self.metrics.lag(partition, behind);
        self.metrics
            .lag_age(partition, Duration::from_millis(age_ms));
    }
}

/// Partitions that the group gives and takes.
impl Member {
    /// Takes note of what the group and the brokers have told, up to partitions that are taken.
    pub(crate) fn next_taken(&mut self) -> Option<Taken> {
        let member = self.name;
        while let Some(event) = self.events.pop_front() {
            match event {
                SourceEvent::Assigned(partitions) => {
                    tracing::info!(member, ?partitions, "assigned");
                    self.assigned.extend(partitions);
                }
                SourceEvent::Revoked(partitions) => {
                    tracing::info!(member, ?partitions, "revoked");
                    return Some(Taken::Asked(partitions));
                }
                SourceEvent::Lost(partitions) => {
                    tracing::warn!(member, ?partitions, "lost without being asked");
                    return Some(Taken::Lost(partitions));
                }
                SourceEvent::Away(reason) => {
                    tracing::warn!(
                        member,
                        reason,
                        "brokers are out of reach; the client keeps trying"
                    );
                    self.metrics.away(Away::Source, true);
                }
                SourceEvent::Back => {
                    tracing::info!(member, "brokers are back");
                    self.metrics.away(Away::Source, false);
                }
            }
        }
        None
    }

    /// Whether the group has given the partition, and not taken it since.
    pub(crate) fn is_assigned(&self, partition: i32) -> bool {
        self.assigned.contains(&partition)
    }

    /// Partitions that the group has given.
    pub(crate) fn assigned(&self) -> impl Iterator<Item = i32> {
        self.assigned.iter().copied()
    }

    /// Gives partitions up that were taken.
    pub(crate) fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        for partition in partitions {
            self.assigned.remove(partition);
        }
        self.metrics.released(partitions);
        self.source.release(partitions)
    }
}

/// How far a run to the end has come.
impl Member {
    /// Whether the run ends by itself.
    pub(crate) fn has_end(&self) -> bool {
        self.targets.is_some()
    }

    /// The offset before which a run to the end reads; 0 for partitions added since it began.
    pub(crate) fn target(&self, partition: i32) -> i64 {
        let targets = self.targets.as_ref();
        let target = targets.and_then(|targets| targets.get(&partition));
        target.copied().unwrap_or(0)
    }

    /// Whether others read partitions up to whose ends the run goes; `own` are those that we read.
    pub(crate) fn waits_for_others(&self, own: usize) -> bool {
        let targets = self.targets.as_ref();
        targets.is_some_and(|targets| targets.len() > own)
    }

    /// Whether everything before the ends is written, by us or by others. `written` is the first offset of
    /// each partition that is not.
    pub(crate) fn reached_end(&self, written: &BTreeMap<i32, i64>) -> bool {
        let is_reached = |(partition, target): (&i32, &i64)| {
            written.get(partition).is_some_and(|next| next >= target)
        };
        let targets = self.targets.as_ref();
        targets.is_some_and(|targets| targets.iter().all(is_reached))
    }
}

/// Failures of what is written to.
impl Member {
    /// The store answers: an outage, if there was one, is over.
    pub(crate) fn succeeded(&mut self) {
        self.is_proven = true;
        self.backoff.reset();
        self.metrics.away(Away::Store, false);
        self.metrics.state(EngineState::Running);
    }

    /// Whether this process has ever written to the store. What is refused from the first call on is a
    /// matter of settings, what is refused later may pass: a token that runs out, a quota.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Times that everything in hand was dropped and read again.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Waits a while after a failure, staying in the group. Said once for an outage, not at every try.
    /// `cause` labels a metric. Returns whether to begin again, which is not so once told to stop.
    pub(crate) fn begin_again(
        &mut self,
        cause: &'static str,
        error: &(dyn Error + 'static),
    ) -> bool {
        if self.told_to_stop() {
            return false;
        }
        self.restarts += 1;
        self.metrics.restart(cause);
        if self.backoff.is_reset() {
            tracing::warn!(
                member = self.name,
                cause,
                error = %ErrorChain(error),
                "dropped what was in hand; trying again until it works"
            );
        }
        if cause.starts_with("store") {
            self.metrics.away(Away::Store, true);
        }
        let until = self.clock.monotonic() + self.backoff.wait(&mut self.chance);
        while self.clock.monotonic() < until && !self.told_to_stop() {
            if let Err(error) = self.poll_nothing(IDLE_WAIT) {
                tracing::debug!(%error, "polling during an outage failed");
                self.clock.sleep(IDLE_WAIT);
            }
        }
        !self.told_to_stop()
    }

    /// Why a session ends whose partitions were lost.
    pub(crate) fn lost() -> SourceError {
        SourceError::Transient {
            action: "stay in the group".into(),
            reason: "partitions were taken away".into(),
        }
    }

    /// Why a session ends that could not write in time what the group asks back.
    pub(crate) fn not_in_time(waited: Duration) -> SourceError {
        SourceError::Transient {
            action: "write before giving partitions back".into(),
            reason: format!("not done within {waited:?}"),
        }
    }
}
