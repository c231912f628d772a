//! How far the run is: lag, what others have written, and whether the end is reached.

use crate::member::LOOK_EVERY;
use crate::mirror::MirrorError;
use crate::mirror::checkpoint;
use crate::mirror::lane::Held;

use super::Engine;
use super::session::{Session, next_offsets};

impl Engine {
    /// Once a second: lag for the metrics, and what other mirrors have written.
    pub(super) fn look(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        if let Some(looking) = session.looking.take_if(|looking| looking.is_finished()) {
            for (partition, next) in next_offsets(&self.member.finished(looking)?) {
                let known = session.written.entry(partition).or_insert(next);
                *known = next.max(*known);
            }
        }
        let now = self.member.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        for held in session.lanes.all.iter().flat_map(|lane| lane.held.values()) {
            let claim = held.claim;
            self.member
                .report_lag(claim.partition, claim.next, held.last_ms);
        }
        let own = session.lanes.partitions().count();
        let others = self.member.waits_for_others(own);
        if others && session.looking.is_none() {
            let mongo = self.mongo.clone();
            let looking = async move { checkpoint::read(&mongo).await };
            session.looking = Some(self.member.runtime.spawn(looking));
        }
        Ok(())
    }

    /// Until-end: whether every target of the partitions we read has been read.
    pub(super) fn own_targets_read(&self, session: &Session) -> bool {
        let is_read =
            |(partition, held): (&i32, &Held)| held.position >= self.member.target(*partition);
        let lanes = &session.lanes.all;
        self.member.has_end() && lanes.iter().all(|lane| lane.held.iter().all(is_read))
    }
}
