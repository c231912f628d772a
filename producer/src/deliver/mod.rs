//! Where messages go.
//!
//! Message ──► Sink: Kafka | standard output | nowhere ──► Deliveries
//!
//! Owns the port and its errors. An accepted message is not yet a delivered one: only after
//! [`Sink::finish`] do [`Deliveries`] say what became of each.

mod topic;
mod client;
mod handover;
pub mod kafka;
pub mod lines;

use std::collections::BTreeMap;
use std::time::Duration;

pub use kafka::{KafkaSettings, KafkaSink};
pub use lines::{LineSink, NowhereSink};
pub use topic::{MAX_PARTITIONS, NewTopicSettings};

/// Takes messages and brings them to their place.
pub trait Sink: std::fmt::Debug {
    /// Accepts one message; an empty key stands for none. Waits while the sink is full.
    ///
    /// # Errors
    /// When the sink can no longer take any message.
    fn send(&mut self, key: &[u8], value: &[u8]) -> Result<Sent, DeliverError>;

    /// Gives the sink time for its own affairs. To be called often, also when nothing is sent.
    ///
    /// # Errors
    /// When the sink can no longer take any message.
    fn tend(&mut self) -> Result<(), DeliverError>;

    /// Starts a transaction.
    ///
    /// # Errors
    /// When the sink has no transactions or refuses this one.
    fn begin(&mut self) -> Result<(), DeliverError> {
        Err(DeliverError::WithoutTransactions)
    }

    /// Makes all messages since [`Sink::begin`] visible at once.
    ///
    /// # Errors
    /// When they are not, or not known to be.
    fn commit(&mut self) -> Result<(), DeliverError> {
        Err(DeliverError::WithoutTransactions)
    }

    /// Takes all messages since [`Sink::begin`] back.
    ///
    /// # Errors
    /// When that is not possible; the broker then does it when the transaction times out.
    fn abort(&mut self) -> Result<(), DeliverError> {
        Err(DeliverError::WithoutTransactions)
    }

    /// Waits until every accepted message is delivered or has failed, at most for `limit`.
    ///
    /// # Errors
    /// When the outcome cannot be found out. Undelivered messages are no error here: they are
    /// counted.
    fn finish(&mut self, limit: Option<Duration>) -> Result<(), DeliverError>;

    /// What has become of the accepted messages so far.
    fn deliveries(&self) -> Deliveries;

    /// Something that the person at the terminal should know, such as a broker that went away.
    fn take_notice(&mut self) -> Option<String> {
        None
    }

    /// Partitions of the topic, if there is one.
    fn partitions(&self) -> Option<usize> {
        None
    }
}

/// What became of a message handed to a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The sink has it.
    Accepted,
    /// The sink was full and the run is to stop: the sink does not have it.
    Abandoned,
}

/// The fate of the messages accepted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Messages that failed, or were still under way when the wait for them was given up.
    pub undelivered: u64,
    /// Messages accepted and not yet heard of.
    pub waiting: u64,
    /// How many failed for which reason.
    pub errors: BTreeMap<String, u64>,
}

/// Why a sink cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A property that the client refuses.
    #[error("the Kafka client refuses its settings: {reason}; correct the property given with -X")]
    Settings {
        /// In the client's words, without values that could be secret.
        reason: String,
    },
    /// No broker answers.
    #[error(
        "no broker at {brokers} answers within {waited_s} s ({reason}); check --bootstrap and that the broker runs"
    )]
    Unreachable {
        /// As given.
        brokers: String,
        /// The limit, in seconds.
        waited_s: u64,
        /// The last thing the client said.
        reason: String,
    },
    /// The broker does not let us in.
    #[error(
        "the broker at {brokers} refuses us: {reason}; check security.protocol and the sasl and ssl properties"
    )]
    Refused {
        /// As given.
        brokers: String,
        /// In the client's words.
        reason: String,
    },
    /// There is no such topic.
    #[error("topic `{topic}` does not exist; create it, or add --create-topic --partitions N")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The topic is there and different.
    #[error(
        "topic `{topic}` has {found} partitions, not {asked}; leave out --partitions or choose another topic"
    )]
    OtherPartitions {
        /// Its name.
        topic: String,
        /// What it has.
        found: usize,
        /// What was asked for.
        asked: usize,
    },
    /// The topic could not be made or looked at.
    #[error("topic `{topic}` cannot be used: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// In the broker's words.
        reason: String,
    },
    /// The producer as a whole has failed.
    #[error("the producer cannot go on: {reason}")]
    Fatal {
        /// In the client's words.
        reason: String,
    },
    /// A transaction was not made, committed or aborted.
    #[error("failed to {step} a transaction: {reason}")]
    Transaction {
        /// What was tried.
        step: &'static str,
        /// In the client's words.
        reason: String,
    },
    /// This sink has no transactions.
    #[error("transactions need a broker; leave out --transactional")]
    WithoutTransactions,
    /// Standard output is closed or full.
    #[error("failed to write to standard output")]
    Output(#[source] std::io::Error),
    /// The run was interrupted before the sink was ready.
    #[error("interrupted before the first message")]
    Interrupted,
}
