//! The reader of offset ranges, which is a member of no group.

use std::sync::Arc;
use std::time::Duration;

use lake_writer::clock::SystemClock;
use lake_writer::source::kafka::KafkaReader;
use lake_writer::source::{OffsetRange, RangeReader as _, SourceError};

use crate::real::Topic;
use crate::support::produce;
use crate::{halt, numbered, settings_of};

fn reader_of(topic: &Topic) -> KafkaReader {
    KafkaReader::connect(&settings_of(topic), Arc::new(SystemClock::new())).expect("a reader")
}

fn read(reader: &mut KafkaReader) -> Result<Vec<(i32, i64)>, SourceError> {
    let mut found = Vec::new();
    for _ in 0..300 {
        let progress = reader.poll(Duration::from_millis(100), &mut |message| {
            found.push((message.partition, message.offset));
        })?;
        if progress.open == 0 {
            found.sort_unstable();
            return Ok(found);
        }
    }
    panic!("waited in vain for the ranges; {} messages", found.len());
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_reader_reads_ranges_without_a_group() {
    let topic = Topic::new(3, &[]);
    for partition in 0..3 {
        produce(&topic.brokers, &topic.name, partition, numbered(0..5000));
    }
    let mut reader = reader_of(&topic);
    assert_eq!(reader.identify().expect("the topic").partitions, 3);
    let marks = reader.watermarks(1).expect("watermarks");
    assert_eq!((marks.low, marks.high), (0, 5000));
    for _ in 0..2 {
        reader
            .open(&[
                (0, OffsetRange::new(10, 4000)),
                (1, OffsetRange::new(4990, 5000)),
                (2, OffsetRange::new(7, 7)),
            ])
            .expect("ranges");
        let expected: Vec<(i32, i64)> = (10..4000)
            .map(|offset| (0, offset))
            .chain((4990..5000).map(|offset| (1, offset)))
            .collect();
        assert_eq!(read(&mut reader).expect("the ranges"), expected);
    }
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_reader_says_what_is_not_there() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..50));
    let mut reader = reader_of(&topic);
    // A range that goes beyond the end stays open, and says where the end is.
    reader
        .open(&[(0, OffsetRange::new(40, 60))])
        .expect("a range");
    let mut short = Vec::new();
    for _ in 0..300 {
        if !short.is_empty() {
            break;
        }
        let progress = reader
            .poll(Duration::from_millis(100), &mut |_| {})
            .expect("a poll");
        assert_eq!(progress.open, 1);
        short = progress.short;
    }
    assert_eq!(short, [(0, 50)]);
    produce(&topic.brokers, &topic.name, 0, numbered(50..70));
    assert_eq!(read(&mut reader).expect("the rest").last(), Some(&(0, 59)));
    // A range that retention has passed halts.
    topic.forget(0, 30);
    reader
        .open(&[(0, OffsetRange::new(20, 40))])
        .expect("a range");
    let words = halt(&read(&mut reader).expect_err("gone"));
    assert!(
        words.contains("offset 20 of partition 0") && words.contains("30"),
        "{words}"
    );
    // So does a partition that is not there.
    let outcome = reader.open(&[(9, OffsetRange::new(0, 1))]);
    let words = halt(&outcome.expect_err("no such partition"));
    assert!(words.contains("no partition 9"), "{words}");
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_reader_finds_offsets_by_time() {
    let topic = Topic::new(2, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..10));
    let mut reader = reader_of(&topic);
    assert_eq!(
        reader.offsets_at(&[0, 1], 0).expect("offsets"),
        [(0, Some(0)), (1, None)]
    );
    let far = i64::from(i32::MAX) * 1000;
    assert_eq!(reader.offsets_at(&[0], far).expect("offsets"), [(0, None)]);
}
