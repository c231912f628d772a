//! A topic, and what was sent to it.
//!
//! Owns: the messages by offset, so that the oracle knows what must come out.
//! Does not own: who reads what (`group`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dice::Dice;
use super::group::Group;
use super::scenario::Scenario;

pub(crate) const TOPIC: &str = "sales";
pub(crate) const TOPIC_ID: &str = "sales-1";
pub(crate) const REGIONS: [&str; 3] = ["Île-de-France", "Corse", "Provence-Alpes-Côte d'Azur"];

/// What lies at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A sale that becomes a row.
    Row {
        region: usize,
        amount: i64,
        value: Vec<u8>,
    },
    /// Bytes that become a dead letter.
    Malformed(Vec<u8>),
    Tombstone,
    /// No message: a transaction's marker, or compacted.
    Gap,
}

impl Sent {
    /// The message's value; `None` when there is no message at all.
    pub(crate) fn value(&self) -> Option<Option<&[u8]>> {
        match self {
            Self::Row { value, .. } | Self::Malformed(value) => Some(Some(value)),
            Self::Tombstone => Some(None),
            Self::Gap => None,
        }
    }
}

/// One partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    /// First offset that retention has left.
    pub(crate) low: i64,
    pub(crate) sent: Vec<Sent>,
}

impl Partition {
    pub(crate) fn high(&self) -> i64 {
        i64::try_from(self.sent.len()).expect("few messages")
    }

    pub(crate) fn at(&self, offset: i64) -> Option<&Sent> {
        usize::try_from(offset)
            .ok()
            .and_then(|at| self.sent.get(at))
    }
}

/// The topic and its consumers.
#[derive(Clone, Debug)]
pub(crate) struct Topic(Arc<Mutex<Brokers>>);

#[derive(Debug)]
pub(crate) struct Brokers {
    pub(crate) dice: Dice,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) group: Group,
    pub(crate) away: bool,
    /// Per mille of questions that go wrong.
    pub(crate) errors: u32,
    /// Most messages of one poll.
    pub(crate) batch: usize,
    kinds: Kinds,
}

#[derive(Clone, Copy, Debug)]
struct Kinds {
    regions: usize,
    malformed: u32,
    tombstones: u32,
    gaps: u32,
}

impl Topic {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self(Arc::new(Mutex::new(Brokers {
            dice: Dice::new(scenario.seed, 2),
            partitions: vec![Partition::default(); scenario.partitions],
            group: Group::default(),
            away: false,
            errors: scenario.rates.broker_error,
            batch: scenario.batch,
            kinds: Kinds {
                regions: scenario.regions,
                malformed: scenario.malformed,
                tombstones: scenario.tombstones,
                gaps: scenario.gaps,
            },
        })))
    }

    pub(crate) fn brokers(&self) -> MutexGuard<'_, Brokers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Brokers {
    /// Sends so many messages to partitions drawn at random.
    pub(crate) fn send(&mut self, messages: usize) {
        for _ in 0..messages {
            let at = self.dice.below(self.partitions.len());
            let sent = self.message();
            self.partitions[at].sent.push(sent);
        }
    }

    /// Sends one message to each partition.
    pub(crate) fn send_to_each(&mut self) {
        for at in 0..self.partitions.len() {
            let sent = self.message();
            self.partitions[at].sent.push(sent);
        }
    }

    /// How many messages and gaps were sent.
    pub(crate) fn sent(&self) -> usize {
        self.partitions
            .iter()
            .map(|partition| partition.sent.len())
            .sum()
    }

    /// Whether every message lies before the `next` offset of its partition.
    pub(crate) fn are_written(&self, next: &BTreeMap<i32, i64>) -> bool {
        let mut partitions = self.numbers().into_iter().zip(&self.partitions);
        partitions.all(|(number, partition)| {
            let last = partition.sent.iter().rposition(|sent| *sent != Sent::Gap);
            let after = last.map_or(0, |last| i64::try_from(last + 1).expect("few messages"));
            // What retention has taken is not waited for.
            let after = if after > partition.low { after } else { 0 };
            next.get(&number).copied().unwrap_or(0) >= after
        })
    }

    fn message(&mut self) -> Sent {
        let Kinds {
            regions,
            malformed,
            tombstones,
            gaps,
        } = self.kinds;
        if self.dice.chance(gaps) {
            return Sent::Gap;
        }
        if self.dice.chance(tombstones) {
            return Sent::Tombstone;
        }
        let amount = i64::from_ne_bytes(self.dice.draw().to_ne_bytes());
        if self.dice.chance(malformed) {
            return Sent::Malformed(format!("{{\"region\":null,\"amount\":{amount}").into_bytes());
        }
        let region = self.dice.below(regions);
        let name = REGIONS[region];
        let value = format!("{{\"region\":\"{name}\",\"amount\":{amount}}}").into_bytes();
        Sent::Row {
            region,
            amount,
            value,
        }
    }

    /// Partitions by number.
    pub(crate) fn numbers(&self) -> Vec<i32> {
        let count = i32::try_from(self.partitions.len()).expect("few partitions");
        (0..count).collect()
    }

    pub(crate) fn partition(&self, number: i32) -> Option<&Partition> {
        usize::try_from(number)
            .ok()
            .and_then(|at| self.partitions.get(at))
    }
}
