//! Kafka as a source: the only room that knows the Kafka client.
//!
//! ```text
//! brokers ─► librdkafka ─► native ─► consumer (a member of a group)  ─► Source port
//!                                 └─► reader (ranges, outside of any group)
//! ```
//!
//! Owns: membership of the group, what is fetched, what an error of the client means.
//! Does not own: where to start reading.

mod native;
mod config;
mod errors;
mod admin;
mod watch;
mod membership;
mod consumer;
mod reader;

use std::ffi::CString;

use self::config::Purpose;
use self::native::Client;
use super::SourceError;
use crate::settings;

pub use self::consumer::KafkaSource;
pub use self::reader::KafkaReader;

/// A client with these settings and the topic's name as the client wants it.
fn client(settings: &settings::Kafka, purpose: Purpose) -> Result<(Client, CString), SourceError> {
    let conf = config::conf(settings, purpose)?;
    let client = Client::new(conf).map_err(|words| SourceError::Halt {
        problem: format!("the Kafka client cannot be made: {words}"),
        remedy: "check [source.kafka.client]".into(),
    })?;
    let topic = CString::new(settings.topic.as_str()).map_err(|_| SourceError::Halt {
        problem: "source.kafka.topic contains a null character".into(),
        remedy: "check it".into(),
    })?;
    Ok((client, topic))
}
