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

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::member::{Member, RunMode, Stop};
use crate::settings::FirstStart;
use crate::source::{SourceError, TopicIdentity};
use crate::telemetry::EngineState;

use self::session::{Session, next_offsets};
use super::checkpoint::{self, ServerSession};
use super::database::Mongo;
use super::failure::{DatabaseError, FailureKind};
use super::lane::Lanes;
use super::plan::Plan;
use super::{Limits, MirrorError, MirrorParts, Summary};

/// One mirror process, across its sessions.
pub(super) struct Engine {
    member: Member,
    mongo: Mongo,
    plan: Arc<Plan>,
    limits: Limits,
    first_start: FirstStart,
    accept_lost_offsets: bool,
    summary: Summary,
}

impl Engine {
    pub(super) fn new(parts: MirrorParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        let MirrorParts {
            member,
            mongo,
            plan,
            limits,
            first_start,
            accept_lost_offsets,
        } = parts;
        Self {
            member: Member::new(member, mode, stop),
            mongo,
            plan,
            limits,
            first_start,
            accept_lost_offsets,
            summary: Summary::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, MirrorError> {
        let result = loop {
            self.member.metrics.state(EngineState::Starting);
            let Err(error) = self.session() else {
                break Ok(Summary {
                    restarts: self.member.restarts(),
                    ..self.summary
                });
            };
            match self.cause(&error) {
                Some(cause) if self.member.begin_again(cause, &error) => {}
                _ => break Err(error),
            }
        };
        self.member.close();
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
                FailureKind::Denied if self.member.is_proven() => Some("store_denied"),
                FailureKind::Denied | FailureKind::Unfit => None,
            },
        }
    }

    fn session(&mut self) -> Result<(), MirrorError> {
        let topic = self.member.identify()?;
        let (mongo, plan) = (self.mongo.clone(), self.plan.clone());
        let lanes = self.limits.transactions;
        let opening = self.member.runtime.spawn(async move {
            mongo.prepare(&plan).await?;
            let mut server_sessions = Vec::new();
            for _ in 0..lanes {
                server_sessions.push(ServerSession::start(&mongo).await?);
            }
            Ok::<_, DatabaseError>((checkpoint::read(&mongo).await?, server_sessions))
        });
        let (checkpoints, server_sessions) = self.member.wait_for(opening)??;
        checkpoint::refuse_recreated(checkpoints.values(), &topic)?;
        let mut session = Session {
            id: self.member.chance.hex_id(),
            lanes: Lanes::new(server_sessions, &self.limits),
            claiming: None,
            looking: None,
            written: next_offsets(&checkpoints),
            looked_at: Duration::ZERO,
        };
        tracing::info!(
            session = session.id,
            place = self.mongo.place(),
            "opened the mirror"
        );
        self.member.set_paused(false)?;
        let result = self.drive(&mut session, &topic);
        session.drop_work();
        if result.is_err() {
            self.member.set_paused(true)?;
        }
        result
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), MirrorError> {
        loop {
            self.poll(session)?;
            while let Some(taken) = self.member.next_taken() {
                self.give_up(session, taken)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.collect(session)?;
            self.look(session)?;
            if self.member.told_to_stop() {
                self.member.metrics.state(EngineState::Draining);
                let all: Vec<i32> = session.lanes.partitions().collect();
                return self.drain(session, &all);
            }
            self.dispatch(session, None);
            let held = session.lanes.bytes();
            self.member.metrics.memory(held as u64, 0);
            self.member.set_paused(held >= self.limits.budget_bytes)?;
            if self.member.reached_end(&session.written) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let is_busy = session.claiming.is_some() || session.lanes.is_busy();
        let (lanes, limits) = (&mut session.lanes, &self.limits);
        let now = self.member.clock.monotonic();
        let ends = self.member.poll(is_busy, &mut |message| {
            lanes.push(&message, limits, now);
        })?;
        for (partition, next) in ends {
            lanes.advance(partition, next, now);
        }
        Ok(())
    }
}
