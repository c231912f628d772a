//! The properties of a client, one by one.
//!
//! Owns: handing names and values to librdkafka, and how it refuses them.
//! Does not own: which ones are set; see the `config` of this source.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;

use rdkafka::bindings as ffi;

use super::text;

/// The properties of a client that is not yet there.
pub(in crate::source::kafka) struct Conf(NonNull<ffi::rd_kafka_conf_t>);

/// Why a property was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source::kafka) enum Refused {
    /// There is no such property.
    Unknown,
    /// The value is not one of those allowed; librdkafka's words.
    Invalid(String),
}

impl Conf {
    pub(in crate::source::kafka) fn new() -> Self {
        // SAFETY: allocates a configuration, which aborts rather than returning null.
        let conf = unsafe { ffi::rd_kafka_conf_new() };
        Self(NonNull::new(conf).expect("librdkafka aborts when it cannot allocate"))
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::rd_kafka_conf_t {
        self.0.as_ptr()
    }

    pub(in crate::source::kafka) fn set(&mut self, key: &str, value: &str) -> Result<(), Refused> {
        let contains_null =
            |_| Refused::Invalid("a null character stands in the name or value".into());
        let key = CString::new(key).map_err(contains_null)?;
        let value = CString::new(value).map_err(contains_null)?;
        let mut words = [0 as c_char; 512];
        // SAFETY: both strings live during the call, which copies them; the buffer is as long as
        // said.
        let outcome = unsafe {
            ffi::rd_kafka_conf_set(
                self.0.as_ptr(),
                key.as_ptr(),
                value.as_ptr(),
                words.as_mut_ptr(),
                words.len(),
            )
        };
        match outcome {
            ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(Refused::Unknown),
            ffi::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => {
                Err(Refused::Invalid(text(words.as_ptr())))
            }
        }
    }

    /// Names of all properties that librdkafka knows and that have a value.
    pub(in crate::source::kafka) fn known_names(&self) -> Vec<String> {
        let mut count = 0;
        // SAFETY: the dump is an array of `count` strings, name and value by turns, which is freed
        // after it was copied.
        unsafe {
            let dump = ffi::rd_kafka_conf_dump(self.0.as_ptr(), &raw mut count);
            if dump.is_null() {
                return Vec::new();
            }
            let names = std::slice::from_raw_parts(dump, count)
                .iter()
                .step_by(2)
                .map(|name| text(*name))
                .collect();
            ffi::rd_kafka_conf_dump_free(dump, count);
            names
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: the configuration is ours and destroyed once; `Client::new` forgets the one that
        // it gave away.
        unsafe { ffi::rd_kafka_conf_destroy(self.0.as_ptr()) }
    }
}
