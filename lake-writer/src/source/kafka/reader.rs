//! Reads given ranges of a topic outside of any group: for dry runs, status and verification.
//!
//! ```text
//! ranges ─► KafkaReader::open ─► KafkaReader::poll ─► sink, and which ranges are done
//! ```
//!
//! Owns: which ranges are open and how far each was read.
//! Does not own: the choice of ranges. It never joins a group and never stores an offset.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Message, OffsetRange, RangeReader, ReadProgress, SourceError, SourceEvent, TopicIdentity,
    Watermarks,
};
use super::config::Purpose;
use super::consumer::{BATCH_MESSAGES, CALL_LIMIT};
use super::errors::{self, Verdict};
use super::native::{Batch, Fault, Partitions, Queue, Taken, Topic};
use super::watch::Watch;
use crate::clock::Clock;
use crate::settings;

/// A reader of one topic, without a group.
pub struct KafkaReader {
    batch: Batch,
    watch: Watch,
    queue: Queue,
    topic: Topic,
    topic_name: CString,
    name: String,
    open: BTreeMap<i32, Progress>,
    clock: Arc<dyn Clock>,
}

/// How far a range was read.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// First offset that was not handed out.
    at: i64,
    /// First offset that is not wanted.
    next: i64,
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaReader")
            .field("topic", &self.name)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl KafkaReader {
    /// A reader with these settings; connects in the background.
    ///
    /// # Errors
    /// Halts on properties that are unknown, do not fit or may not be changed.
    pub fn connect(settings: &settings::Kafka, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let (client, topic_name) = super::client(settings, Purpose::Reader)?;
        let topic = Topic::new(&client, &topic_name)
            .map_err(|fault| errors::of_call("opening the topic", &settings.topic, &fault))?;
        Ok(Self {
            batch: Batch::new(&client, BATCH_MESSAGES),
            watch: Watch::new(&settings.topic),
            queue: Queue::new(&client),
            topic,
            topic_name,
            name: settings.topic.clone(),
            open: BTreeMap::new(),
            clock,
        })
    }

    fn failed<'a>(&'a self, action: &'a str) -> impl Fn(Fault) -> SourceError + 'a {
        move |fault| errors::of_call(action, &self.name, &fault)
    }

    fn stop(&self, partition: i32) {
        if let Err(fault) = self.topic.stop(partition) {
            // It was never started, or its fetcher is gone already.
            tracing::debug!(
                topic = self.name,
                partition,
                reason = fault.reason,
                "not stopped"
            );
        }
    }

    fn judge(
        &mut self,
        troubles: Vec<(Option<(i32, i64)>, Fault)>,
        events: &mut Vec<SourceEvent>,
    ) -> Result<(), SourceError> {
        let client = self.topic.client();
        client.serve();
        for fault in client.take_errors() {
            self.watch.note(&fault, events);
        }
        self.watch
            .look(client, &self.topic_name, self.clock.monotonic(), events)?;
        for (place, fault) in troubles {
            let state = place.and_then(|(number, _)| Some((number, *self.open.get(&number)?)));
            if place.is_some() && state.is_none() {
                continue;
            }
            if let (Some((partition, state)), true) = (state, errors::is_out_of_range(&fault)) {
                let marks = self.watermarks(partition)?;
                return Err(errors::out_of_range(&self.name, partition, state.at, marks));
            }
            match errors::judge(&fault, &self.name, place) {
                Verdict::Halt(error) => return Err(error),
                Verdict::AskForTopic => self.watch.doubt(),
                Verdict::Passing => tracing::warn!(
                    topic = self.name,
                    partition = place.map(|(number, _)| number),
                    reason = fault.reason,
                    "the Kafka client met an error and goes on"
                ),
            }
        }
        Ok(())
    }
}

impl RangeReader for KafkaReader {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        let mut events = Vec::new();
        let described = self
            .watch
            .ask(self.topic.client(), &self.topic_name, &mut events)?;
        Ok(TopicIdentity {
            name: self.name.clone(),
            topic_id: described.topic_id,
            partitions: described.partitions,
        })
    }

    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError> {
        self.topic
            .client()
            .watermarks(&self.topic_name, partition, CALL_LIMIT)
            .map_err(self.failed("reading the watermarks"))
    }

    fn offsets_at(
        &mut self,
        partitions: &[i32],
        timestamp_ms: i64,
    ) -> Result<Vec<(i32, Option<i64>)>, SourceError> {
        let wanted = partitions.iter().map(|number| (*number, timestamp_ms));
        let list = Partitions::at(&self.topic_name, wanted);
        let failed = self.failed("looking up offsets by time");
        self.topic
            .client()
            .offsets_for_times(&list, CALL_LIMIT)
            .map_err(&failed)?;
        list.outcomes()
            .map(|(partition, offset, code)| match Fault::check(code) {
                Ok(()) => Ok((partition, (offset >= 0).then_some(offset))),
                Err(fault) => Err(failed(fault)),
            })
            .collect()
    }

    fn open(&mut self, ranges: &[(i32, OffsetRange)]) -> Result<(), SourceError> {
        let partitions = self.identify()?.partitions;
        let beyond = |(partition, _): &&(i32, OffsetRange)| !(0..partitions).contains(partition);
        if let Some((partition, _)) = ranges.iter().find(beyond) {
            return Err(errors::no_partition(&self.name, *partition, partitions));
        }
        for partition in std::mem::take(&mut self.open).into_keys() {
            self.stop(partition);
        }
        // A new queue: what was fetched for the ranges before must not be taken for these.
        self.queue = Queue::new(self.topic.client());
        for (partition, range) in ranges {
            if !range.is_empty() {
                self.topic
                    .start(*partition, range.start(), &self.queue)
                    .map_err(self.failed("opening a range"))?;
            }
            let progress = Progress {
                at: range.start(),
                next: range.next(),
            };
            self.open.insert(*partition, progress);
        }
        Ok(())
    }

    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<ReadProgress, SourceError> {
        let mut progress = ReadProgress::default();
        let mut troubles = Vec::new();
        let nothing_left = |state: &Progress| state.at >= state.next;
        if !self.open.values().any(nothing_left) {
            self.queue.fill(&mut self.batch, max_wait);
        }
        let open = &mut self.open;
        self.batch.drain(|taken| match taken {
            Taken::Message(message) => match open.get_mut(&message.partition) {
                Some(state) if message.offset >= state.next => state.at = state.next,
                Some(state) if message.offset >= state.at => {
                    state.at = message.offset + 1;
                    sink(message);
                    progress.messages += 1;
                }
                _ => {}
            },
            Taken::End { partition, next } => {
                if let Some(state) = open.get_mut(&partition) {
                    state.at = state.at.max(next.min(state.next));
                    if next < state.next {
                        progress.short.push((partition, next));
                    }
                }
            }
            Taken::Trouble {
                partition,
                offset,
                fault,
            } => troubles.push((partition.map(|number| (number, offset)), fault)),
        });
        self.judge(troubles, &mut progress.events)?;
        let finished = self.open.iter().filter(|(_, state)| nothing_left(state));
        progress.done = finished.map(|(partition, _)| *partition).collect();
        for partition in &progress.done {
            self.open.remove(partition);
            self.stop(*partition);
        }
        progress.open = self.open.len();
        Ok(progress)
    }
}
