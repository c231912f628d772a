//! The Kafka source against real brokers.

mod faults;
mod group;
mod ranges;
mod reading;
mod real;
mod secured;
mod support;

use std::ops::Range;

use lake_writer::settings::Kafka;
use lake_writer::source::SourceError;

use real::Topic;
use support::settings;

/// Values that show where UTF-8 is cut.
fn numbered(range: Range<i64>) -> impl Iterator<Item = String> {
    range.map(|number| format!("Île-de-France {number}"))
}

fn settings_of(topic: &Topic) -> Kafka {
    settings(&topic.brokers, &topic.name)
}

fn halt(error: &SourceError) -> String {
    assert!(matches!(error, SourceError::Halt { .. }), "{error:?}");
    error.to_string()
}
