//! From settings to the properties of the client.
//!
//! ```text
//! [source.kafka] + [source.kafka.client] ─► checked properties ─► native::Conf
//! ```
//!
//! Owns: our defaults, which properties may not be changed and why.
//! Does not own: what the other properties mean; librdkafka documents and checks them.

use super::super::SourceError;
use super::native::{Conf, Refused};
use crate::settings::{Kafka, is_secret};

/// What the client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A member of the group.
    Member,
    /// A reader outside of any group.
    Reader,
}

/// Our own defaults, which `[source.kafka.client]` may override.
///
/// Measured with 300-byte messages: with librdkafka's 1000 ms of fetch backoff a catch-up takes
/// three to four times as long, and its 64 MiB of queue only cost memory.
const TUNING: [(&str, &str); 6] = [
    ("client.id", "lake-writer"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "16384"),
    // New partitions and a topic created again are seen within half a minute.
    ("topic.metadata.refresh.interval.ms", "30000"),
    // A broker that comes back is found within seconds.
    ("reconnect.backoff.max.ms", "2000"),
    ("log_level", "5"),
];

/// The reader's queue is one for each partition, where a member has one in all.
const READER_QUEUE: (&str, &str) = ("queued.max.messages.kbytes", "2048");

/// Properties that promises rest on, with the reason that is told to whoever wants another value.
const FIXED: [(&str, &str, &str); 10] = [
    (
        "enable.auto.commit",
        "false",
        "the table's log alone knows how far the table has come",
    ),
    (
        "enable.auto.offset.store",
        "false",
        "the table's log alone knows how far the table has come",
    ),
    (
        "auto.offset.reset",
        "error",
        "the table's log decides where to read; first_start says where a new table begins",
    ),
    (
        "isolation.level",
        "read_committed",
        "rows of aborted transactions must never reach the table",
    ),
    (
        "check.crcs",
        "true",
        "damaged messages must be noticed, not written",
    ),
    (
        "enable.partition.eof",
        "true",
        "the writer must know how far a partition was read past transaction markers",
    ),
    (
        "partition.assignment.strategy",
        "cooperative-sticky",
        "partitions change hands one by one, after their rows were committed",
    ),
    (
        "group.protocol",
        "classic",
        "partitions change hands one by one, after their rows were committed",
    ),
    (
        "allow.auto.create.topics",
        "false",
        "a mistyped topic must be an error, not a new topic",
    ),
    (
        "log.queue",
        "false",
        "the client's log lines go to the writer's log",
    ),
];

/// Properties that have a key of their own, or no use here.
const ELSEWHERE: [(&str, &str); 6] = [
    (
        "api.version.request",
        "remove it: on is its default, and naming it brings a warning at each start",
    ),
    (
        "bootstrap.servers",
        "set source.kafka.bootstrap_servers instead",
    ),
    (
        "metadata.broker.list",
        "set source.kafka.bootstrap_servers instead",
    ),
    ("group.id", "set source.kafka.group_id instead"),
    (
        "test.mock.num.brokers",
        "the demo command brings its own broker",
    ),
    (
        "plugin.library.paths",
        "foreign code is not loaded into the writer",
    ),
];

/// Properties that only make sense for a member of a group.
const MEMBERSHIP: [&str; 5] = [
    "group.instance.id",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "partition.assignment.strategy",
];

/// Builds the client's properties from the settings.
///
/// # Errors
/// Naming the key, what is wrong with it and what to do.
pub(super) fn conf(settings: &Kafka, purpose: Purpose) -> Result<Conf, SourceError> {
    for (key, value) in [
        ("bootstrap_servers", &settings.bootstrap_servers),
        ("topic", &settings.topic),
        ("group_id", &settings.group_id),
    ] {
        if value.trim().is_empty() {
            return Err(SourceError::Halt {
                problem: format!("source.kafka.{key} is empty"),
                remedy: "set it".into(),
            });
        }
    }
    let mut conf = Conf::new();
    for (key, value) in TUNING {
        put(&mut conf, key, value)?;
    }
    if purpose == Purpose::Reader {
        put(&mut conf, READER_QUEUE.0, READER_QUEUE.1)?;
    }
    for (key, value) in &settings.client {
        let key = key.trim();
        if purpose == Purpose::Reader && MEMBERSHIP.contains(&key) {
            continue;
        }
        refuse_promised(key, value)?;
        put(&mut conf, key, value)?;
    }
    for (key, value, _) in FIXED {
        // Its default already; the client warns of a deprecated property whenever it is set.
        if key == "api.version.request" {
            continue;
        }
        if purpose == Purpose::Member || !MEMBERSHIP.contains(&key) {
            put(&mut conf, key, value)?;
        }
    }
    put(&mut conf, "bootstrap.servers", &settings.bootstrap_servers)?;
    if purpose == Purpose::Member {
        put(&mut conf, "group.id", &settings.group_id)?;
    }
    Ok(conf)
}

fn refuse_promised(key: &str, value: &str) -> Result<(), SourceError> {
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(name, _)| *name == key) {
        return Err(SourceError::Halt {
            problem: format!("\"{key}\" may not stand in [source.kafka.client]"),
            remedy: (*instead).into(),
        });
    }
    // Old spellings that librdkafka still takes for the same thing.
    let canonical = match key {
        "auto.commit.enable" => "enable.auto.commit",
        other => other,
    };
    match FIXED.iter().find(|(name, ..)| *name == canonical) {
        Some((_, fixed, why)) if value.trim() != *fixed => Err(SourceError::Halt {
            problem: format!(
                "\"{key}\" in [source.kafka.client] may not be changed from {fixed}: {why}"
            ),
            remedy: "remove it".into(),
        }),
        _ => Ok(()),
    }
}

fn put(conf: &mut Conf, key: &str, value: &str) -> Result<(), SourceError> {
    conf.set(key, value).map_err(|refused| match refused {
        Refused::Unknown => {
            let known = conf.known_names();
            let nearest = known
                .iter()
                .map(|name| (strsim::damerau_levenshtein(name, key), name))
                .min()
                .filter(|(distance, _)| *distance <= 6);
            SourceError::Halt {
                problem: format!("[source.kafka.client] has no property \"{key}\""),
                remedy: nearest.map_or_else(
                    || "see librdkafka's CONFIGURATION.md for the names".into(),
                    |(_, name)| format!("did you mean \"{name}\"?"),
                ),
            }
        }
        Refused::Invalid(words) => SourceError::Halt {
            problem: format!("\"{key}\" in [source.kafka.client] has a value that does not fit"),
            // The client's words repeat the value, which may be a secret.
            remedy: if is_secret(key) {
                "check it".into()
            } else {
                words
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn with_client(key: &str, value: &str) -> Kafka {
        Kafka {
            client: BTreeMap::from([(key.to_owned(), value.to_owned())]).into(),
            ..Kafka::default()
        }
    }

    fn refusal(key: &str, value: &str) -> String {
        match conf(&with_client(key, value), Purpose::Member) {
            Err(error @ SourceError::Halt { .. }) => error.to_string(),
            Err(other) => panic!("must halt, got {other}"),
            Ok(_) => panic!("{key}={value} must be refused"),
        }
    }

    #[test]
    fn every_default_is_known_to_the_client() {
        assert!(conf(&Kafka::default(), Purpose::Member).is_ok());
        assert!(conf(&Kafka::default(), Purpose::Reader).is_ok());
    }

    #[test]
    fn promises_cannot_be_configured_away() {
        for (key, fixed, why) in FIXED {
            let words = refusal(key, "something-else");
            assert!(words.contains(key) && words.contains(why), "{words}");
            assert!(
                conf(&with_client(key, fixed), Purpose::Member).is_ok(),
                "{key}"
            );
        }
        assert!(refusal("auto.commit.enable", "true").contains("auto.commit.enable"));
        for (key, instead) in ELSEWHERE {
            assert!(refusal(key, "x").contains(instead));
        }
    }

    #[test]
    fn tuning_may_be_overridden() {
        for (key, _) in TUNING {
            let value = if key == "client.id" { "mine" } else { "6" };
            assert!(
                conf(&with_client(key, value), Purpose::Member).is_ok(),
                "{key}"
            );
        }
        assert!(
            conf(
                &with_client("group.instance.id", "writer-1"),
                Purpose::Member
            )
            .is_ok()
        );
    }

    #[test]
    fn a_mistyped_property_names_the_nearest() {
        let words = refusal("sasl.mechanizm", "PLAIN");
        assert!(words.contains("did you mean \"sasl.mechanism"), "{words}");
    }

    #[test]
    fn a_secret_is_never_repeated() {
        let words = refusal("ssl.key.password", "hunter2\0");
        assert!(
            words.contains("ssl.key.password") && !words.contains("hunter2"),
            "{words}"
        );
    }

    #[test]
    fn an_empty_topic_is_named() {
        let settings = Kafka {
            topic: " ".into(),
            ..Kafka::default()
        };
        let Err(error) = conf(&settings, Purpose::Member) else {
            panic!("must be refused");
        };
        assert!(error.to_string().contains("source.kafka.topic is empty"));
    }
}
