//! How far the run is: lag, what others have published, and whether the end is reached.

use crate::member::LOOK_EVERY;
use crate::source::TopicIdentity;
use crate::writer::WriterError;
use crate::writer::session::{Session, next_offsets};

use super::Engine;

impl Engine {
    /// Once a second: lag for the metrics, and what other writers have published.
    pub(super) fn look(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), WriterError> {
        if let Some(looking) = session.looking.take() {
            if looking.is_finished() {
                // It may have looked before a commit of ours that has ended since: offsets only grow.
                for (partition, next) in self.member.finished(looking)? {
                    let known = session.published.entry(partition).or_insert(next);
                    *known = next.max(*known);
                }
            } else {
                session.looking = Some(looking);
            }
        }
        let now = self.member.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        session.upkeep.sweep_if_due(&session.log, now);
        for partition in session.reading.keys() {
            if let Some(at) = session.cut.position(*partition) {
                let last_ms = session.read_times.last_ms(*partition);
                self.member.report_lag(*partition, at, last_ms);
            }
        }
        let others = self.member.waits_for_others(session.reading.len());
        if others && session.looking.is_none() {
            let (log, topic) = (session.log.clone(), topic.clone());
            session.looking = Some(self.member.runtime.spawn(async move {
                let mut log = log.lock().await;
                log.catch_up().await?;
                Ok(next_offsets(&log, &topic))
            }));
        }
        Ok(())
    }

    /// Until-end: whether every target of the partitions we read has been read, and one of them is
    /// not published yet.
    pub(super) fn own_targets_read(&self, session: &Session) -> bool {
        let target = |partition: &i32| self.member.target(*partition);
        let read = |p: &i32| session.cut.position(*p).is_some_and(|at| at >= target(p));
        let unpublished = |p: &i32| {
            let published = session.published.get(p);
            published.is_none_or(|next| *next < target(p))
        };
        self.member.has_end()
            && session.reading.keys().all(read)
            && session.reading.keys().any(unpublished)
    }

    /// Until-end: whether everything before the targets is published, by us or by others.
    pub(super) fn reached_end(&self, session: &Session) -> bool {
        session.committing.is_none() && self.member.reached_end(&session.published)
    }
}
