//! Offsets and topics that are not there, or not there any more.

use lake_writer::source::Source as _;

use crate::real::{Topic, unique};
use crate::support::{Member, produce};
use crate::{halt, numbered, settings_of};

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
