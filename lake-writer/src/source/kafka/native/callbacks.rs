//! What librdkafka calls, and what is noted of it.
//!
//! ```text
//! rebalance, error ─► Notebook ─► looked at by the consumer after its poll
//! log line ─► tracing
//! ```
//!
//! Owns: the notebook. Rebalance and error callbacks run inside of our own polls; log lines come
//! from librdkafka's threads.
//! Does not own: any decision.

use std::collections::VecDeque;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::partitions::partition_numbers;
use super::{Fault, text};

/// At most this many client errors are kept between two looks; only the latest matter.
const NOTED_ERRORS: usize = 16;

/// One change that the group asks for, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) enum Rebalance {
    /// Partitions given to us.
    Given(Vec<i32>),
    /// Partitions asked back, or (`lost`) taken already.
    Taken {
        /// The partitions' numbers.
        partitions: Vec<i32>,
        /// Whether another member may own them already.
        lost: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) rebalances: VecDeque<Rebalance>,
    pub(super) errors: VecDeque<Fault>,
}

/// What callbacks note down. They get a pointer to it, so it must not move while the client lives.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    noted: Mutex<Noted>,
    /// Queue that a rebalance callback wakes, so that a waiting poll returns with the event.
    wake: Mutex<Option<WakeHandle>>,
}

#[derive(Debug)]
pub(super) struct WakeHandle(pub(super) NonNull<ffi::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for WakeHandle {}

impl Notebook {
    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) -> MutexGuard<'_, Option<WakeHandle>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the client note into `notebook`.
///
/// # Safety
/// `conf` must be alive. The notebook must stay where it is until the client made of `conf` is
/// destroyed.
pub(super) unsafe fn install(conf: *mut ffi::rd_kafka_conf_t, notebook: &Notebook) {
    // SAFETY: the caller vouches for both; a notebook is only ever read through the pointer.
    unsafe {
        let opaque = std::ptr::from_ref(notebook).cast_mut().cast();
        ffi::rd_kafka_conf_set_opaque(conf, opaque);
        ffi::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
        ffi::rd_kafka_conf_set_error_cb(conf, Some(on_error));
        ffi::rd_kafka_conf_set_log_cb(conf, Some(on_log));
    }
}

/// Runs a callback's body; a panic must not cross into C.
fn guarded(body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        // The panic hook has reported it. What the callback wanted to note is lost, which the
        // consumer sees as a group that asks nothing: it never reads without having been asked.
    }
}

unsafe extern "C" fn on_rebalance(
    client: *mut ffi::rd_kafka_t,
    code: Code,
    partitions: *mut ffi::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    guarded(|| {
        // SAFETY: `opaque` is the notebook that the client holds; see `install`.
        let notebook = unsafe { &*opaque.cast::<Notebook>() };
        // SAFETY: the list lives during the callback.
        let numbers = unsafe { partition_numbers(partitions) };
        let change = if code == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Given(numbers)
        } else {
            Rebalance::Taken {
                partitions: numbers,
                // SAFETY: `client` is alive during its own callback.
                lost: unsafe { ffi::rd_kafka_assignment_lost(client) } != 0,
            }
        };
        notebook.noted().rebalances.push_back(change);
        if let Some(WakeHandle(queue)) = &*notebook.wake() {
            // SAFETY: the handle is removed from the notebook before its queue is destroyed. This
            // only sets a flag; `rd_kafka_yield` would drop the message being served.
            unsafe { ffi::rd_kafka_queue_yield(queue.as_ptr()) };
        }
    });
}

unsafe extern "C" fn on_error(
    client: *mut ffi::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    guarded(|| {
        // SAFETY: `opaque` is the notebook that the client holds; see `install`.
        let notebook = unsafe { &*opaque.cast::<Notebook>() };
        let code = Code::try_from(code).unwrap_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN);
        let fault = if code == Code::RD_KAFKA_RESP_ERR__FATAL {
            // SAFETY: `client` is alive during its own callback.
            unsafe { fatal_fault(client) }.unwrap_or_else(|| Fault::from_code(code))
        } else {
            Fault {
                code,
                reason: text(reason),
            }
        };
        let mut noted = notebook.noted();
        if noted.errors.len() == NOTED_ERRORS {
            noted.errors.pop_front();
        }
        noted.errors.push_back(fault);
    });
}

/// librdkafka's own log lines. Connection failures arrive as events too and are said there once.
unsafe extern "C" fn on_log(
    _client: *const ffi::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    guarded(|| {
        let (facility, line) = (text(facility), text(line));
        let told_as_event = matches!(facility.as_str(), "FAIL" | "ERROR");
        match level {
            0..=2 => tracing::error!(target: "librdkafka", facility, line, "kafka client"),
            3..=4 if !told_as_event => {
                tracing::warn!(target: "librdkafka", facility, line, "kafka client");
            }
            5 => tracing::info!(target: "librdkafka", facility, line, "kafka client"),
            _ => tracing::debug!(target: "librdkafka", facility, line, "kafka client"),
        }
    });
}

/// # Safety
/// `client` must be alive.
pub(super) unsafe fn fatal_fault(client: *mut ffi::rd_kafka_t) -> Option<Fault> {
    let mut words = [0 as c_char; 512];
    // SAFETY: the buffer is as long as said; the string is terminated within it.
    let code = unsafe { ffi::rd_kafka_fatal_error(client, words.as_mut_ptr(), words.len()) };
    (code != Code::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| Fault {
        code,
        reason: text(words.as_ptr()),
    })
}
