//! Partitions that the group gives and takes: claimed before they are read, committed before they are
//! given back.

use std::collections::BTreeMap;

use crate::source::{SourceError, SourceEvent, TopicIdentity};
use crate::telemetry::Away;
use crate::writer::WriterError;
use crate::writer::assign::{self, Wanted};
use crate::writer::session::{Session, finished};

use super::Engine;

impl Engine {
    pub(super) fn handle(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        event: SourceEvent,
    ) -> Result<(), WriterError> {
        match event {
            SourceEvent::Assigned(partitions) => {
                tracing::info!(?partitions, "assigned");
                self.assigned.extend(partitions);
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(?partitions, "revoked");
                let kept = self.give_back(session, topic, &partitions);
                if kept.is_err() {
                    session.drop_work();
                }
                self.forget(session, &partitions)?;
                kept?;
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(
                    ?partitions,
                    "lost without being asked; reading again from the log"
                );
                session.drop_work();
                self.forget(session, &partitions)?;
                return Err(WriterError::Source(SourceError::Transient {
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

    /// Commits what was read of partitions that the group asks back. What cannot be committed in
    /// time is dropped with the session: the next owner reads it again.
    fn give_back(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        asked: &[i32],
    ) -> Result<(), WriterError> {
        match self.commit_asked(session, topic, asked) {
            Err(WriterError::DrainTimeout(waited)) => {
                Err(WriterError::Source(SourceError::Transient {
                    action: "commit before giving partitions back".into(),
                    reason: format!("not done within {waited:?}"),
                }))
            }
            result => result,
        }
    }

    fn commit_asked(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        asked: &[i32],
    ) -> Result<(), WriterError> {
        // A claim under way may take partitions that are about to be another's: harmless, since the
        // next owner claims them again, and simplest once it is over.
        let until = self.drain_deadline();
        while session.claiming.is_some() {
            self.poll_until(session, until)?;
            self.finish_claim(session)?;
        }
        if !asked
            .iter()
            .any(|partition| session.reading.contains_key(partition))
        {
            return Ok(());
        }
        self.commit_all(session, topic, until)
    }

    fn forget(&mut self, session: &mut Session, partitions: &[i32]) -> Result<(), WriterError> {
        session.cut.forget(partitions);
        for partition in partitions {
            self.assigned.remove(partition);
            session.reading.remove(partition);
        }
        self.parts.metrics.released(partitions);
        self.parts.source.release(partitions)?;
        Ok(())
    }

    pub(super) fn begin_claim(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), WriterError> {
        let unclaimed = || {
            self.assigned
                .iter()
                .filter(|p| !session.reading.contains_key(p))
        };
        if session.claiming.is_some() || unclaimed().next().is_none() {
            return Ok(());
        }
        let mut watermarks = BTreeMap::new();
        for partition in unclaimed().copied().collect::<Vec<_>>() {
            watermarks.insert(partition, self.parts.source.watermarks(partition)?);
        }
        let mut begins = BTreeMap::new();
        if session.begins_latest {
            for partition in 0..topic.partitions {
                begins.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
        }
        let wanted = Wanted {
            topic: topic.clone(),
            watermarks,
            begins,
        };
        let claim = assign::claim(session.log.clone(), wanted.clone());
        session.claiming = Some((wanted, self.parts.runtime.spawn(claim)));
        Ok(())
    }

    pub(super) fn finish_claim(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let Some((wanted, claiming)) = session.claiming.take() else {
            return Ok(());
        };
        if !claiming.is_finished() {
            session.claiming = Some((wanted, claiming));
            return Ok(());
        }
        let claimed = finished(&self.parts.runtime, claiming)?;
        let mut from = Vec::new();
        for start in wanted.starts(&claimed, self.parts.accept_lost_offsets)? {
            let partition = start.held.source.partition;
            if !self.assigned.contains(&partition) {
                continue;
            }
            session.cut.begin(partition, start.committed);
            session.cut.advance(partition, start.read_from);
            session.published.insert(partition, start.committed);
            from.push((partition, start.read_from));
            session.reading.insert(partition, start.held);
        }
        self.parts.source.start(&from)?;
        session.begins_latest = false;
        self.succeeded();
        tracing::info!(partitions = ?from, "reading from these offsets");
        let now = self.parts.clock.monotonic();
        session.upkeep.sweep(session.log.clone(), now);
        Ok(())
    }
}
