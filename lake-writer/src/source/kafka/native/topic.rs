//! Reading partitions of one topic outside of any group.

use std::ffi::CStr;
use std::ptr::NonNull;

use rdkafka::bindings as ffi;

use super::{Client, Fault, Queue};

/// A topic whose partitions can be read one by one.
#[derive(Debug)]
pub(in crate::source::kafka) struct Topic {
    topic: NonNull<ffi::rd_kafka_topic_t>,
    /// Keeps the client alive.
    client: Client,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for Topic {}

impl Topic {
    pub(in crate::source::kafka) fn new(client: &Client, name: &CStr) -> Result<Self, Fault> {
        // SAFETY: client and name live during the call, which copies the name.
        let topic =
            unsafe { ffi::rd_kafka_topic_new(client.raw(), name.as_ptr(), std::ptr::null_mut()) };
        match NonNull::new(topic) {
            Some(topic) => Ok(Self {
                topic,
                client: client.clone(),
            }),
            None => Err(last_fault()),
        }
    }

    /// Fetches a partition from an offset on, into the queue.
    pub(in crate::source::kafka) fn start(
        &self,
        partition: i32,
        offset: i64,
        queue: &Queue,
    ) -> Result<(), Fault> {
        // SAFETY: topic and queue are alive.
        let outcome = unsafe {
            ffi::rd_kafka_consume_start_queue(self.topic.as_ptr(), partition, offset, queue.raw())
        };
        if outcome == 0 {
            Ok(())
        } else {
            Err(last_fault())
        }
    }

    /// Stops fetching a partition; what was fetched may still come out of the queue.
    pub(in crate::source::kafka) fn stop(&self, partition: i32) -> Result<(), Fault> {
        // SAFETY: the topic is alive.
        let outcome = unsafe { ffi::rd_kafka_consume_stop(self.topic.as_ptr(), partition) };
        if outcome == 0 {
            Ok(())
        } else {
            Err(last_fault())
        }
    }

    /// The client that the topic belongs to.
    pub(in crate::source::kafka) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and destroyed once, before the share of its client.
        unsafe { ffi::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

fn last_fault() -> Fault {
    // SAFETY: reads the calling thread's last error.
    Fault::from_code(unsafe { ffi::rd_kafka_last_error() })
}
