//! What is known of the sales of one stretch of time: how amounts spread, and a sample of customers, by group.

use std::collections::HashMap;

use super::customers::Level;
use super::moments::Moments;
use crate::cube::GroupId;

/// What the sales of a group come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Of amounts; sales without one are left out.
    pub moments: Moments,
    /// Sales.
    pub sales: i64,
    /// Sales whose customer is known.
    pub identified: i64,
}

impl Tally {
    /// Adds what another group or bucket has.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.sales += other.sales;
        self.identified += other.identified;
    }
}

/// Sales of one stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// By group.
    pub tallies: HashMap<GroupId, Tally>,
    /// Hashes of customers by group, each pair once when the bucket is sealed.
    pub sample: Vec<(GroupId, u64)>,
    /// The level of its sample.
    pub(super) level: Level,
    room: usize,
    seal_at: usize,
}

/// A sample is looked through when it has grown by so many.
const SEAL_AFTER: usize = 1 << 16;

impl Bucket {
    /// An empty one, whose sample begins with one customer in so many and has room for some.
    pub(super) fn new(level: Level, room: usize) -> Self {
        Self {
            level,
            room,
            seal_at: SEAL_AFTER,
            ..Self::default()
        }
    }

    /// Adds one sale.
    pub fn add(&mut self, group: GroupId, amount: Option<i128>, customer: Option<u64>) {
        let tally = self.tallies.entry(group).or_default();
        tally.sales += 1;
        tally.identified += i64::from(customer.is_some());
        if let Some(amount) = amount {
            tally.moments.push(amount);
        }
        if let Some(hash) = customer.filter(|hash| self.level.keeps(*hash)) {
            self.sample.push((group, hash));
            if self.sample.len() >= self.seal_at {
                self.seal();
            }
        }
    }

    /// Leaves each customer of a group once in the sample, and no more than fit.
    pub(super) fn seal(&mut self) {
        self.sample.sort_unstable();
        self.sample.dedup();
        while self.sample.len() > self.room {
            self.thin(Level(self.level.0 + 1));
        }
        self.sample.shrink_to_fit();
        self.seal_at = (2 * self.sample.len()).max(SEAL_AFTER);
    }

    pub(super) fn thin(&mut self, level: Level) {
        self.level = level;
        self.sample.retain(|(_, hash)| level.keeps(*hash));
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (group, tally) in other.tallies {
            self.tallies.entry(group).or_default().merge(&tally);
        }
        self.sample.extend(other.sample);
        self.seal();
    }
}
