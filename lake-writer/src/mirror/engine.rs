//! The loop: poll, fill batches, write them; and begin again at the checkpoints whenever something
//! fails.
//!
//! A *session* is one stretch between two failures: claims, and batches read under them. What the
//! group assigned outlives sessions; nothing else does. One thread polls; documents are made and
//! transactions run on the runtime beside it.

mod partitions;
mod progress;
mod session;
mod writing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error_chain::ErrorChain;
use crate::source::{SourceError, SourceEvent, TopicIdentity};
use crate::telemetry::{Away, EngineState};
use crate::writer::{RunMode, Stop};

use self::session::{Session, next_offsets};
use super::checkpoint::{self, ServerSession};
use super::failure::{DatabaseError, FailureKind};
use super::lane::Lanes;
use super::{MirrorError, MirrorParts, Summary};

/// Wait for messages when nothing is in hand: bounds how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Wait for messages while a batch fills or is being written.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Shortest and longest wait between two sessions.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// How often lag is looked at, and the checkpoints for the progress of other mirrors.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One mirror process, across its sessions.
pub(super) struct Engine {
    parts: MirrorParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
    assigned: BTreeSet<i32>,
    events: VecDeque<SourceEvent>,
    /// High watermarks seen at the start, for [`RunMode::UntilEnd`].
    targets: Option<BTreeMap<i32, i64>>,
    is_paused: bool,
    summary: Summary,
    wait: Duration,
    /// Whether the database has ever let this process write.
    is_proven: bool,
}

impl Engine {
    pub(super) fn new(parts: MirrorParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        Self {
            parts,
            mode,
            stop,
            assigned: BTreeSet::new(),
            events: VecDeque::new(),
            targets: None,
            is_paused: false,
            summary: Summary::default(),
            wait: SHORTEST,
            is_proven: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, MirrorError> {
        let result = loop {
            self.parts.metrics.state(EngineState::Starting);
            let error = match self.session() {
                Ok(()) => break Ok(self.summary),
                Err(error) => error,
            };
            match self.cause(&error) {
                Some(cause) if !self.told_to_stop() => self.begin_again(cause, &error),
                _ => break Err(error),
            }
        };
        self.parts.metrics.state(EngineState::Stopped);
        self.parts.source.close();
        result
    }

    /// The one decision between beginning again, with a word for a metric, and halting.
    fn cause(&self, error: &MirrorError) -> Option<&'static str> {
        match error {
            MirrorError::Source(SourceError::Transient { .. }) => Some("source"),
            MirrorError::Source(SourceError::Halt { .. }) | MirrorError::DrainTimeout(_) => None,
            MirrorError::Database(error) => match error.kind {
                FailureKind::Transient => Some("store"),
                FailureKind::Fenced => Some("fenced"),
                // What is refused from the first call on is a matter of settings, what is refused
                // later may pass.
                FailureKind::Denied if self.is_proven => Some("store_denied"),
                FailureKind::Denied | FailureKind::Unfit => None,
            },
        }
    }

    /// Waits a while after a failure, staying in the group.
    fn begin_again(&mut self, cause: &'static str, error: &MirrorError) {
        self.summary.restarts += 1;
        self.parts.metrics.restart(cause);
        if self.wait == SHORTEST {
            tracing::warn!(
                cause,
                error = %ErrorChain(error),
                "the mirror dropped what was in hand; trying again until it works"
            );
        }
        if cause.starts_with("store") {
            self.parts.metrics.away(Away::Store, true);
        }
        let until = self.parts.clock.monotonic() + self.parts.chance.jitter(self.wait);
        self.wait = (self.wait * 2).min(LONGEST);
        while self.parts.clock.monotonic() < until && !self.told_to_stop() {
            if let Err(error) = self.poll_nothing(BUSY_WAIT) {
                tracing::debug!(%error, "polling during an outage failed");
                self.parts.clock.sleep(IDLE_WAIT);
            }
        }
    }

    fn told_to_stop(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// Polls while nothing is being read; every partition is started anew before it is read again.
    fn poll_nothing(&mut self, wait: Duration) -> Result<(), SourceError> {
        let polled = self.parts.source.poll(wait, &mut |_| {})?;
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        Ok(())
    }

    fn session(&mut self) -> Result<(), MirrorError> {
        let topic = self.identify()?;
        let (mongo, plan) = (self.parts.mongo.clone(), self.parts.plan.clone());
        let lanes = self.parts.limits.transactions;
        let opening = self.parts.runtime.spawn(async move {
            mongo.prepare(&plan).await?;
            let mut server_sessions = Vec::new();
            for _ in 0..lanes {
                server_sessions.push(ServerSession::start(&mongo).await?);
            }
            Ok::<_, DatabaseError>((checkpoint::read(&mongo).await?, server_sessions))
        });
        let (checkpoints, server_sessions) = self.wait_for(opening)??;
        checkpoint::refuse_recreated(checkpoints.values(), &topic)?;
        let mut session = Session {
            id: self.parts.chance.hex_id(),
            lanes: Lanes::new(server_sessions, &self.parts.limits),
            claiming: None,
            looking: None,
            written: next_offsets(&checkpoints),
            looked_at: Duration::ZERO,
        };
        tracing::info!(
            session = session.id,
            place = self.parts.mongo.place(),
            "opened the mirror"
        );
        self.set_paused(false)?;
        let result = self.drive(&mut session, &topic);
        session.drop_work();
        if result.is_err() {
            self.set_paused(true)?;
        }
        result
    }

    fn identify(&mut self) -> Result<TopicIdentity, MirrorError> {
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

    /// Waits for work on the runtime while polling, so that the group keeps us.
    fn wait_for<T>(&mut self, task: JoinHandle<T>) -> Result<T, MirrorError> {
        while !task.is_finished() {
            self.poll_nothing(BUSY_WAIT)?;
        }
        Ok(self.finished(task))
    }

    /// The result of a task that is over.
    fn finished<T>(&self, task: JoinHandle<T>) -> T {
        match self.parts.runtime.block_on(task) {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => unreachable!("only a session that is over stops its tasks"),
        }
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), MirrorError> {
        loop {
            self.poll(session)?;
            while let Some(event) = self.events.pop_front() {
                self.handle(session, event)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.collect(session)?;
            self.look(session)?;
            if self.told_to_stop() {
                self.parts.metrics.state(EngineState::Draining);
                let all: Vec<i32> = session.lanes.partitions().collect();
                return self.drain(session, &all);
            }
            self.dispatch(session, None);
            let held = session.lanes.bytes();
            self.parts.metrics.memory(held as u64, 0);
            self.set_paused(held >= self.parts.limits.budget_bytes)?;
            if self.reached_end(session) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let is_busy = session.claiming.is_some() || session.lanes.is_busy();
        let wait = if is_busy { BUSY_WAIT } else { IDLE_WAIT };
        let (lanes, limits) = (&mut session.lanes, &self.parts.limits);
        let now = self.parts.clock.monotonic();
        let polled = self.parts.source.poll(wait, &mut |message| {
            lanes.push(&message, limits, now);
        })?;
        for (partition, next) in &polled.ends {
            lanes.advance(*partition, *next, now);
        }
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        self.parts.metrics.consumed(polled.messages as u64);
        Ok(())
    }

    /// The database answers: an outage, if there was one, is over.
    fn succeeded(&mut self) {
        self.is_proven = true;
        self.wait = SHORTEST;
        self.parts.metrics.away(Away::Store, false);
        self.parts.metrics.state(EngineState::Running);
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), MirrorError> {
        if self.is_paused != paused {
            if paused {
                self.parts.source.pause()?;
            } else {
                self.parts.source.resume()?;
            }
            self.is_paused = paused;
        }
        Ok(())
    }
}
