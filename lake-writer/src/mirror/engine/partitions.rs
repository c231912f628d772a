//! Partitions that the group gives and takes: claimed before they are read, written before they are
//! given back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::member::{Member, Taken};
use crate::mirror::MirrorError;
use crate::mirror::checkpoint::{self, Claim};
use crate::settings::FirstStart;
use crate::source::{SourceError, TopicIdentity, Watermarks};
use crate::telemetry::EngineState;

use super::Engine;
use super::session::{Claiming, Session};

/// Longest wait for partitions to be released, in the middle of a rebalance.
const RELEASE_WAIT: Duration = Duration::from_secs(1);

impl Engine {
    /// Lets go of what the group has taken.
    pub(super) fn give_up(
        &mut self,
        session: &mut Session,
        taken: Taken,
    ) -> Result<(), MirrorError> {
        match taken {
            Taken::Asked(partitions) => {
                let drained = self.drain(session, &partitions);
                let left = self.forget(session, &partitions)?;
                match drained {
                    Ok(()) => self.say_released(session, &left),
                    Err(MirrorError::DrainTimeout(waited)) => {
                        return Err(Member::not_in_time(waited).into());
                    }
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            Taken::Lost(partitions) => {
                session.drop_work();
                self.forget(session, &partitions)?;
                Err(Member::lost().into())
            }
        }
    }

    /// Gives partitions up. Returns the claims under which they were held.
    fn forget(
        &mut self,
        session: &mut Session,
        partitions: &[i32],
    ) -> Result<Vec<Claim>, MirrorError> {
        let left = partitions.iter().filter_map(|p| session.lanes.leave(*p));
        let left = left.collect();
        self.member.release(partitions)?;
        Ok(left)
    }

    /// Lets go of the server's sessions that the checkpoints of these claims name, since other partitions
    /// go on in them. Best effort: without it the next claim ends a transaction of those.
    fn say_released(&self, session: &Session, claims: &[Claim]) {
        if claims.is_empty() || session.lanes.is_empty() {
            return;
        }
        let releasing = checkpoint::release(&self.mongo, claims);
        let releasing = async { tokio::time::timeout(RELEASE_WAIT, releasing).await };
        match self.member.runtime.block_on(releasing) {
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
        let unclaimed = self.member.assigned();
        let unclaimed = unclaimed.filter(|p| session.lanes.held(*p).is_none());
        let unclaimed: Vec<i32> = unclaimed.collect();
        if unclaimed.is_empty() {
            if session.lanes.is_empty() && self.member.assigned().next().is_none() {
                self.member.metrics.state(EngineState::Waiting);
            }
            return Ok(());
        }
        let watermarks = self.member.watermarks(unclaimed.iter().copied())?;
        // A mirror that begins at the latest messages fixes at once where every partition begins.
        let begins_latest = session.written.is_empty() && self.first_start == FirstStart::Latest;
        let first: BTreeMap<i32, i64> = match begins_latest {
            true => self.member.ends(topic)?,
            false => watermarks
                .iter()
                .map(|(p, marks)| (*p, marks.low))
                .collect(),
        };
        let (mongo, topic, id) = (self.mongo.clone(), topic.clone(), session.id.clone());
        let places = session.lanes.places(&unclaimed);
        let places = places.into_iter().map(|(partition, lane)| {
            let server_session = session.lanes.all[lane].server_session.clone();
            (partition, lane, server_session)
        });
        let places: Vec<_> = places.collect();
        let task = self.member.runtime.spawn(async move {
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
        let claims = self.member.finished(claiming.task)?;
        let now = self.member.clock.monotonic();
        let mut from = Vec::new();
        for (lane, claim) in claims {
            let partition = claim.partition;
            if !self.member.is_assigned(partition) {
                continue;
            }
            let marks = claiming.watermarks[&partition];
            self.refuse_lost(&claim, marks)?;
            session.written.insert(partition, claim.next);
            let position = session.lanes.join(lane, claim, marks.low, now);
            from.push((partition, position));
        }
        self.member.source.start(&from)?;
        self.member.succeeded();
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
        if next < low && !self.accept_lost_offsets {
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
