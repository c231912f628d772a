//! A topic in memory, for tests and for the seeded simulation.
//!
//! ```text
//! a test ─► MemoryTopic (append, assign, revoke, …) ─► MemorySource ─► writer
//! ```
//!
//! Owns: the `Source` port's contract, kept to the letter, so that what passes here relies on
//! nothing that Kafka does not promise.
//! Does not own: who gets which partition. A test plays the group's coordinator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    Message, OffsetRange, Polled, RangeReader, ReadProgress, Source, SourceError, SourceEvent,
    TopicIdentity, Watermarks,
};

/// Messages handed out by one poll.
const BATCH: usize = 100;

/// A topic that several consumers share. Clones are the same topic.
#[derive(Clone, Debug)]
pub struct MemoryTopic(Arc<Mutex<Topic>>);

#[derive(Debug)]
struct Topic {
    name: String,
    topic_id: String,
    partitions: Vec<Partition>,
    events: BTreeMap<u32, VecDeque<SourceEvent>>,
    acknowledged: BTreeMap<i32, i64>,
    away: bool,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    low: i64,
    high: i64,
    /// Values by offset; an offset below `high` without an entry is a marker or compacted.
    values: BTreeMap<i64, Option<Vec<u8>>>,
}

impl MemoryTopic {
    /// An empty topic.
    pub fn new(name: &str, partitions: usize) -> Self {
        Self(Arc::new(Mutex::new(Topic {
            name: name.into(),
            topic_id: format!("{name}-1"),
            partitions: vec![Partition::default(); partitions],
            events: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            away: false,
        })))
    }

    fn topic(&self) -> MutexGuard<'_, Topic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message; `None` is a tombstone. Returns its offset.
    pub fn append(&self, partition: i32, value: Option<&[u8]>) -> i64 {
        let mut topic = self.topic();
        let partition = &mut topic.partitions[index(partition)];
        let offset = partition.high;
        partition.values.insert(offset, value.map(<[u8]>::to_vec));
        partition.high += 1;
        offset
    }

    /// Takes up an offset without a message, as the end of a transaction does.
    pub fn append_marker(&self, partition: i32) {
        self.topic().partitions[index(partition)].high += 1;
    }

    /// Takes one message away, as compaction does.
    pub fn compact_away(&self, partition: i32, offset: i64) {
        self.topic().partitions[index(partition)]
            .values
            .remove(&offset);
    }

    /// Drops messages before `low`, as retention does.
    pub fn retain_from(&self, partition: i32, low: i64) {
        let mut topic = self.topic();
        let partition = &mut topic.partitions[index(partition)];
        partition.low = low;
        partition.values.retain(|offset, _| *offset >= low);
    }

    /// Deletes the topic and creates it again, empty and with another id.
    pub fn recreate(&self) {
        let mut topic = self.topic();
        topic.topic_id.push('+');
        let partitions = topic.partitions.len();
        topic.partitions = vec![Partition::default(); partitions];
    }

    /// Adds a partition; its number is returned.
    pub fn add_partition(&self) -> i32 {
        let mut topic = self.topic();
        topic.partitions.push(Partition::default());
        i32::try_from(topic.partitions.len() - 1).expect("few partitions")
    }

    /// Whether the brokers are out of reach.
    pub fn set_away(&self, away: bool) {
        self.topic().away = away;
    }

    /// Lets the coordinator tell a member something.
    pub fn tell(&self, member: u32, event: SourceEvent) {
        self.topic()
            .events
            .entry(member)
            .or_default()
            .push_back(event);
    }

    /// Gives partitions to a member.
    pub fn assign(&self, member: u32, partitions: &[i32]) {
        self.tell(member, SourceEvent::Assigned(partitions.to_vec()));
    }

    /// What the group's offsets stand at, for lag monitors.
    pub fn acknowledged(&self) -> BTreeMap<i32, i64> {
        self.topic().acknowledged.clone()
    }

    /// A member of the group.
    pub fn source(&self, member: u32) -> MemorySource {
        MemorySource {
            topic: self.clone(),
            member,
            started: BTreeMap::new(),
            ends_told: BTreeMap::new(),
            paused: false,
        }
    }
}

impl MemoryTopic {
    /// A reader of ranges, outside of the group. A message's timestamp is its offset.
    pub fn reader(&self) -> MemoryReader {
        MemoryReader {
            topic: self.clone(),
            open: BTreeMap::new(),
        }
    }
}

/// Reads ranges of a [`MemoryTopic`].
#[derive(Debug)]
pub struct MemoryReader {
    topic: MemoryTopic,
    /// What is left of each open range.
    open: BTreeMap<i32, OffsetRange>,
}

impl RangeReader for MemoryReader {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        self.topic.source(0).identify()
    }

    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError> {
        self.topic.source(0).watermarks(partition)
    }

    fn offsets_at(
        &mut self,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<(i32, Option<i64>)>, SourceError> {
        let topic = self.topic.topic();
        let first = |number: &i32| {
            let values = &topic.partitions[index(*number)].values;
            let found = values.range(timestamp_ms..).next();
            (*number, found.map(|(offset, _)| *offset))
        };
        Ok(partitions.iter().map(first).collect())
    }

    fn open(&mut self, ranges: &[(i32, OffsetRange)]) -> Result<(), SourceError> {
        self.open = ranges.iter().copied().collect();
        Ok(())
    }

    fn poll(
        &mut self,
        _max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<ReadProgress, SourceError> {
        let mut progress = ReadProgress::default();
        let topic = self.topic.topic();
        for (number, range) in &mut self.open {
            let partition = &topic.partitions[index(*number)];
            if range.start() < partition.low {
                return Err(SourceError::Halt {
                    problem: format!("offset {} of partition {number} is gone", range.start()),
                    remedy: "start anew".into(),
                });
            }
            let end = range.next().min(partition.high).max(range.start());
            let mut at = end;
            for (offset, value) in partition.values.range(range.start()..end) {
                if progress.messages == BATCH {
                    at = *offset;
                    break;
                }
                sink(Message {
                    partition: *number,
                    offset: *offset,
                    timestamp_ms: Some(*offset),
                    key: None,
                    value: value.as_deref(),
                });
                progress.messages += 1;
            }
            *range = OffsetRange::new(at, range.next());
            if at >= range.next() {
                progress.done.push(*number);
            } else if at == partition.high {
                progress.short.push((*number, at));
            }
        }
        self.open
            .retain(|number, _| !progress.done.contains(number));
        progress.open = self.open.len();
        Ok(progress)
    }
}

/// One consumer of a [`MemoryTopic`].
#[derive(Debug)]
pub struct MemorySource {
    topic: MemoryTopic,
    member: u32,
    /// Next offset by started partition.
    started: BTreeMap<i32, i64>,
    /// High watermark of the last end that was told, by partition.
    ends_told: BTreeMap<i32, i64>,
    paused: bool,
}

impl MemorySource {
    fn reach(&self) -> Result<MutexGuard<'_, Topic>, SourceError> {
        let topic = self.topic.topic();
        if topic.away {
            return Err(SourceError::Transient {
                action: "ask the brokers".into(),
                reason: "they are away".into(),
            });
        }
        Ok(topic)
    }
}

impl Source for MemorySource {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        let topic = self.reach()?;
        Ok(TopicIdentity {
            name: topic.name.clone(),
            topic_id: topic.topic_id.clone(),
            partitions: i32::try_from(topic.partitions.len()).expect("few partitions"),
        })
    }

    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Polled, SourceError> {
        let mut polled = Polled::default();
        let mut topic = self.topic.topic();
        let fetching = !self.paused && !topic.away;
        for (number, next) in self.started.iter_mut().filter(|_| fetching) {
            let Some(partition) = topic.partitions.get(index(*number)) else {
                continue;
            };
            if *next < partition.low {
                return Err(SourceError::Halt {
                    problem: format!("offset {next} of partition {number} is out of range"),
                    remedy: "start anew".into(),
                });
            }
            for (offset, value) in partition.values.range(*next..) {
                if polled.messages == BATCH {
                    break;
                }
                sink(Message {
                    partition: *number,
                    offset: *offset,
                    timestamp_ms: Some(*offset),
                    key: None,
                    value: value.as_deref(),
                });
                polled.messages += 1;
                *next = offset + 1;
            }
            let at_end = partition.values.range(*next..).next().is_none();
            if at_end && self.ends_told.insert(*number, partition.high) != Some(partition.high) {
                polled.ends.push((*number, partition.high));
                *next = partition.high;
            }
        }
        polled
            .events
            .extend(topic.events.entry(self.member).or_default().drain(..));
        drop(topic);
        if polled.messages == 0 && polled.events.is_empty() {
            std::thread::sleep(max_wait.min(Duration::from_millis(1)));
        }
        Ok(polled)
    }

    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError> {
        let topic = self.reach()?;
        let partition = &topic.partitions[index(partition)];
        Ok(Watermarks {
            low: partition.low,
            high: partition.high,
        })
    }

    fn cached_high(&self, partition: i32) -> Option<i64> {
        self.topic
            .topic()
            .partitions
            .get(index(partition))
            .map(|partition| partition.high)
    }

    fn start(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError> {
        for (partition, offset) in from {
            self.started.insert(*partition, *offset);
            self.ends_told.remove(partition);
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        for partition in partitions {
            self.started.remove(partition);
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn acknowledge(&mut self, next: &[(i32, i64)]) {
        self.topic.topic().acknowledged.extend(next.iter().copied());
    }

    fn close(self: Box<Self>) {}
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partition numbers are not negative")
}
