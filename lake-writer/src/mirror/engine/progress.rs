//! How far the run is: lag, what others have written, and whether the end is reached.

use std::time::Duration;

use crate::mirror::MirrorError;
use crate::mirror::checkpoint;

use super::session::{Session, next_offsets};
use super::{Engine, LOOK_EVERY};

impl Engine {
    /// Once a second: lag for the metrics, and what other mirrors have written.
    pub(super) fn look(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        if let Some(looking) = session.looking.take_if(|looking| looking.is_finished()) {
            for (partition, next) in next_offsets(&self.finished(looking)?) {
                let known = session.written.entry(partition).or_insert(next);
                *known = next.max(*known);
            }
        }
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        let now_ms = self.parts.clock.wall_micros() / 1_000;
        for held in session.lanes.all.iter().flat_map(|lane| lane.held.values()) {
            let partition = held.claim.partition;
            let Some(high) = self.parts.source.cached_high(partition) else {
                continue;
            };
            let behind = (high - held.claim.next).max(0);
            let age = match held.last_ms {
                Some(read) if behind > 0 => u64::try_from(now_ms - read).unwrap_or(0),
                _ => 0,
            };
            self.parts.metrics.lag(partition, behind);
            self.parts
                .metrics
                .lag_age(partition, Duration::from_millis(age));
        }
        let others = self
            .targets
            .as_ref()
            .is_some_and(|targets| targets.len() > session.lanes.partitions().count());
        if others && session.looking.is_none() {
            let mongo = self.parts.mongo.clone();
            let looking = async move { checkpoint::read(&mongo).await };
            session.looking = Some(self.parts.runtime.spawn(looking));
        }
        Ok(())
    }

    /// Until-end: whether every target of the partitions we read has been read.
    pub(super) fn own_targets_read(&self, session: &Session) -> bool {
        self.targets.as_ref().is_some_and(|targets| {
            let target = |partition| targets.get(partition).copied().unwrap_or(0);
            let mut lanes = session.lanes.all.iter();
            lanes.all(|lane| {
                let mut held = lane.held.iter();
                held.all(|(partition, held)| held.position >= target(partition))
            })
        })
    }

    /// Until-end: whether everything before the targets is written, by us or by others.
    pub(super) fn reached_end(&self, session: &Session) -> bool {
        self.targets.as_ref().is_some_and(|targets| {
            let mut targets = targets.iter();
            targets.all(|(partition, target)| {
                let written = session.written.get(partition);
                written.is_some_and(|next| next >= target)
            })
        })
    }
}
