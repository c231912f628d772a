//! Messages of one source partition that one transaction is to write.
//!
//! ```text
//! Message (borrowed) ─► Batch: a copy, with the offsets it covers ─► prepared
//! ```
//!
//! The bytes are kept until the transaction is committed, not only their columns: a document that
//! the server refuses becomes a dead letter with the message as it was.

use std::ops::Range;

use crate::source::Message;

/// Bytes counted for a message beside its key and value.
const MESSAGE_BYTES: usize = 64;

/// A message, by where its bytes lie.
#[derive(Clone, Debug)]
struct Kept {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// Consecutive offsets of one source partition, `start` included, `next` not.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) partition: i32,
    pub(super) start: i64,
    pub(super) next: i64,
    kept: Vec<Kept>,
    bytes: Vec<u8>,
}

impl Batch {
    /// Holds nothing yet.
    pub(super) fn new(partition: i32, start: i64) -> Self {
        Self {
            partition,
            start,
            next: start,
            kept: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Takes a copy of a message.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let (key, value) = (message.key.map(&mut keep), message.value.map(&mut keep));
        self.kept.push(Kept {
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key,
            value,
        });
        self.next = message.offset + 1;
    }

    /// There is no message before `next` any more.
    pub(super) fn advance(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// Whether it covers any offset.
    pub(super) fn has_moved(&self) -> bool {
        self.next > self.start
    }

    /// Messages.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.kept.len() * MESSAGE_BYTES
    }

    /// The message at an index.
    pub(super) fn message(&self, index: usize) -> Message<'_> {
        let kept = &self.kept[index];
        let lend = |range: &Option<Range<usize>>| range.clone().map(|range| &self.bytes[range]);
        Message {
            partition: self.partition,
            offset: kept.offset,
            timestamp_ms: kept.timestamp_ms,
            key: lend(&kept.key),
            value: lend(&kept.value),
        }
    }
}
