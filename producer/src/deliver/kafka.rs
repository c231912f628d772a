//! Messages into a Kafka topic, each delivered once or reported.
//!
//! key, value ──► idempotent producer (queue, batches, compression) ──► broker
//!
//! Owns the producer and everything that is particular to the client library. Failed deliveries
//! are heard of one by one; of successful ones nothing is heard, as a report for every message
//! would cost as much as making it: what was accepted, has not failed and is no longer under way
//! is delivered.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use super::client::Listener;
use super::handover::{Handover, Outcome};
use super::topic::{self, NewTopicSettings};
use super::{DeliverError, Deliveries, Sent, Sink};
use crate::clock::Clock;
use crate::stop::Stop;

/// How long a transaction's commit or abort may take.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(60);
/// How long one look for a broker or for room in the queue takes.
const STEP: Duration = Duration::from_millis(5);

/// How long one look at the topic takes at most.
const METADATA_LIMIT: Duration = Duration::from_secs(2);
/// How long messages under way are waited for once the run is interrupted: well within the half
/// minute that service managers grant.
const INTERRUPTED_LIMIT: Duration = Duration::from_secs(20);

/// What the producer does unless the user says otherwise. Batches of a megabyte after 20 ms at
/// most: compression and the broker's cost per batch are paid by thousands of messages. The queue
/// holds 128 MiB, a second or two of the highest rate.
const DEFAULTS: [(&str, &str); 11] = [
    ("client.id", "sales-producer"),
    ("enable.idempotence", "true"),
    ("delivery.report.only.error", "true"),
    ("allow.auto.create.topics", "false"),
    ("compression.codec", "lz4"),
    ("linger.ms", "20"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "100000"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "131072"),
    // The partition of a key is then the one that Java clients choose.
    ("partitioner", "murmur2_random"),
];

/// Other names of properties that have a default here.
const ALIASES: [(&str, &str); 2] = [
    ("linger.ms", "queue.buffering.max.ms"),
    ("compression.codec", "compression.type"),
];

/// How to reach a topic.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port`, separated by commas.
    pub bootstrap: String,
    /// Name of the topic.
    pub topic: String,
    /// Makes the topic if it is not there.
    pub create: Option<NewTopicSettings>,
    /// Sends in transactions of this identity.
    pub transactional_id: Option<String>,
    /// Properties of librdkafka; they win over what this program sets.
    pub properties: Vec<(String, String)>,
    /// How long to wait for a broker at the start.
    pub connect_limit: Duration,
}

/// Values of properties may be secrets, so only their names are shown.
impl std::fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self
            .properties
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("KafkaSettings")
            .field("bootstrap", &self.bootstrap)
            .field("topic", &self.topic)
            .field("properties", &names)
            .finish_non_exhaustive()
    }
}

/// Sends to a topic.
pub struct KafkaSink {
    /// Stands before the producer, as fields are dropped in order.
    handover: Handover,
    producer: BaseProducer<Listener>,
    listener: Arc<Listener>,
    topic: String,
    partitions: usize,
    clock: Arc<dyn Clock>,
    stop: Arc<Stop>,
    /// Messages given up after the wait for them.
    given_up: u64,
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink")
            .field("topic", &self.topic)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

impl KafkaSink {
    /// Connects, makes the topic if asked to, and sees that it is there.
    ///
    /// # Errors
    /// When the settings are refused, no broker answers in time or lets us in, or the topic is
    /// missing or different.
    pub fn connect(
        settings: &KafkaSettings,
        clock: Arc<dyn Clock>,
        stop: Arc<Stop>,
    ) -> Result<Self, DeliverError> {
        let config = client_config(settings);
        let listener = Listener::default();
        let producer: BaseProducer<Listener> = config
            .create_with_context(listener)
            .map_err(|error| settings_error(&error))?;
        let listener = Arc::clone(producer.client().context());
        let topic = settings.topic.clone();
        let handover = Handover::new(producer.client(), &topic).ok_or_else(|| {
            let reason = "the client refuses its name".to_owned();
            DeliverError::Topic {
                topic: topic.clone(),
                reason,
            }
        })?;
        let mut sink = Self {
            handover,
            producer,
            listener,
            topic,
            partitions: 0,
            clock,
            stop,
            given_up: 0,
        };
        sink.wait_for_broker(settings)?;
        if let Some(new_topic) = &settings.create {
            topic::create(&config, &settings.topic, new_topic)?;
        }
        sink.partitions = sink.wait_for_topic(settings)?;
        if let Some(NewTopicSettings {
            partitions: asked,
            is_exact: true,
            ..
        }) = settings.create
            && asked != sink.partitions
        {
            let (topic, found) = (settings.topic.clone(), sink.partitions);
            return Err(DeliverError::OtherPartitions {
                topic,
                found,
                asked,
            });
        }
        if settings.transactional_id.is_some() {
            sink.producer
                .init_transactions(settings.connect_limit)
                .map_err(|error| transaction_error("initialise", &error))?;
        }
        // What went wrong while the broker came up is of no interest any more.
        sink.listener.heard().notices.clear();
        Ok(sink)
    }

    /// Waits until a broker answers. Reading of metadata is what fails last: the reason for a
    /// refusal comes through the error callback alone.
    fn wait_for_broker(&self, settings: &KafkaSettings) -> Result<(), DeliverError> {
        let brokers = || settings.bootstrap.clone();
        let limit = self.clock.monotonic() + settings.connect_limit;
        loop {
            let answer = self.producer.client().fetch_metadata(
                Some(&self.topic),
                settings.connect_limit.min(Duration::from_millis(500)),
            );
            if answer.is_ok() {
                return Ok(());
            }
            self.producer.poll(STEP);
            let last = self.listener.heard().last_error.clone();
            if let Some((code, reason)) = &last
                && matches!(
                    code,
                    RDKafkaErrorCode::Authentication
                        | RDKafkaErrorCode::SSL
                        | RDKafkaErrorCode::SaslAuthenticationFailed
                )
            {
                return Err(DeliverError::Refused {
                    brokers: brokers(),
                    reason: reason.clone(),
                });
            }
            if self.stop.is_requested() {
                return Err(DeliverError::Interrupted);
            }
            if self.clock.monotonic() >= limit {
                let reason = last.map_or_else(|| "no answer".to_owned(), |(_, reason)| reason);
                let waited_s = settings.connect_limit.as_secs();
                return Err(DeliverError::Unreachable {
                    brokers: brokers(),
                    waited_s,
                    reason,
                });
            }
        }
    }

    /// The number of partitions. A topic just made is not known to every broker at once.
    fn wait_for_topic(&self, settings: &KafkaSettings) -> Result<usize, DeliverError> {
        let topic = || settings.topic.clone();
        let limit = self.clock.monotonic() + settings.connect_limit;
        loop {
            let failure = match self
                .producer
                .client()
                .fetch_metadata(Some(&self.topic), METADATA_LIMIT)
            {
                Err(error) => DeliverError::Topic {
                    topic: topic(),
                    reason: error.to_string(),
                },
                Ok(metadata) => match metadata
                    .topics()
                    .first()
                    .map(|t| (t.error(), t.partitions()))
                {
                    Some((None, partitions)) if !partitions.is_empty() => {
                        return Ok(partitions.len());
                    }
                    Some((Some(error), _)) => match RDKafkaErrorCode::from(error) {
                        RDKafkaErrorCode::UnknownTopicOrPartition => {
                            DeliverError::NoTopic { topic: topic() }
                        }
                        code => DeliverError::Topic {
                            topic: topic(),
                            reason: code.to_string(),
                        },
                    },
                    _ => DeliverError::NoTopic { topic: topic() },
                },
            };
            let is_hopeless =
                settings.create.is_none() && matches!(failure, DeliverError::NoTopic { .. });
            if is_hopeless || self.clock.monotonic() >= limit {
                return Err(failure);
            }
            if self.stop.is_requested() {
                return Err(DeliverError::Interrupted);
            }
            self.producer.poll(STEP * 10);
        }
    }

    fn fatal(&self) -> Result<(), DeliverError> {
        match self.producer.client().fatal_error() {
            None => Ok(()),
            Some((code, reason)) => Err(DeliverError::Fatal {
                reason: format!("{reason} ({code})"),
            }),
        }
    }

    /// Hands over what is waiting for it. False when the client's queue is full.
    fn hand_over(&mut self) -> Result<bool, DeliverError> {
        match self.handover.hand_over(&self.listener) {
            Outcome::All => Ok(true),
            Outcome::Full => Ok(false),
            Outcome::Refused(code) => {
                self.fatal()?;
                Err(DeliverError::Fatal {
                    reason: code.to_string(),
                })
            }
        }
    }

    /// Waits for every message; `flush` serves the callbacks meanwhile. False when some are left
    /// after `limit`.
    fn drain(&mut self, limit: Option<Duration>) -> Result<bool, DeliverError> {
        let start = self.clock.monotonic();
        let mut limit = limit;
        // The only error of `flush` is that messages are still under way.
        while !(self.hand_over()? && self.producer.flush(STEP).is_ok()) {
            let waited = self.clock.monotonic() - start;
            if limit.is_none() && self.stop.is_requested() {
                limit = Some(waited + INTERRUPTED_LIMIT);
            }
            if limit.is_some_and(|limit| waited >= limit) {
                return Ok(false);
            }
            if self.handover.is_full() {
                self.producer.poll(STEP);
            }
        }
        Ok(true)
    }

    /// Messages accepted and not heard of. The client's own figure includes callbacks that wait to
    /// be served, so they are served first.
    fn under_way(&self) -> u64 {
        self.producer.poll(STEP);
        self.waiting()
    }

    fn waiting(&self) -> u64 {
        self.producer.in_flight_count().max(0) as u64 + self.handover.len() as u64
    }
}

impl Sink for KafkaSink {
    #[inline]
    fn send(&mut self, key: &[u8], value: &[u8]) -> Result<Sent, DeliverError> {
        if self.handover.is_full() {
            while !self.hand_over()? {
                self.producer.poll(STEP);
                self.fatal()?;
                if self.stop.is_requested() {
                    return Ok(Sent::Abandoned);
                }
            }
        }
        self.handover.push(key, value);
        Ok(Sent::Accepted)
    }

    fn tend(&mut self) -> Result<(), DeliverError> {
        self.hand_over()?;
        self.producer.poll(Duration::ZERO);
        self.fatal()
    }

    fn begin(&mut self) -> Result<(), DeliverError> {
        self.producer
            .begin_transaction()
            .map_err(|error| transaction_error("begin", &error))
    }

    fn commit(&mut self) -> Result<(), DeliverError> {
        if !self.drain(Some(TRANSACTION_LIMIT))? {
            let reason = format!(
                "messages are under way after {} s",
                TRANSACTION_LIMIT.as_secs()
            );
            return Err(DeliverError::Transaction {
                step: "commit",
                reason,
            });
        }
        // A commit that timed out may be asked for again: the client goes on where it was.
        let mut attempts = 0;
        loop {
            match self.producer.commit_transaction(TRANSACTION_LIMIT) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && attempts < 3 => {
                    attempts += 1;
                }
                Err(error) => return Err(transaction_error("commit", &error)),
            }
        }
    }

    fn abort(&mut self) -> Result<(), DeliverError> {
        // Messages that are purged by the abort must not count as undelivered, so they go first.
        // If they cannot, aborting is all the more due.
        let _ = self.drain(Some(TRANSACTION_LIMIT));
        self.handover.clear();
        self.producer
            .abort_transaction(TRANSACTION_LIMIT)
            .map_err(|error| transaction_error("abort", &error))
    }

    fn finish(&mut self, limit: Option<Duration>) -> Result<(), DeliverError> {
        let drained = self.drain(limit);
        if !matches!(drained, Ok(true)) {
            self.given_up = self.under_way();
        }
        drained?;
        self.fatal()
    }

    fn deliveries(&self) -> Deliveries {
        let mut errors = self.listener.heard().failures.clone();
        if self.given_up > 0 {
            errors.insert("GivenUp".to_owned(), self.given_up);
        }
        Deliveries {
            undelivered: self.listener.failed() + self.given_up,
            waiting: self.waiting().saturating_sub(self.given_up),
            errors,
        }
    }

    fn take_notice(&mut self) -> Option<String> {
        let mut heard = self.listener.heard();
        (!heard.notices.is_empty()).then(|| heard.notices.remove(0))
    }

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }
}

fn client_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    for (key, value) in DEFAULTS {
        config.set(key, value);
    }
    config.set("bootstrap.servers", &settings.bootstrap);
    if let Some(id) = &settings.transactional_id {
        config.set("transactional.id", id);
    }
    for (key, value) in &settings.properties {
        for (default, _) in DEFAULTS {
            // Both names of a property set would leave the choice to the client.
            if ALIASES.contains(&(default, key.as_str())) {
                config.remove(default);
            }
        }
        config.set(key, value);
        if key == "debug" {
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
    }
    config
}

/// Tells what the client says about its settings, without the value: it may be a secret.
pub(super) fn settings_error(error: &KafkaError) -> DeliverError {
    let reason = match error {
        KafkaError::ClientConfig(_, description, key, value) => {
            let harmless = if value.is_empty() {
                description.clone()
            } else {
                description.replace(value.as_str(), "…")
            };
            format!("{key}: {harmless}")
        }
        other => other.to_string(),
    };
    DeliverError::Settings { reason }
}

fn transaction_error(step: &'static str, error: &KafkaError) -> DeliverError {
    let reason = match error {
        KafkaError::Transaction(error) => error.string(),
        other => other.to_string(),
    };
    DeliverError::Transaction { step, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings {
            bootstrap: "localhost:9".into(),
            topic: "sales".into(),
            create: None,
            transactional_id: None,
            properties: properties
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
            connect_limit: Duration::from_secs(1),
        }
    }

    fn refusal(properties: &[(&str, &str)]) -> String {
        let config = client_config(&settings(properties));
        let created: Result<BaseProducer<Listener>, _> =
            config.create_with_context(Listener::default());
        settings_error(&created.err().expect("the settings are refused")).to_string()
    }

    #[test]
    fn a_property_wins_over_the_default_also_under_its_other_name() {
        let config = client_config(&settings(&[
            ("linger.ms", "3"),
            ("compression.type", "zstd"),
            ("queue.buffering.max.messages", "7"),
        ]));
        assert_eq!(config.get("linger.ms"), Some("3"));
        assert_eq!(config.get("compression.type"), Some("zstd"));
        assert_eq!(config.get("compression.codec"), None);
        assert_eq!(config.get("queue.buffering.max.messages"), Some("7"));
    }

    #[test]
    fn refused_settings_name_the_property_and_not_its_value() {
        let unknown = refusal(&[("lingr.ms", "hunter2")]);
        assert!(
            unknown.contains("lingr.ms") && !unknown.contains("hunter2"),
            "{unknown}"
        );
        let wrong = refusal(&[("linger.ms", "hunter2")]);
        assert!(
            wrong.contains("linger.ms") && !wrong.contains("hunter2"),
            "{wrong}"
        );
        let shown = format!("{:?}", settings(&[("sasl.password", "hunter2")]));
        assert!(
            shown.contains("sasl.password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
