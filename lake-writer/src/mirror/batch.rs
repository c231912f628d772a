//! Messages that one transaction is to write, of one or several source partitions.
//!
//! ```text
//! Message (borrowed) ─► Batch: a copy, with the offsets it reaches ─► prepared
//! ```
//!
//! The bytes are kept until the transaction is committed, not only their columns: a document that
//! the server refuses becomes a dead letter with the message as it was.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::source::Message;

/// Bytes counted for a message beside its key and value.
const MESSAGE_BYTES: usize = 64;

/// A message, by where its bytes lie.
#[derive(Clone, Debug)]
struct Kept {
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// Messages in the order in which they came; those of one source partition in order of offset.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// By source partition, the first offset behind what this covers.
    ends: BTreeMap<i32, i64>,
    kept: Vec<Kept>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Takes a copy of a message.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, value) = (message.key.map(&mut keep), message.value.map(&mut keep));
        self.kept.push(Kept {
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key,
            value,
        });
        self.ends.insert(message.partition, message.offset + 1);
    }

    /// There is no message of this partition before `next` any more.
    pub(super) fn advance(&mut self, partition: i32, next: i64) {
        self.ends.insert(partition, next);
    }

    /// Whether it covers any offset.
    pub(super) fn has_moved(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Messages.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.kept.len() * MESSAGE_BYTES
    }

    /// By source partition, the first offset that is not covered by the messages before `index`.
    /// What has no message is covered with the last one.
    pub(super) fn ends_before(&self, index: usize) -> BTreeMap<i32, i64> {
        let mut ends = self.ends.clone();
        for kept in self.kept[index..].iter().rev() {
            ends.insert(kept.partition, kept.offset);
        }
        ends
    }

    /// The message at an index.
    pub(super) fn message(&self, index: usize) -> Message<'_> {
        let kept = &self.kept[index];
        let lend = |range: &Option<Range<usize>>| range.clone().map(|range| &self.bytes[range]);
        Message {
            partition: kept.partition,
            offset: kept.offset,
            timestamp_ms: kept.timestamp_ms,
            key: lend(&kept.key),
            value: lend(&kept.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(partition: i32, offset: i64) -> Message<'static> {
        Message {
            partition,
            offset,
            timestamp_ms: None,
            key: None,
            value: Some(b"{}"),
        }
    }

    #[test]
    fn a_part_of_a_batch_ends_where_the_rest_begins() {
        // GIVEN two partitions by turns, of which one has a gap at its end
        let mut batch = Batch::default();
        for (partition, offset) in [(0, 5), (3, 70), (0, 6), (3, 75)] {
            batch.push(&message(partition, offset));
        }
        batch.advance(0, 9);
        // THEN each prefix ends before the first message that it does not hold
        let ends = |index| Vec::from_iter(batch.ends_before(index));
        assert_eq!(ends(0), [(0, 5), (3, 70)]);
        assert_eq!(ends(1), [(0, 6), (3, 70)]);
        assert_eq!(ends(2), [(0, 6), (3, 75)]);
        assert_eq!(ends(3), [(0, 9), (3, 75)]);
        assert_eq!(ends(4), [(0, 9), (3, 76)]);
    }

    #[test]
    fn offsets_without_messages_are_covered_too() {
        let mut batch = Batch::default();
        assert!(!batch.has_moved());
        batch.advance(2, 40);
        assert!(batch.has_moved());
        assert_eq!(Vec::from_iter(batch.ends_before(0)), [(2, 40)]);
    }
}
