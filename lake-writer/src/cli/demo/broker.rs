//! A Kafka broker in this process, for trying out.
//!
//! It is librdkafka's own test cluster: it speaks the protocol over a local port, keeps about 5 MiB
//! or 100,000 messages of each partition in memory, and forgets everything when the process ends.
//! `docs/adr/0007-embedded-broker.md` says why it was chosen.
//!
//! The one place beside `source::kafka` that knows the Kafka client.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// A running broker; stops when dropped.
pub(super) struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts a broker with one topic.
    pub(super) fn start(topic: &str, partitions: i32) -> Result<Self, KafkaError> {
        let cluster = MockCluster::new(1)?;
        cluster.create_topic(topic, partitions, 1)?;
        Ok(Self { cluster })
    }

    /// Where it listens, as `source.kafka.bootstrap_servers` takes it.
    pub(super) fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::settings::Kafka;
    use crate::source::Source as _;
    use crate::source::kafka::KafkaSource;
    use std::sync::Arc;

    #[test]
    fn the_writer_finds_the_topic_on_it() {
        // GIVEN a broker in this process
        let broker = EmbeddedBroker::start("ventes", 3).unwrap();
        let settings = Kafka {
            bootstrap_servers: broker.bootstrap_servers(),
            topic: "ventes".into(),
            ..Kafka::default()
        };

        // WHEN the writer asks for the topic
        let mut source = KafkaSource::connect(&settings, Arc::new(SystemClock::new())).unwrap();
        let topic = source.identify().unwrap();
        let watermarks = source.watermarks(2).unwrap();

        // THEN it is told what any broker would tell
        assert_eq!((topic.name.as_str(), topic.partitions), ("ventes", 3));
        assert!(!topic.topic_id.is_empty());
        assert_eq!((watermarks.low, watermarks.high), (0, 0));
        Box::new(source).close();
    }
}
