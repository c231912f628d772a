//! How far the run is: lag, what others have published, and whether the end is reached.

use std::time::Duration;

use crate::source::TopicIdentity;
use crate::writer::WriterError;
use crate::writer::read_times::ReadTimes;
use crate::writer::session::{Session, finished, next_offsets};

use super::{Engine, LOOK_EVERY};

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
                for (partition, next) in finished(&self.parts.runtime, looking)? {
                    let known = session.published.entry(partition).or_insert(next);
                    *known = next.max(*known);
                }
            } else {
                session.looking = Some(looking);
            }
        }
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        session.upkeep.sweep_if_due(&session.log, now);
        for partition in session.reading.keys() {
            let high = self.parts.source.cached_high(*partition);
            if let (Some(high), Some(at)) = (high, session.cut.position(*partition)) {
                self.report_lag(*partition, (high - at).max(0), &session.read_times);
            }
        }
        let others = self
            .targets
            .as_ref()
            .is_some_and(|t| t.len() > session.reading.len());
        if others && session.looking.is_none() {
            let (log, topic) = (session.log.clone(), topic.clone());
            session.looking = Some(self.parts.runtime.spawn(async move {
                let mut log = log.lock().await;
                log.catch_up().await?;
                Ok(next_offsets(&log, &topic))
            }));
        }
        Ok(())
    }

    /// Behind by so many messages, and in time by the age of the last one that was read.
    fn report_lag(&self, partition: i32, messages: i64, read_times: &ReadTimes) {
        let now_ms = self.parts.clock.wall_micros() / 1_000;
        let age_ms = match read_times.last_ms(partition) {
            Some(read_ms) if messages > 0 => now_ms - read_ms,
            _ => 0,
        };
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        self.parts.metrics.lag(partition, messages);
        self.parts.metrics.lag_age(partition, age);
    }

    /// Until-end: whether every target of the partitions we read has been read, and one of them is
    /// not published yet.
    pub(super) fn own_targets_read(&self, session: &Session) -> bool {
        let Some(targets) = &self.targets else {
            return false;
        };
        let target = |partition: &i32| targets.get(partition).copied().unwrap_or(0);
        let read = |p: &i32| session.cut.position(*p).is_some_and(|at| at >= target(p));
        let unpublished = |p: &i32| {
            session
                .published
                .get(p)
                .is_none_or(|next| *next < target(p))
        };
        session.reading.keys().all(read) && session.reading.keys().any(unpublished)
    }

    /// Until-end: whether everything before the targets is published, by us or by others.
    pub(super) fn reached_end(&self, session: &Session) -> bool {
        session.committing.is_none()
            && self.targets.as_ref().is_some_and(|targets| {
                targets.iter().all(|(partition, target)| {
                    session
                        .published
                        .get(partition)
                        .is_some_and(|next| next >= target)
                })
            })
    }
}
