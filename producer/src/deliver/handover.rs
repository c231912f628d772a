//! Messages handed over to the client library many at a time.
//!
//! key, value ──► Handover (one buffer) ──► `rd_kafka_produce_batch` ──► the client's queues
//!
//! Owns the few unsafe calls of this crate that send. Handing over one by one costs a look at two
//! clocks, a search for the topic and a lock for every message, a tenth of all the work.

use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::Arc;

use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::PARTITION_UA;
use rdkafka::types::RDKafkaTopic;

use super::client::Listener;

/// Messages handed over at once: enough to share the costs, few enough to stay in the cache.
const MOST: usize = 128;

/// A topic of a client, as the library wants it.
///
/// Must not outlive the client: [`super::KafkaSink`] drops it first.
pub(super) struct Handover {
    topic: ptr::NonNull<RDKafkaTopic>,
    bytes: Vec<u8>,
    /// Where keys and values end in `bytes`.
    ends: Vec<(usize, usize)>,
}

// SAFETY: the library's handles may be used from any thread, and nothing here is shared.
unsafe impl Send for Handover {}

/// What became of messages handed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client has all of them.
    All,
    /// The client's queue is full: the rest stays here.
    Full,
    /// The client takes no messages any more: the rest stays here.
    Refused(RDKafkaErrorCode),
}

impl Handover {
    /// For the topic of this name; `None` if the library refuses the name.
    pub(super) fn new(client: &Client<Listener>, topic: &str) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        // SAFETY: the client's handle is valid, the name ends with nought and is copied, and
        // without a configuration the topic takes the client's.
        let topic = unsafe {
            bindings::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut())
        };
        let topic = ptr::NonNull::new(topic)?;
        Some(Self {
            topic,
            bytes: Vec::with_capacity(1 << 16),
            ends: Vec::with_capacity(MOST),
        })
    }

    /// Whether the messages here should go over before another one comes.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= MOST
    }

    /// Messages here.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Takes a message; an empty key stands for none.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// Forgets what was not handed over.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Hands over what is here, in order. Messages too large for the client are lost and reported
    /// to `listener`.
    pub(super) fn hand_over(&mut self, listener: &Arc<Listener>) -> Outcome {
        if self.ends.is_empty() {
            return Outcome::All;
        }
        let mut messages = self.messages();
        // SAFETY: the topic is valid as long as its client is. The messages point into `bytes`,
        // which does not change during the call; with F_COPY the library keeps copies alone, and
        // it reads exactly as many messages as the array has.
        let accepted = unsafe {
            bindings::rd_kafka_produce_batch(
                self.topic.as_ptr(),
                PARTITION_UA,
                bindings::RD_KAFKA_MSG_F_COPY,
                messages.as_mut_ptr(),
                messages.len() as i32,
            )
        };
        if usize::try_from(accepted) == Ok(messages.len()) {
            self.clear();
            return Outcome::All;
        }
        self.keep_refused(&messages, listener)
    }

    fn messages(&self) -> Vec<bindings::rd_kafka_message_t> {
        let mut start = 0;
        self.ends
            .iter()
            .map(|&(key_end, end)| {
                let (key, value) = (&self.bytes[start..key_end], &self.bytes[key_end..end]);
                start = end;
                bindings::rd_kafka_message_t {
                    err: bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                    rkt: ptr::null_mut(),
                    partition: PARTITION_UA,
                    // A value of no bytes is not null: null would be a tombstone.
                    payload: value.as_ptr().cast_mut().cast::<c_void>(),
                    len: value.len(),
                    key: if key.is_empty() {
                        ptr::null_mut()
                    } else {
                        key.as_ptr().cast_mut().cast::<c_void>()
                    },
                    key_len: key.len(),
                    offset: 0,
                    _private: ptr::null_mut(),
                }
            })
            .collect()
    }

    fn keep_refused(
        &mut self,
        messages: &[bindings::rd_kafka_message_t],
        listener: &Arc<Listener>,
    ) -> Outcome {
        let mut outcome = Outcome::All;
        let bytes = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        let mut start = 0;
        for (message, (key_end, end)) in messages.iter().zip(ends) {
            match RDKafkaErrorCode::from(message.err) {
                RDKafkaErrorCode::NoError => {}
                code @ RDKafkaErrorCode::MessageSizeTooLarge => listener.lost(&format!("{code:?}")),
                code => {
                    self.push(&bytes[start..key_end], &bytes[key_end..end]);
                    outcome = match code {
                        RDKafkaErrorCode::QueueFull => Outcome::Full,
                        code => Outcome::Refused(code),
                    };
                }
            }
            start = end;
        }
        outcome
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_topic_new` and dropped once, before its client.
        unsafe { bindings::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}
