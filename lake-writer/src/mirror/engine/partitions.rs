//! Partitions that the group gives and takes: claimed before they are read, written before they are
//! given back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mirror::MirrorError;
use crate::mirror::checkpoint::{self, Claim};
use crate::settings::FirstStart;
use crate::source::{SourceError, SourceEvent, TopicIdentity, Watermarks};
use crate::telemetry::{Away, EngineState};

use super::Engine;
use super::session::{Claiming, Session};

/// Longest wait for partitions to be released, in the middle of a rebalance.
const RELEASE_WAIT: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn handle(
        &mut self,
        session: &mut Session,
        event: SourceEvent,
    ) -> Result<(), MirrorError> {
        match event {
            SourceEvent::Assigned(partitions) => {
                tracing::info!(?partitions, "assigned to the mirror");
                self.assigned.extend(partitions);
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(?partitions, "revoked from the mirror");
                let drained = self.drain(session, &partitions);
                let left = self.forget(session, &partitions)?;
                match drained {
                    Ok(()) => self.say_released(session, &left),
                    Err(MirrorError::DrainTimeout(waited)) => {
                        return Err(MirrorError::Source(SourceError::Transient {
                            action: "write before giving partitions back".into(),
                            reason: format!("not done within {waited:?}"),
                        }));
                    }
                    Err(error) => return Err(error),
                }
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(?partitions, "lost without being asked; reading again");
                session.drop_work();
                self.forget(session, &partitions)?;
                return Err(MirrorError::Source(SourceError::Transient {
                    action: "stay in the group".into(),
                    reason: "partitions were taken away".into(),
                }));
            }
            SourceEvent::Away(reason) => {
                tracing::warn!(reason, "brokers are out of reach; the client keeps trying");
                self.parts.metrics.away(Away::Source, true);
            }
            SourceEvent::Back => {
                tracing::info!("brokers are back");
                self.parts.metrics.away(Away::Source, false);
            }
        }
        Ok(())
    }

    /// Gives partitions up. Returns the claims under which they were held.
    fn forget(
        &mut self,
        session: &mut Session,
        partitions: &[i32],
    ) -> Result<Vec<Claim>, MirrorError> {
        let mut left = Vec::new();
        for partition in partitions {
            self.assigned.remove(partition);
            left.extend(session.lanes.leave(*partition));
        }
        self.parts.metrics.released(partitions);
        self.parts.source.release(partitions)?;
        Ok(left)
    }

    /// Lets go of the server's sessions that the checkpoints of these claims name, since other partitions
    /// go on in them. Best effort: without it the next claim ends a transaction of those.
    fn say_released(&self, session: &Session, claims: &[Claim]) {
        if claims.is_empty() || session.lanes.is_empty() {
            return;
        }
        let releasing = checkpoint::release(&self.parts.mongo, claims);
        let releasing = async { tokio::time::timeout(RELEASE_WAIT, releasing).await };
        match self.parts.runtime.block_on(releasing) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "partitions were given back unreleased"),
            Err(_) => tracing::debug!("partitions were given back unreleased: no answer in time"),
        }
    }

    pub(super) fn begin_claim(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), MirrorError> {
        if session.claiming.is_some() {
            return Ok(());
        }
        let unclaimed = self.assigned.iter().copied();
        let unclaimed = unclaimed.filter(|p| session.lanes.held(*p).is_none());
        let unclaimed: Vec<i32> = unclaimed.collect();
        if unclaimed.is_empty() {
            if session.lanes.is_empty() && self.assigned.is_empty() {
                self.parts.metrics.state(EngineState::Waiting);
            }
            return Ok(());
        }
        let mut watermarks = BTreeMap::new();
        for partition in &unclaimed {
            watermarks.insert(*partition, self.parts.source.watermarks(*partition)?);
        }
        // A mirror that begins at the latest messages fixes at once where every partition begins.
        let begins_latest =
            session.written.is_empty() && self.parts.first_start == FirstStart::Latest;
        let mut first: BTreeMap<i32, i64> = BTreeMap::new();
        if begins_latest {
            for partition in 0..topic.partitions {
                first.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
        } else {
            first.extend(watermarks.iter().map(|(p, marks)| (*p, marks.low)));
        }
        let (mongo, topic, id) = (self.parts.mongo.clone(), topic.clone(), session.id.clone());
        let places = session.lanes.places(&unclaimed);
        let places = places.into_iter().map(|(partition, lane)| {
            let server_session = session.lanes.all[lane].server_session.clone();
            (partition, lane, server_session)
        });
        let places: Vec<_> = places.collect();
        let task = self.parts.runtime.spawn(async move {
            checkpoint::begin(&mongo, &topic, &first).await?;
            let mut claims = Vec::new();
            for (partition, lane, server_session) in places {
                let claim = checkpoint::claim(&mongo, partition, &id, &server_session).await?;
                claims.push((lane, claim));
            }
            Ok(claims)
        });
        session.claiming = Some(Claiming { watermarks, task });
        Ok(())
    }

    pub(super) fn finish_claim(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let Some(claiming) = session
            .claiming
            .take_if(|claiming| claiming.task.is_finished())
        else {
            return Ok(());
        };
        let claims = self.finished(claiming.task)?;
        let now = self.parts.clock.monotonic();
        let mut from = Vec::new();
        for (lane, claim) in claims {
            let partition = claim.partition;
            if !self.assigned.contains(&partition) {
                continue;
            }
            let marks = claiming.watermarks[&partition];
            self.refuse_lost(&claim, marks)?;
            session.written.insert(partition, claim.next);
            let position = session.lanes.join(lane, claim, marks.low, now);
            from.push((partition, position));
        }
        self.parts.source.start(&from)?;
        self.succeeded();
        tracing::info!(partitions = ?from, "mirroring from these offsets");
        Ok(())
    }

    /// Refuses where the topic no longer has what the checkpoint expects.
    fn refuse_lost(&self, claim: &Claim, marks: Watermarks) -> Result<(), SourceError> {
        let Claim {
            partition, next, ..
        } = *claim;
        let Watermarks { low, high } = marks;
        if next > high {
            return Err(SourceError::Halt {
                problem: format!(
                    "partition {partition} ends at offset {high}, but the mirror holds everything \
                     before {next}: the topic has lost messages"
                ),
                remedy: "restore the topic, or mirror it into another collection".into(),
            });
        }
        if next < low && !self.parts.accept_lost_offsets {
            return Err(SourceError::Halt {
                problem: format!(
                    "retention has passed the mirror: partition {partition} begins at offset {low}, \
                     the next one to mirror is {next}, so {} offsets are gone",
                    low - next
                ),
                remedy: "restore them, or set source.kafka.accept_lost_offsets = true to go on \
                         without them"
                    .into(),
            });
        }
        Ok(())
    }
}
