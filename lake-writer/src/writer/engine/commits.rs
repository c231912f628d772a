//! When the cut is committed, one commit at a time, and the end of it.

use std::time::Duration;

use crate::clock::Chance;
use crate::commit::CommitError;
use crate::member::LOOK_EVERY;
use crate::source::{SourceError, TopicIdentity};
use crate::telemetry::{EngineState, Phase};
use crate::writer::WriterError;
use crate::writer::commit::{self, Committed};
use crate::writer::cut::Relief;
use crate::writer::session::Session;

use super::Engine;

/// A cut is committed up to this part of its age earlier.
const HASTE: u32 = 10;

/// How much earlier than by its age the next cut is committed: writers that were started together would
/// meet at the log with every commit otherwise.
fn haste(max_age: Duration, chance: &mut Chance) -> Duration {
    chance.up_to(max_age / HASTE)
}

impl Engine {
    /// Whether to commit now. Pauses the source while there is no room for more.
    pub(super) fn rotation_due(&mut self, session: &mut Session) -> Result<bool, WriterError> {
        let relief = session.cut.relieve().map_err(CommitError::Store)?;
        let contents = session.cut.contents();
        let now = self.member.clock.monotonic() + session.haste;
        let due = relief == Relief::CommitNow
            || self.rotation.due(&contents, now).is_some()
            // Targets may lie behind the markers of transactions, which are no messages.
            || (session.cut.has_moved() && self.own_targets_read(session));
        // One commit at a time; while it is under way the next cut fills up to its own rotation.
        let crowded = relief == Relief::Wait || (due && session.committing.is_some());
        self.member.set_paused(crowded)?;
        Ok(due && session.committing.is_none())
    }

    pub(super) fn haste(&mut self) -> Duration {
        haste(self.rotation.max_age, &mut self.member.chance)
    }

    pub(super) fn begin_commit(&mut self, session: &mut Session) {
        session.haste = self.haste();
        let began = self.member.clock.monotonic();
        let sealing = session.cut.seal();
        self.member
            .metrics
            .phase(Phase::Seal, self.member.clock.monotonic() - began);
        let held = session.reading.clone();
        for held in session.reading.values_mut() {
            held.lost = 0;
        }
        let (clock, metrics) = (self.member.clock.clone(), self.member.metrics.clone());
        let commit = commit::commit(session.log.clone(), sealing, held, clock, metrics);
        session.committing = Some(self.member.runtime.spawn(commit));
    }

    pub(super) fn finish_commit(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let Some(committing) = session.committing.take() else {
            return Ok(());
        };
        if !committing.is_finished() {
            session.committing = Some(committing);
            return Ok(());
        }
        let Committed {
            report,
            next,
            since_checkpoint,
        } = self.member.finished(committing)?;
        if session.upkeep.wants_checkpoint(since_checkpoint) {
            session.upkeep.checkpoint(session.log.clone());
        }
        session.published.extend(next.iter().copied());
        self.member.source.acknowledge(&next);
        self.member.metrics.committed(&report);
        self.summary.commits += 1;
        self.summary.rows += report.rows;
        self.summary.files += report.files;
        self.summary.bytes += report.bytes;
        self.summary.dead_letters += report.dead_letters;
        self.summary.tombstones += report.tombstones;
        self.member.succeeded();
        tracing::info!(
            record = report.record,
            rows = report.rows,
            files = report.files,
            dead_letters = report.dead_letters,
            "committed and published"
        );
        Ok(())
    }

    /// Commits everything in hand and waits for it.
    pub(super) fn commit_all(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        until: Duration,
    ) -> Result<(), WriterError> {
        self.member.set_paused(true)?;
        while session.committing.is_some() || !session.cut.is_empty() {
            if session.committing.is_none() && self.same_topic(session, topic)? {
                self.begin_commit(session);
            }
            self.poll_until(session, until)?;
            self.finish_commit(session)?;
        }
        Ok(self.member.set_paused(false)?)
    }

    pub(super) fn drain(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), WriterError> {
        self.member.metrics.state(EngineState::Draining);
        tracing::info!("told to stop; committing what is in hand");
        let until = self.drain_deadline();
        self.commit_all(session, topic, until)
    }

    /// Whether everything in the cut was read from the topic that the session began with. Topic ids
    /// never return, so one look after reading is enough. `false` while the brokers cannot say.
    pub(super) fn same_topic(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<bool, WriterError> {
        let now = self.member.clock.monotonic();
        if now < session.identity_retry_at {
            return Ok(false);
        }
        match self.member.source.identify() {
            Ok(found) if found.topic_id == topic.topic_id => Ok(true),
            Ok(found) => Err(WriterError::Source(SourceError::Transient {
                action: "commit".into(),
                reason: format!(
                    "topic `{}` was deleted and created again while it was read: id {} became {}",
                    topic.name, topic.topic_id, found.topic_id
                ),
            })),
            Err(SourceError::Transient { action, reason }) => {
                tracing::debug!(action, reason, "the commit waits until the brokers answer");
                session.identity_retry_at = now + LOOK_EVERY;
                Ok(false)
            }
            Err(halt) => Err(halt.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_that_start_together_commit_apart_and_never_late() {
        let max_age = Duration::from_secs(10);
        let mut offsets = Vec::new();
        for writer in 0..16 {
            let mut chance = Chance::from_seed(writer);
            // Of one writer they differ too: two that met by chance do not go on together.
            for _ in 0..10 {
                let haste = haste(max_age, &mut chance);
                assert!(haste <= max_age / HASTE, "{haste:?}");
                offsets.push(haste.as_millis());
            }
        }
        offsets.sort_unstable();
        let quarter = |index: usize| offsets[index * offsets.len() / 4];
        assert!(quarter(1) > 150 && quarter(1) < 350, "{offsets:?}");
        assert!(quarter(3) > 650 && quarter(3) < 850, "{offsets:?}");
        assert_eq!(
            haste(Duration::ZERO, &mut Chance::from_seed(1)),
            Duration::ZERO
        );
    }
}
