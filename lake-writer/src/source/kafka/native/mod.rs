//! The few calls of librdkafka that the source needs, made safe.
//!
//! ```text
//! conf ─► Client ─┬─ callbacks ─► notes (rebalances, errors) and log lines
//!                 └─ queue ─► batch ─► Message (borrowed bytes) ─► destroyed
//! ```
//!
//! Owns: the `unsafe` blocks that touch librdkafka (those of `admin` aside), and who is destroyed
//! before whom.
//! Does not own: what any of it means; callbacks only note, the consumer decides.

mod conf;
mod callbacks;
mod partitions;
mod batch;
mod topic;

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use self::callbacks::Notebook;
use crate::source::Watermarks;

pub(in crate::source::kafka) use self::batch::{Batch, Queue, Taken};
pub(in crate::source::kafka) use self::callbacks::Rebalance;
pub(in crate::source::kafka) use self::conf::{Conf, Refused};
pub(in crate::source::kafka) use self::partitions::Partitions;
pub(in crate::source::kafka) use self::topic::Topic;

/// "Any partition" in a subscription: librdkafka's `RD_KAFKA_PARTITION_UA`.
const UNASSIGNED: i32 = -1;

/// What librdkafka says is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) struct Fault {
    /// Its error code.
    pub(in crate::source::kafka) code: Code,
    /// Its words.
    pub(in crate::source::kafka) reason: String,
}

impl Fault {
    pub(in crate::source::kafka) fn from_code(code: Code) -> Self {
        Self {
            code,
            reason: describe(code),
        }
    }

    pub(in crate::source::kafka) fn check(code: Code) -> Result<(), Self> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(())
        } else {
            Err(Self::from_code(code))
        }
    }

    /// Takes over an error object; null is success.
    fn check_object(error: *mut ffi::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: `error` is a live error object that librdkafka handed over to us; it is read
        // before it is destroyed, once.
        unsafe {
            let fault = Self {
                code: ffi::rd_kafka_error_code(error),
                reason: text(ffi::rd_kafka_error_string(error)),
            };
            ffi::rd_kafka_error_destroy(error);
            Err(fault)
        }
    }
}

/// librdkafka's words for an error code.
pub(in crate::source::kafka) fn describe(code: Code) -> String {
    // SAFETY: returns a static string for every code.
    text(unsafe { ffi::rd_kafka_err2str(code) })
}

pub(in crate::source::kafka) fn text(chars: *const c_char) -> String {
    if chars.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's strings are null-terminated and live during this call.
    unsafe { CStr::from_ptr(chars) }
        .to_string_lossy()
        .into_owned()
}

pub(in crate::source::kafka) fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX)
}

/// A Kafka client.
#[derive(Clone, Debug)]
pub(in crate::source::kafka) struct Client(Arc<Handle>);

/// What a client is made of. Queues, batches and topics share it, so it goes last.
#[derive(Debug)]
struct Handle {
    client: NonNull<ffi::rd_kafka_t>,
    notebook: Box<Notebook>,
}

// SAFETY: librdkafka's handle may be used from any thread; the notebook is behind locks.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Client {
    /// A consumer with these properties; connects in the background.
    pub(in crate::source::kafka) fn new(conf: Conf) -> Result<Self, String> {
        let notebook = Box::new(Notebook::default());
        let mut words = [0 as c_char; 512];
        let raw = conf.as_ptr();
        // SAFETY: the notebook stays at its address and outlives the client: `Handle::drop`
        // destroys the client, which ends its threads and callbacks, before the notebook goes.
        unsafe { callbacks::install(raw, &notebook) };
        // SAFETY: the buffer is as long as said. On success the client owns the configuration,
        // else it stays ours and `Conf` destroys it.
        unsafe {
            let client = ffi::rd_kafka_new(
                ffi::rd_kafka_type_t::RD_KAFKA_CONSUMER,
                raw,
                words.as_mut_ptr(),
                words.len(),
            );
            let client = NonNull::new(client).ok_or_else(|| text(words.as_ptr()))?;
            std::mem::forget(conf);
            Ok(Self(Arc::new(Handle { client, notebook })))
        }
    }

    pub(in crate::source::kafka) fn raw(&self) -> *mut ffi::rd_kafka_t {
        self.0.client.as_ptr()
    }

    /// Serves error callbacks; never waits. Rebalances are served by the consumer queue.
    pub(in crate::source::kafka) fn serve(&self) {
        // SAFETY: the client is alive.
        unsafe { ffi::rd_kafka_poll(self.raw(), 0) };
    }

    fn notebook(&self) -> &Notebook {
        &self.0.notebook
    }

    /// Rebalances noted since the last look.
    pub(in crate::source::kafka) fn take_rebalances(&self) -> Vec<Rebalance> {
        self.0.notebook.noted().rebalances.drain(..).collect()
    }

    /// Client errors noted since the last look.
    pub(in crate::source::kafka) fn take_errors(&self) -> Vec<Fault> {
        self.0.notebook.noted().errors.drain(..).collect()
    }

    /// The error after which this client does nothing any more, if there was one.
    pub(in crate::source::kafka) fn fatal(&self) -> Option<Fault> {
        // SAFETY: the client is alive.
        unsafe { callbacks::fatal_fault(self.raw()) }
    }

    pub(in crate::source::kafka) fn subscribe(&self, topic: &CStr) -> Result<(), Fault> {
        let list = Partitions::of(topic, [UNASSIGNED]);
        // SAFETY: client and list are alive; the list is copied.
        Fault::check(unsafe { ffi::rd_kafka_subscribe(self.raw(), list.as_ptr()) })
    }

    /// Adds partitions to what is fetched. An empty list acknowledges an assignment.
    pub(in crate::source::kafka) fn attach(&self, list: &Partitions) -> Result<(), Fault> {
        // SAFETY: client and list are alive; the list is copied.
        Fault::check_object(unsafe { ffi::rd_kafka_incremental_assign(self.raw(), list.as_ptr()) })
    }

    /// Removes partitions from what is fetched. Acknowledges a revocation.
    pub(in crate::source::kafka) fn detach(&self, list: &Partitions) -> Result<(), Fault> {
        // SAFETY: client and list are alive; the list is copied.
        Fault::check_object(unsafe {
            ffi::rd_kafka_incremental_unassign(self.raw(), list.as_ptr())
        })
    }

    /// Sets attached partitions to the offsets of the list; each element says how it went.
    pub(in crate::source::kafka) fn seek(
        &self,
        list: &Partitions,
        limit: Duration,
    ) -> Result<(), Fault> {
        // SAFETY: client and list are alive.
        Fault::check_object(unsafe {
            ffi::rd_kafka_seek_partitions(self.raw(), list.as_ptr(), millis(limit))
        })
    }

    pub(in crate::source::kafka) fn pause(&self, list: &Partitions) -> Result<(), Fault> {
        // SAFETY: client and list are alive.
        Fault::check(unsafe { ffi::rd_kafka_pause_partitions(self.raw(), list.as_ptr()) })
    }

    pub(in crate::source::kafka) fn resume(&self, list: &Partitions) -> Result<(), Fault> {
        // SAFETY: client and list are alive.
        Fault::check(unsafe { ffi::rd_kafka_resume_partitions(self.raw(), list.as_ptr()) })
    }

    /// Commits the group's offsets; the outcome is only logged.
    pub(in crate::source::kafka) fn commit_async(&self, list: &Partitions) -> Result<(), Fault> {
        // SAFETY: client and list are alive; the list is copied.
        Fault::check(unsafe { ffi::rd_kafka_commit(self.raw(), list.as_ptr(), 1) })
    }

    /// Asks the leader for the watermarks of a partition.
    pub(in crate::source::kafka) fn watermarks(
        &self,
        topic: &CStr,
        partition: i32,
        limit: Duration,
    ) -> Result<Watermarks, Fault> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: all pointers live during the call.
        Fault::check(unsafe {
            ffi::rd_kafka_query_watermark_offsets(
                self.raw(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
                millis(limit),
            )
        })?;
        Ok(Watermarks { low, high })
    }

    /// The high watermark that came with the last fetch; no network.
    pub(in crate::source::kafka) fn cached_high(
        &self,
        topic: &CStr,
        partition: i32,
    ) -> Option<i64> {
        let (mut low, mut high) = (0, 0);
        // SAFETY: all pointers live during the call.
        let code = unsafe {
            ffi::rd_kafka_get_watermark_offsets(
                self.raw(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
    }

    /// For each partition the first offset at or after the time (milliseconds since the epoch)
    /// that stands in the place of its offset; the answer stands in the list.
    pub(in crate::source::kafka) fn offsets_for_times(
        &self,
        list: &Partitions,
        limit: Duration,
    ) -> Result<(), Fault> {
        // SAFETY: client and list are alive.
        Fault::check(unsafe {
            ffi::rd_kafka_offsets_for_times(self.raw(), list.as_ptr(), millis(limit))
        })
    }

    /// Begins to leave the group; `queue` must then be served until [`Client::has_left`].
    pub(in crate::source::kafka) fn leave(&self, queue: &Queue) -> Result<(), Fault> {
        // SAFETY: client and queue are alive.
        Fault::check_object(unsafe { ffi::rd_kafka_consumer_close_queue(self.raw(), queue.raw()) })
    }

    /// Whether the group was left.
    pub(in crate::source::kafka) fn has_left(&self) -> bool {
        // SAFETY: the client is alive.
        unsafe { ffi::rd_kafka_consumer_closed(self.raw()) != 0 }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The group was left in good order by `leave`, or the process does not want to wait for
        // it: closing inside destroy would wait for rebalance callbacks that nobody serves.
        // SAFETY: the client is ours and destroyed once; whatever belongs to it holds a share of
        // this handle and was destroyed before.
        unsafe {
            ffi::rd_kafka_destroy_flags(
                self.client.as_ptr(),
                ffi::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE,
            );
        }
    }
}
