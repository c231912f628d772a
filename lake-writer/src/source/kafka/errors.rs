//! What an error of the client means for the writer: go on, try again, or stop and say why.
//!
//! ```text
//! librdkafka's code and words ─► Verdict ─► SourceError | SourceEvent::Away | a log line
//! ```
//!
//! Owns: the one place where error codes are judged, and the words for the operator.
//! Does not own: retrying.

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::super::{SourceError, Watermarks};
use super::native::Fault;

/// What to do about an error that the consumer met while it was reading.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The client gets over it by itself.
    Passing,
    /// The topic may be gone: ask the brokers before believing it.
    AskForTopic,
    /// Going on could lose or double rows, or cannot succeed.
    Halt(SourceError),
}

/// Judges an error met while reading `topic`, of one partition at an offset when it is about one.
pub(super) fn judge(fault: &Fault, topic: &str, place: Option<(i32, i64)>) -> Verdict {
    use Code as C;
    let partition = place.map_or_else(
        || format!("topic \"{topic}\""),
        |(number, _)| format!("partition {number} of topic \"{topic}\""),
    );
    let at = place.map_or(-1, |(_, offset)| offset);
    let halt = |problem: String, remedy: &str| {
        Verdict::Halt(SourceError::Halt {
            problem,
            remedy: remedy.into(),
        })
    };
    match fault.code {
        C::RD_KAFKA_RESP_ERR__BAD_MSG
        | C::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
        | C::RD_KAFKA_RESP_ERR_INVALID_MSG => halt(
            format!(
                "{partition} holds damaged messages at offset {at}: {}",
                fault.reason
            ),
            "check the broker's disks and restore the partition from a replica; \
             nothing after this offset was read",
        ),
        C::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED => halt(
            format!(
                "{partition} holds messages that this client cannot read: {}",
                fault.reason
            ),
            "use one of the codecs gzip, snappy, lz4, zstd on the producer's side",
        ),
        C::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE => halt(
            format!("{partition} holds a message at offset {at} that is too large to fetch"),
            "raise receive.message.max.bytes in [source.kafka.client] \
             above the broker's message.max.bytes",
        ),
        C::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL => halt(
            format!(
                "the group has members with another assignment strategy: {}",
                fault.reason
            ),
            "stop the members that are not lake-writer, or set another group_id",
        ),
        C::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID => halt(
            "another member of the group uses the same group.instance.id".into(),
            "give every writer its own group.instance.id, or none",
        ),
        C::RD_KAFKA_RESP_ERR__FATAL => halt(
            format!("the Kafka client has stopped for good: {}", fault.reason),
            "restart the writer",
        ),
        C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID
        | C::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | C::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => Verdict::AskForTopic,
        _ => refusal(fault, topic).map_or(Verdict::Passing, Verdict::Halt),
    }
}

/// Whether the broker says that an offset is not there. It may say so of an offset that nobody
/// wants any more, so the watermarks decide.
pub(super) fn is_out_of_range(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
    )
}

/// A partition was asked for that the topic does not have.
pub(super) fn no_partition(topic: &str, partition: i32, partitions: i32) -> SourceError {
    SourceError::Halt {
        problem: format!(
            "topic \"{topic}\" has no partition {partition}: it has {partitions}, counted from 0"
        ),
        remedy: "check the number, and whether the topic was created again with fewer".into(),
    }
}

/// The messages from `offset` on are not there: gone, or never were.
pub(super) fn out_of_range(
    topic: &str,
    partition: i32,
    offset: i64,
    marks: Watermarks,
) -> SourceError {
    let place = format!("offset {offset} of partition {partition} of topic \"{topic}\"");
    if offset < marks.low {
        SourceError::Halt {
            problem: format!(
                "{place} is gone: the first message left has offset {}",
                marks.low
            ),
            remedy: "retention was faster than the reader: restore the messages between, or set \
                     source.kafka.accept_lost_offsets = true to go on without them, and lengthen \
                     retention.ms or retention.bytes"
                .into(),
        }
    } else {
        SourceError::Halt {
            problem: format!(
                "{place} lies beyond the end of the partition, which is {}",
                marks.high
            ),
            remedy: "messages that were read before are gone from the brokers, by an unclean \
                     leader election or a restored backup: restore the partition, or write to a \
                     new table"
                .into(),
        }
    }
}

/// The error of a call that asked the brokers something.
pub(super) fn of_call(action: &str, topic: &str, fault: &Fault) -> SourceError {
    match fault.code {
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
            missing_topic(topic)
        }
        Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => SourceError::Halt {
            problem: format!("{action}: topic \"{topic}\" has no such partition"),
            remedy: "check whether the topic was re-created with fewer partitions".into(),
        },
        _ => refusal(fault, topic).unwrap_or_else(|| SourceError::Transient {
            action: action.into(),
            reason: fault.reason.clone(),
        }),
    }
}

/// The topic does not exist.
pub(super) fn missing_topic(topic: &str) -> SourceError {
    SourceError::Halt {
        problem: format!("topic \"{topic}\" does not exist on the brokers"),
        remedy: format!(
            "check source.kafka.topic and source.kafka.bootstrap_servers, or create it: \
             kafka-topics.sh --bootstrap-server … --create --topic {topic} --partitions …"
        ),
    }
}

/// The topic is not the one that was read before.
pub(super) fn recreated_topic(topic: &str, before: &str, now: &str) -> SourceError {
    SourceError::Halt {
        problem: format!(
            "topic \"{topic}\" was deleted and created again: its id was {before} and is {now}"
        ),
        remedy: format!(
            "set source.kafka.accept_topic_id = \"{now}\" and start again to add the new topic's \
             messages to the table, or write it to another table"
        ),
    }
}

/// The brokers do not let us in.
pub(super) fn not_let_in(reason: &str) -> SourceError {
    SourceError::Halt {
        problem: format!("the brokers refuse the connection: {reason}"),
        remedy: "check security.protocol and the sasl.* and ssl.* properties in \
                 [source.kafka.client]"
            .into(),
    }
}

/// Whether a client error says that the brokers refuse us, rather than that they are away.
pub(super) fn is_authentication(fault: &Fault) -> bool {
    matches!(
        fault.code,
        Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
            | Code::RD_KAFKA_RESP_ERR__SSL
    )
}

/// Whether a client error says that no broker can be reached.
pub(super) fn is_away(fault: &Fault) -> bool {
    fault.code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || is_authentication(fault)
}

/// Missing rights: no retry helps.
fn refusal(fault: &Fault, topic: &str) -> Option<SourceError> {
    let (what, needed) = match fault.code {
        Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED => (
            format!("topic \"{topic}\" may not be read"),
            "READ and DESCRIBE on the topic",
        ),
        Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED => (
            "the consumer group may not be used".into(),
            "READ on the group source.kafka.group_id",
        ),
        Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => (
            "the cluster may not be described".into(),
            "DESCRIBE on the cluster",
        ),
        _ => return None,
    };
    Some(SourceError::Halt {
        problem: format!("{what}: {}", fault.reason),
        remedy: format!("grant the writer's user {needed}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: Code) -> Fault {
        Fault {
            code,
            reason: "says the client".into(),
        }
    }

    #[test]
    fn lost_messages_name_the_place_and_what_is_left() {
        let marks = Watermarks { low: 40, high: 90 };
        let gone = out_of_range("sales", 3, 17, marks).to_string();
        assert!(
            gone.contains("offset 17 of partition 3 of topic \"sales\" is gone"),
            "{gone}"
        );
        assert!(
            gone.contains("40") && gone.contains("retention.ms"),
            "{gone}"
        );
        let beyond = out_of_range("sales", 3, 91, marks).to_string();
        assert!(
            beyond.contains("beyond the end of the partition, which is 90"),
            "{beyond}"
        );
    }

    #[test]
    fn a_coordinator_that_moves_is_passing() {
        for code in [
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
            Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        ] {
            assert!(matches!(
                judge(&fault(code), "sales", None),
                Verdict::Passing
            ));
        }
    }

    #[test]
    fn a_damaged_batch_is_never_skipped() {
        for code in [
            Code::RD_KAFKA_RESP_ERR__BAD_MSG,
            Code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
            Code::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
            Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        ] {
            assert!(matches!(
                judge(&fault(code), "sales", Some((0, 1))),
                Verdict::Halt(_)
            ));
        }
    }

    #[test]
    fn missing_rights_name_what_to_grant() {
        let error = of_call(
            "reading the watermarks",
            "sales",
            &fault(Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED),
        );
        assert!(error.to_string().contains("READ and DESCRIBE"), "{error}");
    }
}
