//! The Kafka source against real brokers.

#[path = "kafka/real.rs"]
mod real;
#[path = "kafka/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lake_writer::clock::SystemClock;
use lake_writer::settings::Kafka;
use lake_writer::source::kafka::KafkaReader;
use lake_writer::source::{OffsetRange, RangeReader as _, Source, SourceError, SourceEvent};
use real::{Topic, unique};
use support::{Member, produce, produce_with, settings};

fn numbered(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|number| format!("Île-de-France {number}"))
}

fn settings_of(topic: &Topic) -> Kafka {
    settings(&topic.brokers, &topic.name)
}

fn halt(error: &SourceError) -> String {
    assert!(matches!(error, SourceError::Halt { .. }), "{error:?}");
    error.to_string()
}

/// Members of a group that start and release as the writer does: `committed` stands for the log.
struct Fleet {
    members: Vec<Option<Member>>,
    committed: BTreeMap<i32, i64>,
    read: BTreeMap<(i32, i64), usize>,
}

impl Fleet {
    fn turn(&mut self) {
        for member in self.members.iter_mut().flatten() {
            let polled = member.poll().expect("a poll");
            for (partition, offset, _) in member.messages.drain(..) {
                *self.read.entry((partition, offset)).or_default() += 1;
            }
            for event in polled.events {
                match event {
                    SourceEvent::Assigned(given) => {
                        let from: Vec<(i32, i64)> = given
                            .iter()
                            .map(|number| (*number, *self.committed.get(number).unwrap_or(&0)))
                            .collect();
                        member.start(&from);
                    }
                    SourceEvent::Revoked(asked) => {
                        for number in &asked {
                            if let Some(next) = member.next.remove(number) {
                                self.committed.insert(*number, next);
                            }
                        }
                        member.release(&asked);
                    }
                    SourceEvent::Lost(taken) => panic!("lost {taken:?}"),
                    _ => {}
                }
            }
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let mut turns = 0;
        while !done(self) {
            self.turn();
            turns += 1;
            assert!(
                turns < 2000,
                "waited in vain for: {what}; {} read",
                self.read.len()
            );
        }
    }

    fn leave(&mut self, index: usize) {
        if let Some(member) = self.members[index].take() {
            self.committed.extend(&member.next);
            member.source.close();
        }
    }
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn members_come_and_go_and_every_message_is_read_once() {
    // GIVEN six partitions, and one member that begins to read
    let topic = Topic::new(6, &[]);
    let settings = settings_of(&topic);
    let mut written = 0;
    let mut write = |count: i64| {
        for partition in 0..6 {
            produce(
                &topic.brokers,
                &topic.name,
                partition,
                numbered(written..written + count),
            );
        }
        written += count;
        usize::try_from(6 * written).expect("a few messages")
    };
    let mut fleet = Fleet {
        members: vec![Some(Member::new(&settings))],
        committed: BTreeMap::new(),
        read: BTreeMap::new(),
    };
    let mut all = write(2000);
    fleet.until("the first messages", |fleet| fleet.read.len() > 3000);

    // WHEN others join THEN partitions move, and nothing is read twice or left out
    for expected in [3, 2] {
        fleet.members.push(Some(Member::new(&settings)));
        all = write(2000);
        fleet.until("an even share", |fleet| {
            let mut members = fleet.members.iter().flatten();
            members.all(|member| member.held.len() == expected)
        });
    }
    fleet.until("all messages", |fleet| fleet.read.len() == all);

    // WHEN they leave again, in the middle of reading THEN the others go on
    all = write(2000);
    fleet.turn();
    fleet.leave(0);
    fleet.until("half of it", |fleet| {
        fleet
            .members
            .iter()
            .flatten()
            .all(|member| member.held.len() == 3)
    });
    all = all.max(write(1000));
    fleet.leave(1);
    fleet.until("all messages", |fleet| fleet.read.len() == all);
    fleet.leave(2);
    let repeated = fleet.read.values().filter(|count| **count > 1).count();
    assert_eq!(repeated, 0);
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_member_that_stands_at_the_end_survives_every_rebalance_without_a_gap() {
    // GIVEN two members that have read everything
    let topic = Topic::new(4, &[]);
    let settings = settings_of(&topic);
    let mut fleet = Fleet {
        members: vec![Some(Member::new(&settings)), Some(Member::new(&settings))],
        committed: BTreeMap::new(),
        read: BTreeMap::new(),
    };
    let mut all = 0;
    for round in 0..5 {
        for partition in 0..4 {
            let values = numbered(round * 10..(round + 1) * 10);
            produce(&topic.brokers, &topic.name, partition, values);
        }
        all += 40;
        fleet.until("all messages", |fleet| fleet.read.len() == all);
        // WHEN one of them is replaced while all stand at the end THEN the next round is complete
        let index = usize::try_from(round % 2).expect("0 or 1");
        fleet.leave(index);
        fleet.members[index] = Some(Member::new(&settings));
        fleet.until("an even share", |fleet| {
            fleet
                .members
                .iter()
                .flatten()
                .all(|member| member.held.len() == 2)
        });
    }
    assert!(fleet.read.values().all(|count| *count == 1));
    fleet.leave(0);
    fleet.leave(1);
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn partitions_that_are_never_released_move_when_the_member_closes() {
    let topic = Topic::new(2, &[]);
    let mut first = Member::new(&settings_of(&topic));
    first.until_held(&[0, 1]);
    first.start(&[(0, 0)]);
    let mut second = Member::new(&settings_of(&topic));
    first.until("a revocation", |member| {
        second.poll().expect("a poll of the second");
        !member.revoked().is_empty()
    });
    first.source.close();
    second.until_held(&[0, 1]);
    second.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_member_that_does_not_poll_loses_its_partitions_and_is_told_so() {
    // GIVEN a member that must poll every six seconds
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..10));
    let mut impatient = settings_of(&topic);
    impatient.client.insert("max.poll.interval.ms", "6000");
    let mut first = Member::new(&impatient);
    first.until_held(&[0]);
    first.start(&[(0, 0)]);
    first.until("the end", |member| member.saw_end(0, 10));
    // WHEN it does not, and another one takes over
    let mut second = Member::new(&impatient);
    second.until_held(&[0]);
    // THEN it is told that the partition is lost, hands out nothing, and may come back later
    produce(&topic.brokers, &topic.name, 0, numbered(10..20));
    first.until("the loss", |member| {
        second.poll().expect("a poll of the second");
        member.events.contains(&SourceEvent::Lost(vec![0]))
    });
    assert_eq!(first.messages.len(), 10);
    first.release(&[0]);
    second.source.close();
    first.until_held(&[0]);
    first.start(&[(0, 10)]);
    first.until("the rest", |member| member.saw_end(0, 20));
    assert_eq!(first.offsets(0), (0..20).collect::<Vec<_>>());
    first.source.close();
}

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
fn retention_that_has_passed_the_offset_halts_and_says_what_is_left() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..100));
    topic.forget(0, 60);
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    // GIVEN the first offset that is left THEN it is read
    member.start(&[(0, 60)]);
    member.until("the end", |member| member.saw_end(0, 100));
    assert_eq!(member.offsets(0), (60..100).collect::<Vec<_>>());
    // WHEN an offset before it is wanted THEN it halts
    member.messages.clear();
    member.start(&[(0, 20)]);
    let words = halt(&member.until_error("a halt"));
    assert!(words.contains("offset 20 of partition 0"), "{words}");
    assert!(
        words.contains("is gone") && words.contains("offset 60"),
        "{words}"
    );
    assert!(
        member.messages.is_empty(),
        "nothing was read from elsewhere"
    );
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn an_offset_beyond_the_end_halts() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..10));
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    member.start(&[(0, 11)]);
    let words = halt(&member.until_error("a halt"));
    assert!(
        words.contains("beyond the end of the partition, which is 10"),
        "{words}"
    );
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_topic_deleted_and_created_again_halts() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..10));
    let mut member = Member::new(&settings_of(&topic));
    let before = member.source.identify().expect("the topic is there");
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 10));

    topic.delete();
    topic.create(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..30));
    let words = halt(&member.until_error("a halt"));
    assert!(words.contains(&before.topic_id), "{words}");
    assert!(words.contains("deleted and created again"), "{words}");
    // A question in between sees it too.
    assert!(halt(&member.source.identify().expect_err("another topic")).contains(&topic.name));
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_topic_deleted_while_it_is_read_halts() {
    let topic = Topic::new(1, &[]);
    produce(&topic.brokers, &topic.name, 0, numbered(0..10));
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 10));
    topic.delete();
    let words = halt(&member.until_error("a halt"));
    assert!(
        words.contains("does not exist") && words.contains(&topic.name),
        "{words}"
    );
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn a_topic_that_does_not_exist_is_named_with_the_remedy() {
    let topic = Topic::named(&unique("missing"));
    let mut member = Member::new(&settings_of(&topic));
    let words = halt(&member.source.identify().expect_err("no such topic"));
    assert!(
        words.contains(&format!("topic \"{}\" does not exist", topic.name)),
        "{words}"
    );
    assert!(words.contains("--create"), "{words}");
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
fn a_paused_member_stays_in_the_group_and_goes_on_where_it_was() {
    let topic = Topic::new(2, &[]);
    for partition in 0..2 {
        produce(&topic.brokers, &topic.name, partition, numbered(0..20_000));
    }
    let mut member = Member::new(&settings_of(&topic));
    member.until_held(&[0, 1]);
    // GIVEN one partition paused in the middle, and another that is started during the pause
    member.start(&[(0, 0)]);
    member.until("some messages", |member| !member.messages.is_empty());
    member.source.pause().expect("a pause");
    let before = member.messages.len();
    member.start(&[(1, 0)]);
    // WHEN it only polls for longer than a session lasts
    let turns = 8_000 / 50;
    for _ in 0..turns {
        member.poll().expect("a poll");
    }
    // THEN nothing was handed out and nothing was lost
    assert_eq!(member.messages.len(), before);
    assert!(!member.events.contains(&SourceEvent::Lost(vec![0, 1])));
    member.source.resume().expect("a resume");
    member.until("both ends", |member| {
        member.saw_end(0, 20_000) && member.saw_end(1, 20_000)
    });
    for partition in 0..2 {
        assert_eq!(member.offsets(partition), (0..20_000).collect::<Vec<_>>());
    }
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn partitions_added_while_running_are_given_too() {
    let topic = Topic::new(1, &[]);
    let mut settings = settings_of(&topic);
    settings
        .client
        .insert("topic.metadata.refresh.interval.ms", "500");
    let mut member = Member::new(&settings);
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    topic.grow(3);
    member.until_held(&[0, 1, 2]);
    member.start(&[(1, 0), (2, 0)]);
    produce(&topic.brokers, &topic.name, 2, numbered(0..5));
    member.until("messages of a new partition", |member| member.saw_end(2, 5));
    assert_eq!(member.source.identify().expect("the topic").partitions, 3);
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA: bootstrap servers of a running broker"]
fn two_writers_with_one_static_identity_do_not_both_go_on() {
    let topic = Topic::new(1, &[]);
    let mut settings = settings_of(&topic);
    settings.client.insert("group.instance.id", "writer-1");
    let mut first = Member::new(&settings);
    first.until_held(&[0]);
    first.start(&[(0, 0)]);
    let mut second = Member::new(&settings);
    second.until_held(&[0]);
    let words = halt(&first.until_error("a halt"));
    assert!(words.contains("group.instance.id"), "{words}");
    first.source.close();
    second.source.close();
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

/// Settings for the brokers that ask for a password: all properties of a client that they let in.
fn secured_settings(password: Option<&str>) -> (Kafka, String) {
    let text = std::env::var("LAKE_WRITER_TEST_KAFKA_SASL")
        .expect("LAKE_WRITER_TEST_KAFKA_SASL holds a client's properties as JSON");
    let mut properties: BTreeMap<String, String> =
        serde_json::from_str(&text).expect("names and values");
    let brokers = properties
        .remove("bootstrap.servers")
        .expect("bootstrap.servers among them");
    let right = properties["sasl.password"].clone();
    let mut settings = settings(&brokers, &unique("secured"));
    for (key, value) in properties {
        settings.client.insert(key, value);
    }
    if let Some(password) = password {
        settings.client.insert("sasl.password", password);
    }
    (settings, right)
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA_SASL: JSON properties of a client of a secured broker"]
fn a_wrong_password_is_said_at_once_and_never_shown() {
    let (settings, _) = secured_settings(Some("open sesame"));
    let mut member = Member::new(&settings);
    let words = halt(&member.source.identify().expect_err("must be refused"));
    assert!(words.contains("refuse the connection"), "{words}");
    assert!(
        words.to_lowercase().contains("authentication failed"),
        "{words}"
    );
    assert!(
        words.contains("sasl.*") && !words.contains("open sesame"),
        "{words}"
    );

    // Without that question it is told as an event, once.
    member.until("away", |member| !member.events.is_empty());
    for _ in 0..100 {
        member.poll().expect("a poll");
    }
    assert_eq!(member.events.len(), 1);
    let Some(SourceEvent::Away(words)) = member.events.first() else {
        panic!("{:?}", member.events);
    };
    assert!(words.to_lowercase().contains("authentication"), "{words}");
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA_SASL: JSON properties of a client of a secured broker"]
fn the_right_password_is_let_in() {
    // The topic is missing, which only one who was let in is told.
    let (settings, right) = secured_settings(None);
    let words = halt(
        &Member::new(&settings)
            .source
            .identify()
            .expect_err("no such topic"),
    );
    assert!(
        words.contains("does not exist") && !words.contains(&right),
        "{words}"
    );
}

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
