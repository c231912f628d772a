//! Partitions that the group gives and takes: claimed before they are read, committed before they are
//! given back.

use std::collections::BTreeMap;

use crate::member::{Member, Taken};
use crate::source::TopicIdentity;
use crate::writer::WriterError;
use crate::writer::assign::{self, Wanted};
use crate::writer::session::Session;

use super::Engine;

impl Engine {
    /// Lets go of what the group has taken.
    pub(super) fn give_up(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        taken: Taken,
    ) -> Result<(), WriterError> {
        match taken {
            Taken::Asked(partitions) => {
                let kept = self.give_back(session, topic, &partitions);
                if kept.is_err() {
                    session.drop_work();
                }
                self.forget(session, &partitions)?;
                kept
            }
            Taken::Lost(partitions) => {
                session.drop_work();
                self.forget(session, &partitions)?;
                Err(Member::lost().into())
            }
        }
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
            Err(WriterError::DrainTimeout(waited)) => Err(Member::not_in_time(waited).into()),
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
            session.reading.remove(partition);
        }
        Ok(self.member.release(partitions)?)
    }

    pub(super) fn begin_claim(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), WriterError> {
        let unclaimed = self.member.assigned();
        let unclaimed = unclaimed.filter(|p| !session.reading.contains_key(p));
        let unclaimed: Vec<i32> = unclaimed.collect();
        if session.claiming.is_some() || unclaimed.is_empty() {
            return Ok(());
        }
        let watermarks = self.member.watermarks(unclaimed)?;
        let begins = match session.begins_latest {
            true => self.member.ends(topic)?,
            false => BTreeMap::new(),
        };
        let wanted = Wanted {
            topic: topic.clone(),
            watermarks,
            begins,
        };
        let claim = assign::claim(session.log.clone(), wanted.clone());
        session.claiming = Some((wanted, self.member.runtime.spawn(claim)));
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
        let claimed = self.member.finished(claiming)?;
        let mut from = Vec::new();
        for start in wanted.starts(&claimed, self.accept_lost_offsets)? {
            let partition = start.held.source.partition;
            if !self.member.is_assigned(partition) {
                continue;
            }
            session.cut.begin(partition, start.committed);
            session.cut.advance(partition, start.read_from);
            session.published.insert(partition, start.committed);
            from.push((partition, start.read_from));
            session.reading.insert(partition, start.held);
        }
        self.member.source.start(&from)?;
        session.begins_latest = false;
        self.member.succeeded();
        tracing::info!(partitions = ?from, "reading from these offsets");
        let now = self.member.clock.monotonic();
        session.upkeep.sweep(session.log.clone(), now);
        Ok(())
    }
}
