//! Asking the brokers which incarnation of a topic they hold.
//!
//! ```text
//! Inquiry::send ─► brokers ─► Inquiry::answer ─► topic id, number of partitions
//! ```
//!
//! Owns: one question at a time, and how a topic id is written.
//! Does not own: what follows from the answer.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::native::{Client, Fault, Queue, millis, text};

/// What the brokers say about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// The topic's id, as Kafka's own tools print it.
    pub(super) topic_id: String,
    /// Number of partitions.
    pub(super) partitions: i32,
}

/// A question under way.
///
/// librdkafka 2.12.1 crashes when an answer comes in while its client is being destroyed: the admin
/// worker reads metadata that was not parsed any more. So a question that is dropped waits for its
/// answer, and the client, which the question holds a share of, goes after it.
#[derive(Debug)]
pub(super) struct Inquiry {
    replies: Queue,
    client: Client,
    /// When librdkafka answers by itself, since its sending.
    limit: Duration,
    answered: Cell<bool>,
}

/// How much longer than its limit a question may take to be answered by librdkafka itself.
const GRACE: Duration = Duration::from_secs(1);

impl Inquiry {
    /// Asks `broker`, or the controller, about one topic; librdkafka gives up after `limit`.
    pub(super) fn send(
        client: &Client,
        topic: &CStr,
        broker: Option<i32>,
        limit: Duration,
    ) -> Self {
        let replies = Queue::new(client);
        let mut names = [topic.as_ptr()];
        let mut words = [0; 128];
        // SAFETY: client, names and queue live during the call, which copies the names; both
        // helper objects are destroyed once after it.
        unsafe {
            let topics = ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
            let options = ffi::rd_kafka_AdminOptions_new(
                client.raw(),
                ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            // Refused only outside of 0 to one hour; then librdkafka's own default holds.
            ffi::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(limit).clamp(1, 3_600_000),
                words.as_mut_ptr(),
                words.len(),
            );
            if let Some(broker) = broker {
                // Refused only for negative numbers; then the controller is asked.
                ffi::rd_kafka_AdminOptions_set_broker(
                    options,
                    broker,
                    words.as_mut_ptr(),
                    words.len(),
                );
            }
            ffi::rd_kafka_DescribeTopics(client.raw(), topics, options, replies.raw());
            ffi::rd_kafka_AdminOptions_destroy(options);
            ffi::rd_kafka_TopicCollection_destroy(topics);
        }
        Self {
            replies,
            client: client.clone(),
            limit,
            answered: Cell::new(false),
        }
    }

    /// The answer, once it is there; waits for it up to `max_wait`.
    pub(super) fn answer(&self, max_wait: Duration) -> Option<Result<Described, Fault>> {
        // SAFETY: the queue is alive; the event is ours from here on.
        let event = unsafe { ffi::rd_kafka_queue_poll(self.replies.raw(), millis(max_wait)) };
        let event = NonNull::new(event)?;
        self.answered.set(true);
        // SAFETY: the event is alive until it is destroyed below, once; what `read_answer` returns
        // does not borrow from it.
        unsafe {
            let answer = read_answer(event.as_ptr());
            ffi::rd_kafka_event_destroy(event.as_ptr());
            Some(answer)
        }
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        if self.answered.get() || self.answer(self.limit + GRACE).is_some() {
            return;
        }
        // The client must then outlive the process's last look at it.
        tracing::debug!("a question to the brokers was never answered; its client is kept");
        std::mem::forget(self.client.clone());
    }
}

/// Number of some broker of the cluster, once one has answered; waits up to `max_wait`.
///
/// Every broker knows every topic, so any of them can be asked. librdkafka would ask the
/// controller, and a cluster may be without one for a while (the in-process one always is).
pub(super) fn some_broker(client: &Client, max_wait: Duration) -> Result<Option<i32>, Fault> {
    let mut metadata = std::ptr::null();
    // SAFETY: the client is alive; on success the metadata is ours, read before it is destroyed,
    // once, and `brokers` holds `broker_cnt` elements.
    unsafe {
        let code = ffi::rd_kafka_metadata(
            client.raw(),
            0,
            std::ptr::null_mut(),
            &raw mut metadata,
            millis(max_wait),
        );
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Fault::from_code(code));
        }
        let known = (*metadata).broker_cnt > 0 && !(*metadata).brokers.is_null();
        let broker = known.then(|| (*(*metadata).brokers).id);
        ffi::rd_kafka_metadata_destroy(metadata);
        Ok(broker)
    }
}

/// # Safety
/// `event` must be alive.
unsafe fn read_answer(event: *mut ffi::rd_kafka_event_t) -> Result<Described, Fault> {
    // SAFETY: every pointer read here belongs to the event, which the caller keeps alive; each is
    // compared with null before it is followed.
    unsafe {
        let code = ffi::rd_kafka_event_error(event);
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Fault {
                code,
                reason: text(ffi::rd_kafka_event_error_string(event)),
            });
        }
        let nothing = || Fault {
            code: Code::RD_KAFKA_RESP_ERR__BAD_MSG,
            reason: "the answer does not name the topic".into(),
        };
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(nothing());
        }
        let mut topics = 0;
        let descriptions = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut topics);
        if descriptions.is_null() || topics == 0 || (*descriptions).is_null() {
            return Err(nothing());
        }
        let description = *descriptions;
        let error = ffi::rd_kafka_TopicDescription_error(description);
        let code = ffi::rd_kafka_error_code(error);
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Fault {
                code,
                reason: text(ffi::rd_kafka_error_string(error)),
            });
        }
        let mut partitions = 0;
        ffi::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        let id = ffi::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Err(nothing());
        }
        Ok(Described {
            topic_id: uuid_text(
                ffi::rd_kafka_Uuid_most_significant_bits(id),
                ffi::rd_kafka_Uuid_least_significant_bits(id),
            ),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        })
    }
}

/// What a broker that does not know topic ids answers.
pub(super) const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A UUID as Kafka prints it: URL-safe base64 without padding, so that it can stand in paths.
/// (librdkafka's own text has `/` and `+`.)
fn uuid_text(most_significant: i64, least_significant: i64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let high = u128::from(most_significant.cast_unsigned());
    let bits = (high << 64) | u128::from(least_significant.cast_unsigned());
    // 22 characters hold 132 bits: the last one carries two bits of the id and four zeros.
    (0..22)
        .map(|place| {
            let six = match 122 - 6 * place {
                shift @ 0.. => bits >> shift,
                _ => bits << 4,
            };
            let index = usize::try_from(six & 63).expect("six bits fit");
            char::from(ALPHABET[index])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_reads_as_kafka_prints_it() {
        // RFC 4648, section 5, without padding; (0, 1) is the id of Kafka's own metadata topic.
        assert_eq!(uuid_text(0, 0), NO_TOPIC_ID);
        assert_eq!(uuid_text(0, 1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(uuid_text(-1, -1), "_____________________w");
        assert_eq!(
            uuid_text(0x0123_4567_89ab_cdef, 0x0fed_cba9_8765_4321),
            "ASNFZ4mrze8P7cuph2VDIQ"
        );
    }
}
