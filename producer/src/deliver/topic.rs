//! The topic: made if asked for, and looked at before the first message.
//!
//! Owns topic administration. Does not own sending.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use super::DeliverError;

/// More partitions than this in one topic are a slip of the hand.
pub const MAX_PARTITIONS: usize = 10_000;

/// How the topic is made if it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopicSettings {
    /// Partitions, from 1 to [`MAX_PARTITIONS`].
    pub partitions: usize,
    /// A topic that is there with another number of partitions is an error.
    pub is_exact: bool,
    /// Copies of each partition; the broker's default when `None`.
    pub replication: Option<usize>,
    /// Properties of the topic, such as `retention.ms`.
    pub properties: Vec<(String, String)>,
}

/// Makes the topic unless it exists.
///
/// # Errors
/// When the broker refuses. A topic that exists already is none.
pub(super) fn create(
    config: &ClientConfig,
    topic: &str,
    settings: &NewTopicSettings,
) -> Result<(), DeliverError> {
    let failed = |reason: String| DeliverError::Topic {
        topic: topic.to_owned(),
        reason,
    };
    let mut config = config.clone();
    // An idle second producer of the same transactional id would fence the one that sends.
    config.remove("transactional.id");
    let admin: AdminClient<DefaultClientContext> = config
        .create()
        .map_err(|error| super::kafka::settings_error(&error))?;
    let replication = settings.replication.map_or(-1, |copies| copies as i32);
    let mut new = NewTopic::new(
        topic,
        settings.partitions as i32,
        TopicReplication::Fixed(replication),
    );
    for (key, value) in &settings.properties {
        new = new.set(key, value);
    }
    let options = AdminOptions::new()
        .operation_timeout(Some(Duration::from_secs(20)))
        .request_timeout(Some(Duration::from_secs(20)));
    let results = futures::executor::block_on(admin.create_topics([&new], &options))
        .map_err(|error| failed(error.to_string()))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(code.to_string())),
        }
    }
    Ok(())
}
