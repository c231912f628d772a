//! What a lane has learned of the server: how much it takes at once, and which rollups are there.
//!
//! Both are hints. A wrong one costs time and is never wrong in the result.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashSet;

use super::rollup::GRAINS;

/// Rollups of one kind that are kept in mind, eight bytes each and a little.
const MOST_KNOWN: usize = 200_000;
/// A transaction that went well lets the next ones grow by this part of the limit.
const STEP: usize = 50;

/// What a lane has learned.
#[derive(Debug)]
pub(super) struct Learned {
    limit: usize,
    most: usize,
    hasher: RandomState,
    there: [HashSet<u64>; GRAINS.len()],
}

impl Learned {
    /// Nothing yet; `limit` are the messages of a transaction at most.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            most: limit,
            hasher: RandomState::new(),
            there: Default::default(),
        }
    }

    /// Messages that the server is likely to take in one transaction.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The server has taken a transaction.
    pub(super) fn went_well(&mut self) {
        let step = self.limit.div_ceil(STEP);
        self.most = (self.most + step).min(self.limit);
    }

    /// The server could not keep a transaction of so many messages in its cache.
    pub(super) fn too_many(&mut self, messages: usize) {
        self.most = self.most.min(messages.div_ceil(2)).max(1);
    }

    /// Whether this rollup was there, by its `_id`. Takes note that it will be from now on.
    pub(super) fn note(&mut self, grain: usize, id: &[u8]) -> bool {
        let there = &mut self.there[grain];
        if there.len() >= MOST_KNOWN {
            there.clear();
        }
        !there.insert(self.hasher.hash_one(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_shrink_at_once_and_grow_slowly() {
        let mut learned = Learned::new(1_000);
        learned.too_many(1_000);
        assert_eq!(learned.most(), 500);
        learned.too_many(500);
        learned.went_well();
        assert_eq!(learned.most(), 270);
        // A small batch that failed says nothing good about larger ones.
        learned.too_many(3);
        assert_eq!(learned.most(), 2);
        for _ in 0..100 {
            learned.went_well();
        }
        assert_eq!(learned.most(), 1_000);
    }

    #[test]
    fn rollups_are_known_once_they_were_seen() {
        let mut learned = Learned::new(1);
        assert!(!learned.note(0, b"a"));
        assert!(learned.note(0, b"a"));
        assert!(!learned.note(1, b"a"), "another kind of bucket");
        assert!(!learned.note(0, b"b"));
    }
}
