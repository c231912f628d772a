//! The Kafka source against librdkafka's in-process brokers: needs nothing, always runs.

#[path = "kafka_source/support.rs"]
mod support;

use lake_writer::source::{Source, SourceError, SourceEvent};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use support::{Member, produce, settings};

fn cluster(topic: &str, partitions: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("brokers in the process");
    cluster
        .create_topic(topic, partitions, 1)
        .expect("a new topic");
    cluster
}

fn numbered(range: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    range.map(|number| format!("sale {number}"))
}

#[test]
fn a_lone_member_reads_everything_from_where_it_was_started() {
    // GIVEN two partitions with messages
    let cluster = cluster("sales", 2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "sales", 0, numbered(0..100));
    produce(&brokers, "sales", 1, numbered(0..50));
    let mut member = Member::new(&settings(&brokers, "sales"));
    let identity = member.source.identify().expect("the topic is there");
    assert_eq!((identity.name.as_str(), identity.partitions), ("sales", 2));
    assert_eq!(identity.topic_id.len(), 22);

    // WHEN the group gives them THEN nothing is read before the start
    member.until_held(&[0, 1]);
    for _ in 0..10 {
        assert_eq!(member.poll().expect("a poll").messages, 0);
    }

    // WHEN they are started THEN every message from there on comes once, and then the end
    member.start(&[(0, 0), (1, 20)]);
    member.until("both ends", |member| {
        member.saw_end(0, 100) && member.saw_end(1, 50)
    });
    assert_eq!(member.offsets(0), (0..100).collect::<Vec<_>>());
    assert_eq!(member.offsets(1), (20..50).collect::<Vec<_>>());
    assert_eq!(member.source.cached_high(0), Some(100));
    let marks = member.source.watermarks(1).expect("watermarks");
    assert_eq!((marks.low, marks.high), (0, 50));
    member.source.acknowledge(&[(0, 100), (1, 50)]);
    member.source.close();
}

#[test]
fn a_message_after_the_end_is_not_skipped_by_a_pause() {
    // GIVEN a member that stands at the end of its partition
    let cluster = cluster("sales", 1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "sales", 0, numbered(0..10));
    let mut member = Member::new(&settings(&brokers, "sales"));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 10));

    // WHEN it pauses, messages arrive, and it resumes
    member.source.pause().expect("a pause");
    produce(&brokers, "sales", 0, numbered(10..20));
    for _ in 0..10 {
        assert_eq!(member.poll().expect("a poll").messages, 0, "it is paused");
    }
    member.source.resume().expect("a resume");

    // THEN the very next offset is read
    member.until("the rest", |member| member.saw_end(0, 20));
    assert_eq!(member.offsets(0), (0..20).collect::<Vec<_>>());
    member.source.close();
}

#[test]
fn a_partition_can_be_set_back_and_forward() {
    let cluster = cluster("sales", 1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "sales", 0, numbered(0..1000));
    let mut member = Member::new(&settings(&brokers, "sales"));
    member.until_held(&[0]);
    member.start(&[(0, 500)]);
    member.until("some messages", |member| !member.messages.is_empty());

    // WHEN it is set back THEN it reads from there, each message once more and no old ones
    member.messages.clear();
    member.start(&[(0, 100)]);
    member.until("the end", |member| member.saw_end(0, 1000));
    assert_eq!(member.offsets(0), (100..1000).collect::<Vec<_>>());

    // WHEN it is set forward THEN nothing before is handed out
    member.messages.clear();
    member.ends.clear();
    member.start(&[(0, 990)]);
    member.until("the end", |member| member.saw_end(0, 1000));
    assert_eq!(member.offsets(0), (990..1000).collect::<Vec<_>>());
    member.source.close();
}

#[test]
fn an_empty_partition_tells_its_end() {
    let cluster = cluster("sales", 1);
    let mut member = Member::new(&settings(&cluster.bootstrap_servers(), "sales"));
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 0));
    member.source.close();
}

#[test]
fn a_second_member_takes_over_only_what_was_released() {
    // GIVEN a member that reads both partitions
    let cluster = cluster("sales", 2);
    let brokers = cluster.bootstrap_servers();
    for partition in 0..2 {
        produce(&brokers, "sales", partition, numbered(0..1000));
    }
    let mut first = Member::new(&settings(&brokers, "sales"));
    first.until_held(&[0, 1]);
    first.start(&[(0, 0), (1, 0)]);
    first.until("both ends", |member| {
        member.saw_end(0, 1000) && member.saw_end(1, 1000)
    });

    // WHEN a second one joins THEN one partition is asked back from the first
    let mut second = Member::new(&settings(&brokers, "sales"));
    first.until("a revocation", |member| {
        second.poll().expect("a poll of the second");
        !member.revoked().is_empty()
    });
    let moved = first.revoked();
    assert_eq!(moved.len(), 1);
    // THEN the second gets nothing as long as the first keeps it
    for _ in 0..20 {
        first.poll().expect("a poll of the first");
        second.poll().expect("a poll of the second");
    }
    assert!(second.held.is_empty());

    // WHEN it is released THEN the second gets it, and each reads on where the other stopped
    first.release(&moved);
    second.until("the partition", |member| {
        first.poll().expect("a poll of the first");
        member.held.iter().eq(moved.iter())
    });
    for partition in 0..2 {
        produce(&brokers, "sales", partition, numbered(1000..1500));
    }
    second.start(&[(moved[0], 1000)]);
    let kept = 1 - moved[0];
    first.until("all of both", |member| {
        second.poll().expect("a poll of the second");
        member.saw_end(kept, 1500) && second.saw_end(moved[0], 1500)
    });
    assert_eq!(first.offsets(kept), (0..1500).collect::<Vec<_>>());
    assert_eq!(first.offsets(moved[0]), (0..1000).collect::<Vec<_>>());
    assert_eq!(second.offsets(moved[0]), (1000..1500).collect::<Vec<_>>());

    // WHEN the second leaves THEN the first gets the partition back, and skips nothing of either
    second.source.close();
    first.until_held(&[0, 1]);
    for partition in 0..2 {
        produce(&brokers, "sales", partition, numbered(1500..1600));
    }
    first.start(&[(moved[0], 1500)]);
    first.until("all of both", |member| {
        member.saw_end(0, 1600) && member.saw_end(1, 1600)
    });
    assert_eq!(first.offsets(kept), (0..1600).collect::<Vec<_>>());
    assert_eq!(
        first.offsets(moved[0])[1000..],
        (1500..1600).collect::<Vec<_>>()
    );
    first.source.close();
}

#[test]
fn closing_does_not_wait_for_a_release() {
    let cluster = cluster("sales", 2);
    let brokers = cluster.bootstrap_servers();
    let mut first = Member::new(&settings(&brokers, "sales"));
    first.until_held(&[0, 1]);
    first.start(&[(0, 0)]);
    let mut second = Member::new(&settings(&brokers, "sales"));
    first.until("a revocation", |member| {
        second.poll().expect("a poll of the second");
        !member.revoked().is_empty()
    });
    // WHEN the first closes without ever having released THEN the second gets everything
    first.source.close();
    second.until_held(&[0, 1]);
    second.source.close();
}

#[test]
fn brokers_out_of_reach_are_told_once_and_so_is_their_return() {
    let cluster = cluster("sales", 1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "sales", 0, numbered(0..10));
    let mut member = Member::new(&settings(&brokers, "sales"));
    member.source.identify().expect("the topic is there");
    member.until_held(&[0]);
    member.start(&[(0, 0)]);
    member.until("the end", |member| member.saw_end(0, 10));
    member.events.clear();

    cluster.broker_down(1).expect("the broker goes down");
    member.until("away", |member| {
        matches!(member.events.first(), Some(SourceEvent::Away(_)))
    });
    for _ in 0..40 {
        member.poll().expect("a poll while the broker is down");
    }
    assert_eq!(member.events.len(), 1, "{:?}", member.events);

    cluster.broker_up(1).expect("the broker comes back");
    member.until("back", |member| member.events.contains(&SourceEvent::Back));
    produce(&brokers, "sales", 0, numbered(10..20));
    member.until("the new messages", |member| member.offsets(0).len() == 20);
    member.source.close();
}

#[test]
fn no_broker_at_all_is_transient_and_says_why() {
    // A port of a listener that is gone again: nobody answers there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let mut member = Member::new(&settings(&format!("127.0.0.1:{port}"), "sales"));
    let error = member.source.identify().expect_err("nobody is there");
    assert!(matches!(error, SourceError::Transient { .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn starting_what_the_group_did_not_give_is_refused() {
    let cluster = cluster("sales", 1);
    let mut member = Member::new(&settings(&cluster.bootstrap_servers(), "sales"));
    let outcome = member.source.start(&[(0, 0)]);
    assert!(matches!(outcome, Err(SourceError::Halt { .. })));
}
