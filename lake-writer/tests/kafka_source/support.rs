//! What the Kafka tests share: a topic to write to, and a member that collects what it reads.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests against a real client measure real time"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lake_writer::clock::SystemClock;
use lake_writer::settings::Kafka;
use lake_writer::source::kafka::KafkaSource;
use lake_writer::source::{Polled, Source, SourceError, SourceEvent};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// Longest wait for anything: rebalances on a busy machine take seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Settings for `topic` on these brokers, with a group of the topic's name.
pub(crate) fn settings(brokers: &str, topic: &str) -> Kafka {
    // Short sessions: the in-process brokers wait for almost one session in every rebalance.
    let client = [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    Kafka {
        client: BTreeMap::from(client).into(),
        bootstrap_servers: brokers.into(),
        topic: topic.into(),
        group_id: format!("group-of-{topic}"),
        ..Kafka::default()
    }
}

/// Writes `values` to one partition, in order, and waits for all acknowledgements.
pub(crate) fn produce(
    brokers: &str,
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = String>,
) {
    let messages = values.into_iter().map(|value| (String::new(), value));
    produce_with(brokers, topic, partition, messages, &[]);
}

/// Writes keys and values to one partition, with these properties of the producer.
pub(crate) fn produce_with(
    brokers: &str,
    topic: &str,
    partition: i32,
    messages: impl IntoIterator<Item = (String, String)>,
    properties: &[(&str, &str)],
) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5");
    for (key, value) in properties {
        config.set(*key, *value);
    }
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().expect("a producer");
    for (key, value) in messages {
        producer
            .send(
                BaseRecord::to(topic)
                    .partition(partition)
                    .key(&key)
                    .payload(&value),
            )
            .map_err(|(error, _)| error)
            .expect("the queue takes the message");
    }
    producer.flush(PATIENCE).expect("the brokers acknowledge");
}

/// A member of the group, with all that it was handed and told.
pub(crate) struct Member {
    pub(crate) source: Box<KafkaSource>,
    /// Every message handed out: partition, offset, value; in order.
    pub(crate) messages: Vec<(i32, i64, String)>,
    /// Every event, in order.
    pub(crate) events: Vec<SourceEvent>,
    /// Every end of a partition that was told, in order.
    pub(crate) ends: Vec<(i32, i64)>,
    /// Partitions that are ours by those events.
    pub(crate) held: BTreeSet<i32>,
    /// Where every partition stands: next offset.
    pub(crate) next: BTreeMap<i32, i64>,
}

impl Member {
    pub(crate) fn new(settings: &Kafka) -> Self {
        let source = KafkaSource::connect(settings, Arc::new(SystemClock::new()))
            .expect("settings that fit");
        Self {
            source: Box::new(source),
            messages: Vec::new(),
            events: Vec::new(),
            ends: Vec::new(),
            held: BTreeSet::new(),
            next: BTreeMap::new(),
        }
    }

    /// Polls once; assigned partitions are noted, not started.
    pub(crate) fn poll(&mut self) -> Result<Polled, SourceError> {
        let (messages, next) = (&mut self.messages, &mut self.next);
        let polled = self
            .source
            .poll(Duration::from_millis(50), &mut |message| {
                let value = String::from_utf8_lossy(message.value.unwrap_or_default()).into_owned();
                messages.push((message.partition, message.offset, value));
                let before = next.insert(message.partition, message.offset + 1);
                assert!(
                    before.is_none_or(|next| message.offset >= next),
                    "partition {} went back to {}",
                    message.partition,
                    message.offset
                );
            })?;
        for event in &polled.events {
            match event {
                SourceEvent::Assigned(given) => self.held.extend(given),
                SourceEvent::Lost(taken) => self.held.retain(|number| !taken.contains(number)),
                _ => {}
            }
        }
        self.next.extend(polled.ends.iter().copied());
        self.ends.extend(polled.ends.iter().copied());
        self.events.extend(polled.events.iter().cloned());
        Ok(polled)
    }

    /// Polls until `done`; panics after [`PATIENCE`] or on an error.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            self.poll()
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for: {what}; events {:?}, {} messages",
                self.events,
                self.messages.len()
            );
        }
    }

    /// Polls until an error; panics after [`PATIENCE`].
    pub(crate) fn until_error(&mut self, what: &str) -> SourceError {
        let start = Instant::now();
        loop {
            if let Err(error) = self.poll() {
                return error;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for: {what}; events {:?}, {} messages",
                self.events,
                self.messages.len()
            );
        }
    }

    /// Polls until the group has given exactly these partitions.
    pub(crate) fn until_held(&mut self, partitions: &[i32]) {
        self.until("an assignment", |member| {
            member.held.iter().eq(partitions.iter())
        });
    }

    /// Starts partitions at offsets, from which on [`Member::poll`] expects them to go forward.
    pub(crate) fn start(&mut self, from: &[(i32, i64)]) {
        self.next.extend(from.iter().copied());
        self.source.start(from).expect("partitions that are ours");
    }

    /// Releases partitions that were revoked.
    pub(crate) fn release(&mut self, partitions: &[i32]) {
        self.held.retain(|number| !partitions.contains(number));
        self.source.release(partitions).expect("a release");
    }

    /// Events of revocation, in order.
    pub(crate) fn revoked(&self) -> Vec<i32> {
        self.events
            .iter()
            .filter_map(|event| match event {
                SourceEvent::Revoked(partitions) => Some(partitions.clone()),
                _ => None,
            })
            .flatten()
            .collect()
    }

    /// Offsets handed out of one partition, in order.
    pub(crate) fn offsets(&self, partition: i32) -> Vec<i64> {
        self.messages
            .iter()
            .filter(|(number, ..)| *number == partition)
            .map(|(_, offset, _)| *offset)
            .collect()
    }

    /// Whether the end of the partition at `next` was told.
    pub(crate) fn saw_end(&self, partition: i32, next: i64) -> bool {
        self.ends.contains(&(partition, next))
    }
}
