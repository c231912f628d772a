//! How partitions move between the members of a group.

use std::collections::BTreeMap;

use lake_writer::source::{Source as _, SourceEvent};

use crate::real::Topic;
use crate::support::{Member, produce};
use crate::{halt, numbered, settings_of};

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
