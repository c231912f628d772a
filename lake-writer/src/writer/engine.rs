//! The loop: poll, fill the cut, rotate, commit; and begin again where the log stands whenever
//! something fails.
//!
//! A *session* is one stretch between two failures: a log folded and rolled forward, claims, and
//! cuts read under them. What the group assigned outlives sessions; nothing else does.
//!
//! ```text
//! run ─► session ─► drive ─► poll ─► partitions (claims) ─► commits ─► progress ─┐
//!                     └───────────────────────────────────────────────────────────┘
//! ```

mod commits;
mod partitions;
mod progress;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::commit::{CommitError, Log};
use crate::error_chain::ErrorChain;
use crate::source::{SourceError, SourceEvent, TopicIdentity};
use crate::telemetry::{Away, EngineState, Phase};

use super::assign;
use super::outage::{Backoff, Policy, policy};
use super::read_times::ReadTimes;
use super::session::{Session, finished, next_offsets};
use super::upkeep::Upkeep;
use super::{RunMode, Stop, Summary, WriterError, WriterParts};

/// Wait for messages when nothing else is going on: bounds how late a rotation by age or a stop is
/// noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Wait for messages while a claim or commit is under way, whose end should be noticed soon.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// How long the end of a run waits for a checkpoint that is being written.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);
/// How often lag is looked at, and the log for the progress of other writers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One writer process, across its sessions.
pub(super) struct Engine {
    parts: WriterParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
    /// Partitions the group has given us.
    assigned: BTreeSet<i32>,
    events: VecDeque<SourceEvent>,
    /// High watermarks seen at the start, for [`RunMode::UntilEnd`].
    targets: Option<BTreeMap<i32, i64>>,
    /// Whether fetching is stopped, by us.
    paused: bool,
    summary: Summary,
    backoff: Backoff,
    /// Whether a session of this process has claimed or committed before.
    proven: bool,
}

impl Engine {
    pub(super) fn new(parts: WriterParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        Self {
            parts,
            mode,
            stop,
            assigned: BTreeSet::new(),
            events: VecDeque::new(),
            targets: None,
            paused: false,
            summary: Summary::default(),
            backoff: Backoff::new(),
            proven: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, WriterError> {
        let result = loop {
            self.parts.metrics.state(EngineState::Starting);
            let error = match self.session() {
                Ok(()) => break Ok(self.summary),
                Err(error) => error,
            };
            match policy(&error, self.proven) {
                Policy::Halt => break Err(error),
                Policy::Again(cause) => self.begin_again(cause, &error),
            }
            if self.told_to_stop() {
                break Err(error);
            }
        };
        self.parts.metrics.state(EngineState::Stopped);
        self.parts.source.close();
        result
    }

    /// Waits a while after a failure, staying in the group. Said once for an outage, not at every
    /// try.
    fn begin_again(&mut self, cause: &'static str, error: &WriterError) {
        self.summary.restarts += 1;
        self.parts.metrics.restart(cause);
        if self.backoff.is_reset() {
            tracing::warn!(
                cause,
                error = %ErrorChain(error),
                "dropped what was in hand; trying again until it works"
            );
        }
        if cause.starts_with("store") {
            self.parts.metrics.away(Away::Store, true);
        }
        let wait = self.backoff.wait(&mut self.parts.chance);
        let until = self.parts.clock.monotonic() + wait;
        while self.parts.clock.monotonic() < until && !self.told_to_stop() {
            if let Err(error) = self.poll_nothing(IDLE_WAIT) {
                tracing::debug!(%error, "polling during an outage failed");
                self.parts.clock.sleep(IDLE_WAIT);
            }
        }
    }

    fn told_to_stop(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// Polls while nothing is being read: the group stays ours, events are kept for later. What was
    /// fetched before reading stopped is dropped; every partition is started anew at the log's
    /// offset before it is read again.
    fn poll_nothing(&mut self, wait: Duration) -> Result<(), SourceError> {
        let polled = self.parts.source.poll(wait, &mut |_| {})?;
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        Ok(())
    }

    /// One session, to the end of the run or to a failure.
    fn session(&mut self) -> Result<(), WriterError> {
        let topic = self.identify()?;
        let mut session = self.open_session(&topic)?;
        let result = self.drive(&mut session, &topic);
        if result.is_ok() {
            self.finish_checkpoint(&session);
        }
        // What the log holds is finished by the next session or start; the rest is read again.
        session.drop_work();
        if result.is_err() {
            self.set_paused(true)?;
        }
        result
    }

    /// Lets a checkpoint that was begun come to its end. Where every run ends with its first commits, as
    /// a nightly `--until-end` does, none would ever be written otherwise.
    fn finish_checkpoint(&mut self, session: &Session) {
        let until = self.parts.clock.monotonic() + CHECKPOINT_WAIT;
        while session.upkeep.is_checkpointing() && self.parts.clock.monotonic() < until {
            if self.poll_nothing(BUSY_WAIT).is_err() {
                return;
            }
        }
    }

    fn identify(&mut self) -> Result<TopicIdentity, WriterError> {
        let topic = self.parts.source.identify()?;
        if self.mode == RunMode::UntilEnd && self.targets.is_none() {
            let mut targets = BTreeMap::new();
            for partition in 0..topic.partitions {
                targets.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
            self.targets = Some(targets);
        }
        Ok(topic)
    }

    /// Folds the log and finishes what a crash has left.
    fn open_session(&mut self, topic: &TopicIdentity) -> Result<Session, WriterError> {
        let began = self.parts.clock.monotonic();
        let (store, clock) = (self.parts.store.clone(), self.parts.clock.clone());
        let (chance, definition) = (self.parts.chance.split(), self.parts.definition.clone());
        let opening = self.parts.runtime.spawn(async move {
            let mut log = Log::open(store, clock, chance, definition).await?;
            let finished = log.roll_forward().await?;
            Ok::<_, CommitError>((log, finished))
        });
        let (log, finished) = self.wait_for(opening)??;
        self.parts
            .metrics
            .phase(Phase::Recover, self.parts.clock.monotonic() - began);
        if finished > 0 {
            tracing::info!(
                commits = finished,
                "finished publishing commits of an earlier run"
            );
        }
        assign::refuse_recreated(log.state(), topic, self.parts.accept_topic_id.as_deref())?;
        let cut = (self.parts.make_cut)(log.session())?;
        tracing::info!(
            session = log.session(),
            head = log.state().head,
            "opened the commit log"
        );
        Ok(Session {
            published: next_offsets(&log, topic),
            begins_latest: assign::begins_latest(log.state(), topic, self.parts.first_start),
            log: Arc::new(Mutex::new(log)),
            cut,
            reading: BTreeMap::new(),
            claiming: None,
            committing: None,
            looking: None,
            read_times: ReadTimes::default(),
            looked_at: Duration::ZERO,
            upkeep: Upkeep::new(
                self.parts.upkeep,
                self.parts.runtime.clone(),
                self.parts.clock.monotonic(),
            ),
            haste: self.haste(),
            identity_retry_at: Duration::ZERO,
        })
    }

    /// Waits for work on the runtime while polling, so that the group keeps us.
    fn wait_for<T>(&mut self, task: JoinHandle<T>) -> Result<T, WriterError> {
        while !task.is_finished() {
            self.poll_nothing(BUSY_WAIT)?;
        }
        Ok(finished(&self.parts.runtime, task))
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), WriterError> {
        loop {
            self.poll(session)?;
            while let Some(event) = self.events.pop_front() {
                self.handle(session, topic, event)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.finish_commit(session)?;
            self.look(session, topic)?;
            if self.told_to_stop() {
                return self.drain(session, topic);
            }
            if self.rotation_due(session)? && self.same_topic(session, topic)? {
                self.begin_commit(session);
            }
            if self.reached_end(session) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let wait = if session.is_busy() {
            BUSY_WAIT
        } else {
            IDLE_WAIT
        };
        let (cut, read_times) = (&mut session.cut, &mut session.read_times);
        let polled = self.parts.source.poll(wait, &mut |message| {
            read_times.saw(&message);
            cut.accept(message);
        })?;
        for (partition, next) in &polled.ends {
            cut.advance(*partition, *next);
        }
        self.events.extend(polled.events);
        let metrics = &self.parts.metrics;
        metrics.polled(self.parts.clock.monotonic());
        metrics.consumed(polled.messages as u64);
        Ok(())
    }

    /// The store answers: an outage, if there was one, is over.
    fn succeeded(&mut self) {
        self.proven = true;
        self.backoff.reset();
        self.parts.metrics.away(Away::Store, false);
        self.parts.metrics.state(EngineState::Running);
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), WriterError> {
        if self.paused != paused {
            if paused {
                self.parts.source.pause()?;
            } else {
                self.parts.source.resume()?;
            }
            self.paused = paused;
        }
        Ok(())
    }

    fn drain_deadline(&self) -> Duration {
        self.parts.clock.monotonic() + self.parts.drain_timeout
    }

    /// Polls once more, unless the deadline has passed. The source is paused, or what still comes
    /// goes into the cut.
    fn poll_until(&mut self, session: &mut Session, until: Duration) -> Result<(), WriterError> {
        if self.parts.clock.monotonic() > until {
            return Err(WriterError::DrainTimeout(self.parts.drain_timeout));
        }
        self.poll(session)
    }
}
