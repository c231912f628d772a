//! Where messages come from: the port, and the words for places in a topic.
//!
//! ```text
//! Kafka topic ─► Source::poll ─► Message (borrowed bytes) ─► decode
//! ```
//!
//! Owns: source partitions, offset ranges, the `Source` port. `kafka` is the only room that knows
//! the Kafka client.
//! Does not own: where to start reading. The commit log decides that, never the consumer group.

pub mod file;
pub mod kafka;
#[cfg(any(test, feature = "simulation"))]
pub mod memory;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One partition of one incarnation of a topic.
///
/// A topic that is deleted and created again has another id, so its offsets can never be taken for
/// those of its predecessor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePartition {
    /// The topic's id as the broker gives it (base64 of a UUID).
    pub topic_id: String,
    /// The partition's number.
    pub partition: i32,
}

impl SourcePartition {
    /// Begins the ids that stand for work on the table and for no topic. No topic's id has a space.
    const UPKEEP: &'static str = "lake-writer ";

    /// And these, files.
    const FILE: &'static str = "file ";

    /// What is claimed for work on the table itself, such as `repair`: of two that claim the same,
    /// the later fences the earlier.
    pub fn of_upkeep(work: &str) -> Self {
        Self {
            topic_id: format!("{}{work}", Self::UPKEEP),
            partition: 0,
        }
    }

    /// A file that was written into the table: one set's file of this name with these bytes, under a
    /// negative number that nothing else in the table has. Neither a set's name nor a fingerprint has a
    /// space or a slash.
    pub fn of_file(set: &str, name: &str, fingerprint: &str, number: i32) -> Self {
        Self {
            topic_id: format!("{}{}{set}/{name} {fingerprint}", Self::UPKEEP, Self::FILE),
            partition: number,
        }
    }

    /// Set, name and fingerprint of the file that it is, if it is one.
    pub fn as_file(&self) -> Option<(&str, &str, &str)> {
        let rest = self.topic_id.strip_prefix(Self::UPKEEP)?;
        let (name, fingerprint) = rest.strip_prefix(Self::FILE)?.rsplit_once(' ')?;
        let (set, name) = name.split_once('/')?;
        (self.partition < 0).then_some((set, name, fingerprint))
    }

    /// Whether it is a topic's.
    pub fn is_of_topic(&self) -> bool {
        !self.topic_id.starts_with(Self::UPKEEP)
    }
}

impl std::fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic_id, self.partition)
    }
}

/// Offsets of one source partition, half-open: `start` is included, `next` is the first offset
/// that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "StoredRange")]
pub struct OffsetRange {
    start: i64,
    next: i64,
}

/// An offset range as it was stored, before it is checked.
#[derive(Deserialize)]
struct StoredRange {
    start: i64,
    next: i64,
}

impl TryFrom<StoredRange> for OffsetRange {
    type Error = String;

    fn try_from(StoredRange { start, next }: StoredRange) -> Result<Self, String> {
        if start >= 0 && next >= start {
            Ok(Self { start, next })
        } else {
            Err(format!(
                "an offset range runs forwards, this one from {start} to {next}"
            ))
        }
    }
}

impl OffsetRange {
    /// The range from `start` up to, but without, `next`.
    ///
    /// # Panics
    /// When `next` lies before `start` or `start` is negative: offsets only grow.
    pub fn new(start: i64, next: i64) -> Self {
        assert!(
            start >= 0 && next >= start,
            "an offset range runs forwards: {start}..{next}"
        );
        Self { start, next }
    }

    /// First offset inside.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// First offset after.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Number of offsets, which is at least the number of messages.
    pub fn len(&self) -> i64 {
        self.next - self.start
    }

    /// Whether no offset lies inside.
    pub fn is_empty(&self) -> bool {
        self.next == self.start
    }
}

/// A message as the source lends it: the bytes live until the callback returns.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Number of the source partition.
    pub partition: i32,
    /// Offset inside the partition.
    pub offset: i64,
    /// Milliseconds since the epoch, when the topic carries timestamps.
    pub timestamp_ms: Option<i64>,
    /// Message key.
    pub key: Option<&'a [u8]>,
    /// Message value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What happened to the membership or the connection, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// The group gave us these partitions. Nothing is read from them until [`Source::start`].
    Assigned(Vec<i32>),
    /// The group asks these partitions back. They stay ours until [`Source::release`].
    Revoked(Vec<i32>),
    /// These partitions were taken from us without being asked back: another may read them already.
    Lost(Vec<i32>),
    /// The brokers went out of reach; the client keeps trying by itself.
    Away(String),
    /// The brokers are back.
    Back,
}

/// What one call of [`Source::poll`] brought.
#[derive(Debug, Default)]
pub struct Polled {
    /// Messages handed to the callback.
    pub messages: usize,
    /// Partitions that were read to their end, with the first offset that was not yet there: every
    /// message before it was handed out, and what lies between the last one and it are transaction
    /// markers, aborted batches or compacted offsets. It belongs to this call's messages: kept for
    /// later, it could be taken for the end of a reading begun anew at an earlier offset.
    pub ends: Vec<(i32, i64)>,
    /// Events, in order. Messages of the same call precede all of them.
    pub events: Vec<SourceEvent>,
}

/// First offset that is still there, and the one that the next message will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Low watermark: first offset that retention has left.
    pub low: i64,
    /// High watermark: offset of the next message.
    pub high: i64,
}

/// Which incarnation of which topic this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicIdentity {
    /// The topic's name.
    pub name: String,
    /// The topic's id, see [`SourcePartition::topic_id`].
    pub topic_id: String,
    /// How many partitions it has now.
    pub partitions: i32,
}

/// What goes wrong with a source, by what there is to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Worth trying again: a broker away, a coordinator that moves.
    #[error("{action}: {reason}")]
    Transient {
        /// What was tried.
        action: String,
        /// What the client said.
        reason: String,
    },
    /// A person has to act; going on could lose or double rows.
    #[error("{problem}; {remedy}")]
    Halt {
        /// What is wrong, naming the thing.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

/// How far open ranges were read by one call of [`RangeReader::poll`].
#[derive(Debug, Default)]
pub struct ReadProgress {
    /// Messages handed to the sink.
    pub messages: usize,
    /// Partitions whose range was read to its end in this call; their messages precede this.
    pub done: Vec<i32>,
    /// Partitions that end before their range does, with the first offset that was not there.
    /// They stay open: more may come, or an open transaction may end.
    pub short: Vec<(i32, i64)>,
    /// Ranges that are still open.
    pub open: usize,
    /// Brokers out of reach, or back.
    pub events: Vec<SourceEvent>,
}

/// A reader of given ranges of one topic, outside of any group. All calls come from one thread.
pub trait RangeReader {
    /// Which incarnation of the topic this is, and how many partitions it has.
    ///
    /// # Errors
    /// Halts when the topic is missing, was created again since the first call, or may not be
    /// read; transient when the brokers do not answer.
    fn identify(&mut self) -> Result<TopicIdentity, SourceError>;

    /// Low and high watermark of a partition as the broker has them now. The high one is where
    /// committed messages end: it lies before those of an open transaction.
    ///
    /// # Errors
    /// Halts when there is no such partition; transient when the broker does not answer.
    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError>;

    /// For each partition the first offset whose message is at or after a time (milliseconds since
    /// the epoch); `None` when there is no message that late.
    ///
    /// # Errors
    /// Halts when there is no such partition; transient when the brokers do not answer.
    fn offsets_at(
        &mut self,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<(i32, Option<i64>)>, SourceError>;

    /// Begins to read ranges, one a partition, in place of those that are open. Asks the brokers
    /// whether the partitions are there.
    ///
    /// # Errors
    /// Halts when the topic or a partition is not there; transient when the brokers do not answer.
    fn open(&mut self, ranges: &[(i32, OffsetRange)]) -> Result<(), SourceError>;

    /// Hands every waiting message of the open ranges to `sink` and returns; waits up to
    /// `max_wait` when there is none.
    ///
    /// # Errors
    /// Halts when a range is not there any more, holds damaged messages, or the topic is gone.
    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<ReadProgress, SourceError>;
}

/// A consumer of one topic, member of a group. All calls come from one thread.
pub trait Source: Send {
    /// The topic as it was at the start. Asks the broker, so that a topic re-created since is seen.
    fn identify(&mut self) -> Result<TopicIdentity, SourceError>;

    /// Hands every waiting message (a few thousand at most) to `sink` and returns; waits up to
    /// `max_wait` when there is none. Never hands out a message of a partition that was not
    /// started, that was released, or of an offset before the one it was started at.
    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Polled, SourceError>;

    /// Low and high watermark as the broker has them now.
    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError>;

    /// Reads the partitions from these offsets on. One that is being read already is set back (or
    /// forward) to the offset given, and messages fetched before are dropped.
    fn start(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError>;

    /// Gives partitions back to the group, after [`SourceEvent::Revoked`] or
    /// [`SourceEvent::Lost`]; afterwards none of their messages is handed out.
    fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError>;

    /// High watermark as the last fetch brought it, without asking the broker; `None` before the
    /// first fetch. With read-committed isolation it may lie past what can be read yet.
    fn cached_high(&self, partition: i32) -> Option<i64>;

    /// Stops fetching from all started partitions, and from those started later; no message is
    /// handed out until [`Source::resume`]. Polling goes on to stay in the group.
    fn pause(&mut self) -> Result<(), SourceError>;

    /// Fetches again, from the message after the last one handed out.
    fn resume(&mut self) -> Result<(), SourceError>;

    /// Tells the group how far the table has come, for lag monitors only; not waited for.
    fn acknowledge(&mut self, next: &[(i32, i64)]);

    /// Leaves the group and closes.
    fn close(self: Box<Self>);
}
