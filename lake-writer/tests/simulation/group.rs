//! A consumer group's coordinator: cooperative, as Kafka's is, and sometimes not asking.
//!
//! Owns: who has which partition, what each member still has to hear.
//! Does not own: when it moves partitions about (`world`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lake_writer::source::SourceEvent;

use super::dice::Dice;

/// The members and what they have.
#[derive(Debug, Default)]
pub(crate) struct Group {
    members: BTreeMap<u32, Member>,
    /// Owner of each partition that has one.
    owners: BTreeMap<i32, u32>,
    /// Partitions that were asked back, and who gets them then; nobody when that one has gone.
    asked_back: BTreeMap<i32, Option<u32>>,
}

#[derive(Debug, Default)]
struct Member {
    events: VecDeque<SourceEvent>,
}

impl Group {
    /// A process that was not there before.
    pub(crate) fn join(&mut self, member: u32) {
        self.members.entry(member).or_default();
    }

    /// A process left, or the coordinator counts it as dead; it hears of that if it lives on.
    pub(crate) fn put_out(&mut self, member: u32) {
        let lost = self.owned(member);
        self.owners.retain(|_, owner| *owner != member);
        self.asked_back
            .retain(|partition, _| !lost.contains(partition));
        for to in self.asked_back.values_mut() {
            *to = to.filter(|to| *to != member);
        }
        if let Some(member) = self.members.get_mut(&member)
            && !lost.is_empty()
        {
            member.events.push_back(SourceEvent::Lost(lost));
        }
    }

    /// A process is gone for good.
    pub(crate) fn remove(&mut self, member: u32) {
        self.put_out(member);
        self.members.remove(&member);
    }

    fn owned(&self, member: u32) -> Vec<i32> {
        let owned = self.owners.iter().filter(|(_, owner)| **owner == member);
        owned.map(|(partition, _)| *partition).collect()
    }

    /// Shares the partitions among `active` members anew. A partition moves with a chance of
    /// `moves` per mille, else only when nobody has it.
    pub(crate) fn rebalance(
        &mut self,
        partitions: &[i32],
        active: &[u32],
        moves: u32,
        dice: &mut Dice,
    ) {
        if active.is_empty() {
            return;
        }
        let mut given: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
        let mut asked: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            let to = dice.pick(active);
            match self.owners.get(partition) {
                None => {
                    self.owners.insert(*partition, to);
                    given.entry(to).or_default().push(*partition);
                }
                Some(owner) if *owner != to && dice.chance(moves) => {
                    if self.asked_back.insert(*partition, Some(to)).is_none() {
                        asked.entry(*owner).or_default().push(*partition);
                    }
                }
                Some(_) => {}
            }
        }
        for (member, partitions) in asked {
            self.tell(member, SourceEvent::Revoked(partitions));
        }
        for (member, partitions) in given {
            self.tell(member, SourceEvent::Assigned(partitions));
        }
    }

    /// Takes a partition from its owner without asking, and gives it to another.
    pub(crate) fn seize(&mut self, partition: i32, to: u32) {
        if let Some(owner) = self.owners.insert(partition, to) {
            self.asked_back.remove(&partition);
            self.tell(owner, SourceEvent::Lost(vec![partition]));
        }
        self.tell(to, SourceEvent::Assigned(vec![partition]));
    }

    /// A member gives back what it was asked for; whoever waits for it gets it.
    pub(crate) fn released(&mut self, member: u32, partitions: &[i32]) {
        let mut given: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            if self.owners.get(partition) != Some(&member) {
                continue;
            }
            match self.asked_back.remove(partition) {
                Some(Some(to)) => {
                    self.owners.insert(*partition, to);
                    given.entry(to).or_default().push(*partition);
                }
                Some(None) => {
                    self.owners.remove(partition);
                }
                None => {}
            }
        }
        for (member, partitions) in given {
            self.tell(member, SourceEvent::Assigned(partitions));
        }
    }

    pub(crate) fn tell(&mut self, member: u32, event: SourceEvent) {
        if let Some(member) = self.members.get_mut(&member) {
            member.events.push_back(event);
        }
    }

    pub(crate) fn tell_all(&mut self, event: &SourceEvent) {
        for member in self.members.values_mut() {
            member.events.push_back(event.clone());
        }
    }

    pub(crate) fn has_news(&self, member: u32) -> bool {
        self.members
            .get(&member)
            .is_some_and(|member| !member.events.is_empty())
    }

    /// What the member has not heard yet.
    pub(crate) fn news(&mut self, member: u32) -> Vec<SourceEvent> {
        let member = self.members.get_mut(&member);
        member
            .map(|member| member.events.drain(..).collect())
            .unwrap_or_default()
    }

    /// Partitions of the members that are not of `active` any more, or of nobody.
    pub(crate) fn orphaned(&self, partitions: &[i32], active: &BTreeSet<u32>) -> bool {
        let of_active = |partition: &i32| {
            self.owners
                .get(partition)
                .is_some_and(|owner| active.contains(owner))
        };
        !partitions.iter().all(of_active)
    }
}
