//! Topics on the real brokers that `LAKE_WRITER_TEST_KAFKA` names.

#![allow(
    clippy::disallowed_methods,
    reason = "names of topics must differ between runs"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::PATIENCE;

/// A topic of its own for one test; deleted afterwards.
pub(crate) struct Topic {
    pub(crate) brokers: String,
    pub(crate) name: String,
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
}

impl Topic {
    /// A new topic with so many partitions and these settings.
    pub(crate) fn new(partitions: i32, config: &[(&str, &str)]) -> Self {
        let topic = Self::named(&unique("sales"));
        topic.create(partitions, config);
        topic
    }

    /// A topic that does not exist.
    pub(crate) fn named(name: &str) -> Self {
        let brokers = std::env::var("LAKE_WRITER_TEST_KAFKA")
            .expect("LAKE_WRITER_TEST_KAFKA names the brokers to test with");
        Self {
            brokers,
            name: name.into(),
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .expect("an admin client")
    }

    pub(crate) fn create(&self, partitions: i32, config: &[(&str, &str)]) {
        let replication = TopicReplication::Fixed(1);
        let mut topic = NewTopic::new(&self.name, partitions, replication);
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let outcome = wait(self.admin().create_topics([&topic], &options()));
        outcome.expect("an answer")[0]
            .as_ref()
            .expect("a new topic");
    }

    pub(crate) fn delete(&self) {
        let outcome = wait(self.admin().delete_topics(&[&self.name], &options()));
        outcome.expect("an answer")[0]
            .as_ref()
            .expect("a topic deleted");
    }

    pub(crate) fn grow(&self, partitions: usize) {
        let grown = NewPartitions::new(&self.name, partitions);
        let outcome = wait(self.admin().create_partitions([&grown], &options()));
        outcome.expect("an answer")[0]
            .as_ref()
            .expect("more partitions");
    }

    /// What retention does, now: removes all messages before an offset.
    pub(crate) fn forget(&self, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(before))
            .expect("an offset");
        wait(self.admin().delete_records(&list, &options())).expect("records deleted");
    }

    /// Writes transactions to partition 0: each is committed or aborted and holds these values.
    pub(crate) fn transact(&self, transactions: &[(bool, Vec<String>)]) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", unique("transactions"))
            .create()
            .expect("a producer");
        producer.init_transactions(PATIENCE).expect("a coordinator");
        for (commit, values) in transactions {
            producer.begin_transaction().expect("a transaction");
            for value in values {
                let record = BaseRecord::<str, str>::to(&self.name).partition(0);
                producer
                    .send(record.payload(value))
                    .map_err(|(error, _)| error)
                    .expect("the queue takes the message");
            }
            // Flushed, so that an abort really leaves messages in the log.
            producer.flush(PATIENCE).expect("the brokers acknowledge");
            if *commit {
                producer.commit_transaction(PATIENCE).expect("a commit");
            } else {
                producer.abort_transaction(PATIENCE).expect("an abort");
            }
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // The test may have deleted it itself.
        let _ = wait(self.admin().delete_topics(&[&self.name], &options()));
    }
}

/// A name that no other test and no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{prefix}-{}-{}-{count}",
        now.as_millis(),
        std::process::id()
    )
}
