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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::batch::Rotation;
use crate::commit::record::Definition;
use crate::commit::{CommitError, Log};
use crate::member::{BUSY_WAIT, Member, RunMode, Stop};
use crate::settings::FirstStart;
use crate::source::TopicIdentity;
use crate::store::Store;
use crate::telemetry::{EngineState, Phase};

use super::outage::{Policy, policy};
use super::read_times::ReadTimes;
use super::session::{Session, next_offsets};
use super::upkeep::{Upkeep, UpkeepPlan};
use super::{MakeCut, Summary, WriterError, WriterParts, assign};

/// How long the end of a run waits for a checkpoint that is being written.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);

/// One writer process, across its sessions.
pub(super) struct Engine {
    member: Member,
    store: Arc<dyn Store>,
    definition: Definition,
    make_cut: MakeCut,
    rotation: Rotation,
    first_start: FirstStart,
    accept_topic_id: Option<String>,
    accept_lost_offsets: bool,
    upkeep: UpkeepPlan,
    summary: Summary,
}

impl Engine {
    pub(super) fn new(parts: WriterParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        let WriterParts {
            member,
            store,
            definition,
            make_cut,
            rotation,
            first_start,
            accept_topic_id,
            accept_lost_offsets,
            upkeep,
        } = parts;
        Self {
            member: Member::new(member, mode, stop),
            store,
            definition,
            make_cut,
            rotation,
            first_start,
            accept_topic_id,
            accept_lost_offsets,
            upkeep,
            summary: Summary::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, WriterError> {
        let result = loop {
            self.member.metrics.state(EngineState::Starting);
            let Err(error) = self.session() else {
                break Ok(Summary {
                    restarts: self.member.restarts(),
                    ..self.summary
                });
            };
            match policy(&error, self.member.is_proven()) {
                Policy::Again(cause) if self.member.begin_again(cause, &error) => {}
                _ => break Err(error),
            }
        };
        self.member.close();
        result
    }

    /// One session, to the end of the run or to a failure.
    fn session(&mut self) -> Result<(), WriterError> {
        let topic = self.member.identify()?;
        let mut session = self.open_session(&topic)?;
        let result = self.drive(&mut session, &topic);
        if result.is_ok() {
            self.finish_checkpoint(&session);
        }
        // What the log holds is finished by the next session or start; the rest is read again.
        session.drop_work();
        if result.is_err() {
            self.member.set_paused(true)?;
        }
        result
    }

    /// Lets a checkpoint that was begun come to its end. Where every run ends with its first commits, as
    /// a nightly `--until-end` does, none would ever be written otherwise.
    fn finish_checkpoint(&mut self, session: &Session) {
        let until = self.member.clock.monotonic() + CHECKPOINT_WAIT;
        while session.upkeep.is_checkpointing() && self.member.clock.monotonic() < until {
            if self.member.poll_nothing(BUSY_WAIT).is_err() {
                return;
            }
        }
    }

    /// Folds the log and finishes what a crash has left.
    fn open_session(&mut self, topic: &TopicIdentity) -> Result<Session, WriterError> {
        let began = self.member.clock.monotonic();
        let (store, clock) = (self.store.clone(), self.member.clock.clone());
        let (chance, definition) = (self.member.chance.split(), self.definition.clone());
        let opening = self.member.runtime.spawn(async move {
            let mut log = Log::open(store, clock, chance, definition).await?;
            let finished = log.roll_forward().await?;
            Ok::<_, CommitError>((log, finished))
        });
        let (log, finished) = self.member.wait_for(opening)??;
        self.member
            .metrics
            .phase(Phase::Recover, self.member.clock.monotonic() - began);
        if finished > 0 {
            tracing::info!(
                commits = finished,
                "finished publishing commits of an earlier run"
            );
        }
        assign::refuse_recreated(log.state(), topic, self.accept_topic_id.as_deref())?;
        let cut = (self.make_cut)(log.session())?;
        tracing::info!(
            session = log.session(),
            head = log.state().head,
            "opened the commit log"
        );
        Ok(Session {
            published: next_offsets(&log, topic),
            begins_latest: assign::begins_latest(log.state(), topic, self.first_start),
            log: Arc::new(Mutex::new(log)),
            cut,
            reading: BTreeMap::new(),
            claiming: None,
            committing: None,
            looking: None,
            read_times: ReadTimes::default(),
            looked_at: Duration::ZERO,
            upkeep: Upkeep::new(
                self.upkeep,
                self.member.runtime.clone(),
                self.member.clock.monotonic(),
            ),
            haste: self.haste(),
            identity_retry_at: Duration::ZERO,
        })
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), WriterError> {
        loop {
            self.poll(session)?;
            while let Some(taken) = self.member.next_taken() {
                self.give_up(session, topic, taken)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.finish_commit(session)?;
            self.look(session, topic)?;
            if self.member.told_to_stop() {
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
        let is_busy = session.is_busy();
        let (cut, read_times) = (&mut session.cut, &mut session.read_times);
        let ends = self.member.poll(is_busy, &mut |message| {
            read_times.saw(&message);
            cut.accept(message);
        })?;
        for (partition, next) in ends {
            cut.advance(partition, next);
        }
        Ok(())
    }

    fn drain_deadline(&self) -> Duration {
        self.member.clock.monotonic() + self.member.drain_timeout
    }

    /// Polls once more, unless the deadline has passed. The source is paused, or what still comes
    /// goes into the cut.
    fn poll_until(&mut self, session: &mut Session, until: Duration) -> Result<(), WriterError> {
        if self.member.clock.monotonic() > until {
            return Err(WriterError::DrainTimeout(self.member.drain_timeout));
        }
        self.poll(session)
    }
}
