//! Lists of partitions of one topic, as librdkafka wants them.

use std::ffi::CStr;
use std::ptr::NonNull;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

/// # Safety
/// `list` must be null or a live list.
pub(super) unsafe fn partition_numbers(
    list: *const ffi::rd_kafka_topic_partition_list_t,
) -> Vec<i32> {
    // SAFETY: the caller vouches for the list; `elems` holds `cnt` elements.
    unsafe { elements(list) }
        .iter()
        .map(|element| element.partition)
        .collect()
}

/// # Safety
/// `list` must be null or a list that lives for `'a`.
unsafe fn elements<'a>(
    list: *const ffi::rd_kafka_topic_partition_list_t,
) -> &'a [ffi::rd_kafka_topic_partition_t] {
    // SAFETY: the caller vouches for the list; `elems` holds `cnt` elements and may be null when
    // there are none.
    unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 && !list.elems.is_null() => {
                std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        }
    }
}

/// A list of partitions of one topic, each with an offset.
#[derive(Debug)]
pub(in crate::source::kafka) struct Partitions(NonNull<ffi::rd_kafka_topic_partition_list_t>);

impl Partitions {
    /// Partitions of `topic` at the offsets given.
    pub(in crate::source::kafka) fn at(
        topic: &CStr,
        offsets: impl IntoIterator<Item = (i32, i64)>,
    ) -> Self {
        // SAFETY: allocates a list, which aborts rather than returning null.
        let list = unsafe { ffi::rd_kafka_topic_partition_list_new(8) };
        let list = NonNull::new(list).expect("librdkafka aborts when it cannot allocate");
        for (partition, offset) in offsets {
            // SAFETY: `list` is alive and the topic's name is copied.
            unsafe {
                let added = ffi::rd_kafka_topic_partition_list_add(
                    list.as_ptr(),
                    topic.as_ptr(),
                    partition,
                );
                (*added).offset = offset;
            }
        }
        Self(list)
    }

    /// Partitions of `topic` where the offset does not matter.
    pub(in crate::source::kafka) fn of(
        topic: &CStr,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Self {
        let unset = i64::from(ffi::RD_KAFKA_OFFSET_INVALID);
        Self::at(topic, partitions.into_iter().map(|number| (number, unset)))
    }

    /// Partition, offset and error of each element, as the last call left them.
    pub(in crate::source::kafka) fn outcomes(&self) -> impl Iterator<Item = (i32, i64, Code)> {
        // SAFETY: the list lives as long as `self`.
        unsafe { elements(self.0.as_ptr()) }
            .iter()
            .map(|element| (element.partition, element.offset, element.err))
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: the list is ours and destroyed once.
        unsafe { ffi::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}
