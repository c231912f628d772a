//! Which partitions are ours, which are being read and from where: plain state, no client.
//!
//! ```text
//! Rebalance (noted by a callback) ─► Membership ─► SourceEvent, and what the client is told
//! ```
//!
//! Owns: the next offset of every started partition, and the answers that are still owed to the
//! group.
//! Does not own: calls to the client.

use std::collections::{BTreeMap, BTreeSet};

use super::super::SourceEvent;
use super::native::Rebalance;

/// The state of this member of the group.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Given by the group and not yet released.
    held: BTreeSet<i32>,
    /// In the client's assignment, so fetched.
    attached: BTreeSet<i32>,
    /// Asked back or lost, and not yet released. The client waits for one answer to all of them.
    owed: BTreeSet<i32>,
    /// Taken without being asked back, and not yet released.
    lost: BTreeSet<i32>,
    /// Whether the group waits for our answer to a revocation.
    answer_owed: bool,
    /// By partition: first offset that was not handed out, when it was started.
    next: Vec<Option<i64>>,
    /// Started at an offset that the client could not be set to yet; nothing is handed out.
    adrift: BTreeMap<i32, i64>,
}

impl Membership {
    /// Takes note of what the group wants; says what the writer is told.
    pub(super) fn note(&mut self, change: Rebalance) -> Option<SourceEvent> {
        match change {
            Rebalance::Given(partitions) => {
                self.held.extend(&partitions);
                (!partitions.is_empty()).then_some(SourceEvent::Assigned(partitions))
            }
            Rebalance::Taken { partitions, lost } => {
                self.answer_owed = true;
                self.owed.extend(&partitions);
                if lost {
                    self.lose(partitions)
                } else {
                    (!partitions.is_empty()).then_some(SourceEvent::Revoked(partitions))
                }
            }
        }
    }

    /// The group has put us out: everything that we hold may be another's already.
    pub(super) fn put_out(&mut self) -> Option<SourceEvent> {
        self.lose(self.held.iter().copied().collect())
    }

    /// Silences partitions and says which of them the writer does not know to be lost.
    fn lose(&mut self, mut partitions: Vec<i32>) -> Option<SourceEvent> {
        partitions.retain(|number| self.held.contains(number) && !self.lost.contains(number));
        for partition in &partitions {
            self.silence(*partition);
        }
        self.lost.extend(&partitions);
        (!partitions.is_empty()).then_some(SourceEvent::Lost(partitions))
    }

    /// Whether the message may be handed out; if so, the next one must come after it.
    pub(super) fn admit(&mut self, partition: i32, offset: i64) -> bool {
        match self.slot(partition) {
            Some(Some(next)) if offset >= *next => {
                *next = offset + 1;
                true
            }
            _ => false,
        }
    }

    /// Whether the end of the partition may be told; if so, the next message must come after it.
    pub(super) fn admit_end(&mut self, partition: i32, end: i64) -> bool {
        match self.slot(partition) {
            Some(Some(next)) if end >= *next => {
                *next = end;
                true
            }
            _ => false,
        }
    }

    fn slot(&mut self, partition: i32) -> Option<&mut Option<i64>> {
        self.next.get_mut(usize::try_from(partition).ok()?)
    }

    /// Nothing of the partition is handed out from here on.
    fn silence(&mut self, partition: i32) {
        self.adrift.remove(&partition);
        if let Some(slot) = self.slot(partition) {
            *slot = None;
        }
    }

    /// Messages of the partition from `offset` on are handed out from here on.
    fn listen(&mut self, partition: i32, offset: i64) {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        if index >= self.next.len() {
            self.next.resize(index.saturating_add(1), None);
        }
        self.next[index] = Some(offset);
        self.adrift.remove(&partition);
    }

    /// Splits what is to be started into what must be attached and what must be sought.
    /// Partitions that were lost meanwhile are left out: the writer has an event about them.
    ///
    /// # Errors
    /// The first partition that the group did not give us.
    pub(super) fn plan_start(&self, from: &[(i32, i64)]) -> Result<StartPlan, i32> {
        let mut plan = StartPlan::default();
        for &(partition, offset) in from {
            if !self.held.contains(&partition) {
                return Err(partition);
            }
            if self.lost.contains(&partition) {
                continue;
            }
            if self.attached.contains(&partition) {
                plan.seek.push((partition, offset));
            } else {
                plan.attach.push((partition, offset));
            }
        }
        Ok(plan)
    }

    /// The client fetches these partitions from these offsets now.
    pub(super) fn attached_at(&mut self, from: &[(i32, i64)]) {
        for &(partition, offset) in from {
            self.attached.insert(partition);
            self.listen(partition, offset);
        }
    }

    /// The client was set to this offset.
    pub(super) fn sought(&mut self, partition: i32, offset: i64) {
        self.listen(partition, offset);
    }

    /// The client could not be set to this offset yet.
    pub(super) fn not_sought(&mut self, partition: i32, offset: i64) {
        self.silence(partition);
        self.adrift.insert(partition, offset);
    }

    /// Partitions that the client still has to be set to an offset.
    pub(super) fn adrift(&self) -> Vec<(i32, i64)> {
        self.adrift
            .iter()
            .map(|(number, at)| (*number, *at))
            .collect()
    }

    /// Where every partition that is being read stands, those left out that are silent.
    pub(super) fn positions(&self) -> Vec<(i32, i64)> {
        self.attached
            .iter()
            .filter_map(|number| {
                let index = usize::try_from(*number).ok()?;
                Some((*number, self.next.get(index).copied().flatten()?))
            })
            .collect()
    }

    /// Where the partition is read, or will be once the client was set to it; `None` when it is
    /// not ours to read.
    pub(super) fn position(&self, partition: i32) -> Option<i64> {
        let index = usize::try_from(partition).ok()?;
        self.adrift
            .get(&partition)
            .copied()
            .or_else(|| self.next.get(index).copied().flatten())
    }

    /// Whether the group waits for our answer to a revocation.
    pub(super) fn owes_answer(&self) -> bool {
        self.answer_owed
    }

    /// All partitions that the client fetches.
    pub(super) fn attached(&self) -> Vec<i32> {
        self.attached.iter().copied().collect()
    }

    /// Gives partitions up. Once everything that is owed was given up, says which partitions the
    /// client must let go of, in one call: the group takes that call for the answer.
    pub(super) fn release(&mut self, partitions: &[i32]) -> Option<Vec<i32>> {
        for partition in partitions {
            self.silence(*partition);
            self.held.remove(partition);
            self.lost.remove(partition);
        }
        let given_up = self.owed.iter().all(|number| !self.held.contains(number));
        (self.answer_owed && given_up).then(|| {
            self.owed
                .iter()
                .filter(|number| self.attached.contains(number))
                .copied()
                .collect()
        })
    }

    /// The group has our answer.
    pub(super) fn answered(&mut self) {
        self.answer_owed = false;
        for partition in std::mem::take(&mut self.owed) {
            self.attached.remove(&partition);
        }
    }

    /// Gives up everything that is owed, whatever the writer says: it is closing.
    pub(super) fn give_up_owed(&mut self) -> Option<Vec<i32>> {
        let owed: Vec<i32> = self.owed.iter().copied().collect();
        self.release(&owed)
    }
}

/// What [`Membership::plan_start`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StartPlan {
    /// Not fetched yet: partition and offset.
    pub(super) attach: Vec<(i32, i64)>,
    /// Fetched already, from elsewhere: partition and offset.
    pub(super) seek: Vec<(i32, i64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(partitions: &[i32]) -> Rebalance {
        Rebalance::Taken {
            partitions: partitions.to_vec(),
            lost: false,
        }
    }

    fn member_reading(partitions: &[(i32, i64)]) -> Membership {
        let mut member = Membership::default();
        let numbers = partitions.iter().map(|(number, _)| *number).collect();
        member.note(Rebalance::Given(numbers));
        member.attached_at(partitions);
        member
    }

    #[test]
    fn nothing_is_handed_out_before_the_start() {
        let mut member = Membership::default();
        // GIVEN a partition that the group gave us
        let event = member.note(Rebalance::Given(vec![2]));
        assert_eq!(event, Some(SourceEvent::Assigned(vec![2])));
        // WHEN a message comes before the start THEN it is refused
        assert!(!member.admit(2, 0));
        // WHEN it was started THEN messages pass from there on, each once
        member.attached_at(&[(2, 5)]);
        assert!(!member.admit(2, 4));
        assert!(member.admit(2, 5));
        assert!(!member.admit(2, 5));
        assert!(member.admit(2, 9));
        assert!(!member.admit_end(2, 9));
        assert!(member.admit_end(2, 12));
        assert!(!member.admit(2, 11));
        assert!(!member.admit(-1, 0));
        assert!(!member.admit(7, 0));
    }

    #[test]
    fn the_answer_waits_for_the_last_release() {
        let mut member = member_reading(&[(0, 0), (1, 0), (2, 0)]);
        let event = member.note(taken(&[0, 2]));
        assert_eq!(event, Some(SourceEvent::Revoked(vec![0, 2])));
        // Still ours until released.
        assert!(member.admit(0, 0));
        assert_eq!(member.release(&[0]), None);
        assert!(!member.admit(0, 1));
        assert!(member.admit(2, 0));
        assert_eq!(member.release(&[2]), Some(vec![0, 2]));
        member.answered();
        assert_eq!(member.attached(), vec![1]);
        assert!(member.admit(1, 0));
    }

    #[test]
    fn partitions_that_were_never_started_are_answered_too() {
        let mut member = Membership::default();
        member.note(Rebalance::Given(vec![0]));
        member.note(taken(&[0]));
        assert_eq!(member.release(&[0]), Some(vec![]));
    }

    #[test]
    fn lost_partitions_are_silent_at_once_and_cannot_be_started() {
        let mut member = member_reading(&[(0, 0)]);
        let event = member.note(Rebalance::Taken {
            partitions: vec![0],
            lost: true,
        });
        assert_eq!(event, Some(SourceEvent::Lost(vec![0])));
        assert!(!member.admit(0, 0));
        assert_eq!(member.plan_start(&[(0, 0)]), Ok(StartPlan::default()));
        assert_eq!(member.release(&[0]), Some(vec![0]));
        member.answered();
        assert_eq!(member.plan_start(&[(0, 0)]), Err(0));
    }

    #[test]
    fn being_put_out_loses_everything_and_is_told_once() {
        // GIVEN a member that the group has put out, while the client has not asked anything yet
        let mut member = member_reading(&[(0, 0), (1, 0)]);
        assert_eq!(member.put_out(), Some(SourceEvent::Lost(vec![0, 1])));
        assert!(!member.admit(0, 0));
        assert_eq!(member.release(&[0, 1]), None);
        // WHEN the client asks for the partitions at last THEN it is answered without the writer
        let event = member.note(Rebalance::Taken {
            partitions: vec![0, 1],
            lost: true,
        });
        assert_eq!(event, None);
        assert_eq!(member.release(&[]), Some(vec![0, 1]));
    }

    #[test]
    fn a_second_start_seeks_and_stays_silent_until_sought() {
        let mut member = member_reading(&[(0, 10)]);
        let plan = member.plan_start(&[(0, 3)]).expect("it is ours");
        assert_eq!((plan.attach.len(), plan.seek), (0, vec![(0, 3)]));
        member.not_sought(0, 3);
        assert!(!member.admit(0, 10));
        assert_eq!(member.adrift(), vec![(0, 3)]);
        member.sought(0, 3);
        assert!(member.adrift().is_empty());
        assert!(member.admit(0, 3));
    }

    #[test]
    fn releasing_what_nobody_asked_for_answers_nothing() {
        let mut member = member_reading(&[(0, 0)]);
        assert_eq!(member.release(&[0]), None);
        assert!(!member.admit(0, 0));
    }
}
