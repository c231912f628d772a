//! From the client's queue to borrowed messages.
//!
//! ```text
//! Queue::fill ─► Batch ─► Batch::drain ─► Taken (borrowed) ─► destroyed
//! ```
//!
//! Owns: messages between the queue and the end of the sink's call.
//! Does not own: whether a message is handed out.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::callbacks::WakeHandle;
use super::{Client, Fault, millis, text};
use crate::source::Message;

/// A queue of messages and events.
#[derive(Debug)]
pub(in crate::source::kafka) struct Queue {
    queue: NonNull<ffi::rd_kafka_queue_t>,
    /// Keeps the client alive.
    client: Client,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// The queue where messages of all attached partitions and rebalances arrive.
    ///
    /// # Errors
    /// When the client has no group.
    pub(in crate::source::kafka) fn consumer(client: &Client) -> Result<Self, Fault> {
        // SAFETY: the client is alive.
        let queue = unsafe { ffi::rd_kafka_queue_get_consumer(client.raw()) };
        let queue = NonNull::new(queue)
            .ok_or_else(|| Fault::from_code(Code::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP))?;
        *client.notebook().wake() = Some(WakeHandle(queue));
        Ok(Self {
            queue,
            client: client.clone(),
        })
    }

    /// A queue of its own.
    pub(in crate::source::kafka) fn new(client: &Client) -> Self {
        // SAFETY: the client is alive; aborts rather than returning null.
        let queue = unsafe { ffi::rd_kafka_queue_new(client.raw()) };
        Self {
            queue: NonNull::new(queue).expect("librdkafka aborts when it cannot allocate"),
            client: client.clone(),
        }
    }

    pub(in crate::source::kafka) fn raw(&self) -> *mut ffi::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// Moves what waits into the batch and returns how much that was. Waits up to `max_wait` when
    /// there is nothing, and returns at once when something comes or a rebalance was noted.
    pub(in crate::source::kafka) fn fill(&self, batch: &mut Batch, max_wait: Duration) -> usize {
        // With a time to wait the call returns only when the batch is full or the time is over,
        // so one waits for a single message and takes the others without waiting.
        let mut filled = self.take(batch, usize::MAX, Duration::ZERO);
        if filled == 0 && !max_wait.is_zero() {
            filled = self.take(batch, 1, max_wait);
            if filled > 0 {
                filled += self.take(batch, usize::MAX, Duration::ZERO);
            }
        }
        filled
    }

    fn take(&self, batch: &mut Batch, at_most: usize, wait: Duration) -> usize {
        let held = batch.held.len();
        let room = (batch.held.capacity() - held).min(at_most);
        if room == 0 {
            return 0;
        }
        let free = batch.held.spare_capacity_mut();
        // SAFETY: `free` has at least `room` places; librdkafka writes owned messages to the
        // first of them and returns how many, or -1.
        let taken = unsafe {
            ffi::rd_kafka_consume_batch_queue(
                self.raw(),
                millis(wait),
                free.as_mut_ptr().cast(),
                room,
            )
        };
        let taken = usize::try_from(taken).unwrap_or(0).min(room);
        // SAFETY: these places were just written.
        unsafe { batch.held.set_len(held + taken) };
        taken
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut wake = self.client.notebook().wake();
        if wake
            .as_ref()
            .is_some_and(|WakeHandle(queue)| *queue == self.queue)
        {
            *wake = None;
        }
        // SAFETY: the handle is ours and destroyed once; nobody else holds it any more.
        unsafe { ffi::rd_kafka_queue_destroy(self.raw()) };
    }
}

/// A message that is destroyed when it is dropped.
#[derive(Debug)]
#[repr(transparent)]
struct Owned(NonNull<ffi::rd_kafka_message_t>);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the message is ours and destroyed once.
        unsafe { ffi::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// Messages on their way from the client to the sink.
#[derive(Debug)]
pub(in crate::source::kafka) struct Batch {
    // Destroyed before the share of the client below is given up.
    held: Vec<Owned>,
    /// Keeps the client alive.
    _client: Client,
}

// SAFETY: messages may be read and destroyed on any thread.
unsafe impl Send for Batch {}

/// What stood in a place of the consumer queue.
#[derive(Debug)]
pub(in crate::source::kafka) enum Taken<'a> {
    /// A message.
    Message(Message<'a>),
    /// The end of a partition: the first offset that was not there.
    End {
        /// Number of the source partition.
        partition: i32,
        /// First offset that was not yet there.
        next: i64,
    },
    /// An error, of one partition or of the whole consumer.
    Trouble {
        /// Number of the source partition, when it is about one.
        partition: Option<i32>,
        /// Offset that it happened at, when it is about one.
        offset: i64,
        /// The error.
        fault: Fault,
    },
}

impl Batch {
    /// Room for so many messages of this client.
    pub(in crate::source::kafka) fn new(client: &Client, messages: usize) -> Self {
        Self {
            held: Vec::with_capacity(messages),
            _client: client.clone(),
        }
    }

    /// Lends each message to `each`, in order, and destroys it afterwards.
    pub(in crate::source::kafka) fn drain(&mut self, mut each: impl FnMut(Taken<'_>)) {
        for message in self.held.drain(..) {
            // SAFETY: the message lives until the end of this turn, after `each` has returned.
            each(unsafe { read(&message) });
        }
    }
}

/// # Safety
/// The message must be a live one from `rd_kafka_consume_batch_queue`.
unsafe fn read(owned: &Owned) -> Taken<'_> {
    // SAFETY: alive, and only read. The error code is read as a number because a newer broker may
    // send one that the enumeration does not have.
    let (raw, code) = unsafe {
        let raw = owned.0.as_ref();
        (raw, (&raw const raw.err).cast::<i32>().read())
    };
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR as i32 {
        let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let timestamp = unsafe { ffi::rd_kafka_message_timestamp(raw, &raw mut kind) };
        let known = kind != ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        return Taken::Message(Message {
            partition: raw.partition,
            offset: raw.offset,
            timestamp_ms: (known && timestamp >= 0).then_some(timestamp),
            // SAFETY: the bytes belong to the message and live as long as it.
            key: unsafe { bytes(raw.key, raw.key_len) },
            // SAFETY: as above.
            value: unsafe { bytes(raw.payload, raw.len) },
        });
    }
    let code = Code::try_from(code).unwrap_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN);
    if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
        return Taken::End {
            partition: raw.partition,
            next: raw.offset,
        };
    }
    // SAFETY: the message is alive; the string belongs to it and is copied.
    let reason = text(unsafe { ffi::rd_kafka_message_errstr(raw) });
    Taken::Trouble {
        partition: (raw.partition >= 0).then_some(raw.partition),
        offset: raw.offset,
        fault: Fault { code, reason },
    }
}

/// # Safety
/// `start` must be null or point to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for it.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}
