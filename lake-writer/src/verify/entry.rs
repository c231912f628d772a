//! What both sides are turned into, and the sums in which they are compared first.
//!
//! ```text
//! topic ─► Entry ─┐
//!                 ├─► Digest of each stretch ─► the same, or a stretch to look at offset by offset
//! lake  ─► Entry ─┘
//! ```

use super::hash::RowHash;

/// What stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A row below `data/`, or a message that makes one.
    Row,
    /// A dead letter, or a message that makes one.
    DeadLetter,
    /// A message without a value. The lake has none.
    Tombstone,
}

/// One message, or what the lake has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) kind: Kind,
    /// Hash of a row's columns, or of a dead letter's key, value and timestamp.
    pub(super) content: u128,
    /// Hash of the row's lake partition, as it is spelled in paths. 0 for dead letters.
    pub(super) folder: u64,
}

impl Entry {
    fn hash(&self) -> u128 {
        let mut hash = RowHash::default();
        hash.add(self.offset.cast_unsigned());
        hash.add(match self.kind {
            Kind::Row => 1,
            Kind::DeadLetter => 2,
            Kind::Tombstone => 3,
        });
        hash.add_wide(self.content);
        hash.add(self.folder);
        hash.finish()
    }
}

/// Entries of a stretch of offsets, in whatever order they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) rows: u64,
    pub(super) dead_letters: u64,
    pub(super) tombstones: u64,
    /// Sum of the hashes of rows and dead letters. A sum, since an entry that comes twice must
    /// not cancel itself out.
    sum: u128,
}

impl Digest {
    pub(super) fn add(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Row => self.rows += 1,
            Kind::DeadLetter => self.dead_letters += 1,
            Kind::Tombstone => {
                self.tombstones += 1;
                return;
            }
        }
        self.sum = self.sum.wrapping_add(entry.hash());
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.dead_letters += other.dead_letters;
        self.tombstones += other.tombstones;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Whether the lake has what the topic says, tombstones aside.
    pub(super) fn matches(&self, other: &Self) -> bool {
        (self.rows, self.dead_letters, self.sum) == (other.rows, other.dead_letters, other.sum)
    }
}
