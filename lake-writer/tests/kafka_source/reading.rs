//! What one member reads, and where it ends.

use lake_writer::source::Source as _;

use crate::real::Topic;
use crate::support::{Member, produce, produce_with};
use crate::{numbered, settings_of};

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_restart_goes_on_at_the_offset_given_whatever_the_group_says() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..100));
    for (told, from) in [(90, 0), (0, 40), (100, 100)] {
        let mut member = Member::new(&settings_of(&topic));
        member.until_held(&[0]);
        member.start(&[(0, from)]);
        member.until("the end", |member| member.saw_end(0, 100));
        assert_eq!(member.offsets(0), (from..100).collect::<Vec<_>>());
        member.source.acknowledge(&[(0, told)]);
        member.source.close();
    }
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn an_empty_topic_tells_its_end_and_then_its_first_message() {
    let topic = Topic::new(1, &[]);
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 0));
    produce(&topic.brokers, &topic.name, 0, numbered(0..1));
    member.until("the message", |member| member.saw_end(0, 1));
    assert_eq!(member.offsets(0), [0]);
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn aborted_transactions_are_passed_over_and_the_end_lies_behind_their_markers() {
    // GIVEN committed and aborted transactions by turns, an aborted one last
    let topic = Topic::new(1, &[]);
    let transactions: Vec<(bool, Vec<String>)> = (0..6)
        .map(|round| {
            (
                round % 2 == 0,
                numbered(round * 10..(round + 1) * 10).collect(),
            )
        })
        .collect();
    topic.transact(&transactions);

    // WHEN the partition is read THEN only committed values come
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    let high = member.source.watermarks(0).expect("watermarks").high;
    // Ten messages and one marker for each transaction.
    assert_eq!(high, 66);
    member.until("the end", |member| member.saw_end(0, high));
    let values: Vec<String> = member
        .messages
        .iter()
        .map(|(.., value)| value.clone())
        .collect();
    let committed = transactions.iter().filter(|(commit, _)| *commit);
    let expected: Vec<String> = committed.flat_map(|(_, values)| values.clone()).collect();
    assert_eq!(values, expected);

    // WHEN it starts behind the last committed message THEN it ends at once, at the same place
    member.ends.clear();
    member.start(&[(0, 54)]);
    member.until("the end again", |member| member.saw_end(0, high));
    assert_eq!(member.messages.len(), expected.len());
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_compacted_topic_is_read_across_its_gaps() {
    // GIVEN a topic that keeps one message a key, in small segments
    let topic = Topic::new(
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.bytes", "1048576"),
            ("segment.ms", "100"),
            ("min.cleanable.dirty.ratio", "0.001"),
            ("max.compaction.lag.ms", "100"),
        ],
    );
    let keyed = |range: std::ops::Range<i64>| {
        range.map(|number| (format!("key {}", number % 5), format!("value {number}")))
    };
    produce_with(&topic.brokers, &topic.name, 0, keyed(0..500), &[]);
    let settings = settings_of(&topic);
    let mut member = Member::new(&settings);
    member.until_held(&[0]);
    // WHEN the cleaner has been there: it works on segments that newer messages have closed
    let mut end = 500;
    member.until("compaction", |member| {
        produce_with(&topic.brokers, &topic.name, 0, keyed(end..end + 1), &[]);
        end += 1;
        member.messages.clear();
        member.ends.clear();
        member.start(&[(0, 0)]);
        member.until("the end", |member| member.saw_end(0, end));
        member.messages.len() < 400
    });
    // THEN what is left comes in order, and the last value of every key is among it
    for key in 0..5 {
        let last = (0..end)
            .rev()
            .find(|number| number % 5 == key)
            .expect("one of five");
        assert!(
            member
                .messages
                .contains(&(0, last, format!("value {last}")))
        );
    }
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn every_codec_is_read() {
    let topic = Topic::new(1, &[]);
    let mut next = 0;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let messages = numbered(next..next + 100).map(|value| (String::new(), value));
        let properties = [("compression.codec", codec)];
        produce_with(&topic.brokers, &topic.name, 0, messages, &properties);
        next += 100;
    }
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, next));
    let values: Vec<String> = member
        .messages
        .iter()
        .map(|(.., value)| value.clone())
        .collect();
    assert_eq!(values, numbered(0..next).collect::<Vec<_>>());
    member.source.close();
}
