//! Questions about a topic and a store in memory.

use super::*;
use crate::store::TablePath;
use crate::verify::tests::world::{World, places_in, rewritten};

#[test]
fn where_answers_for_every_offset() {
    let world = World::filled();
    world.topic.retain_from(1, 3);
    let place = world.place(&Question::Offset {
        partition: 0,
        offset: 7,
    });
    assert_eq!(place.answer, Answer::Row);
    let [found] = &place.places[..] else {
        panic!("one place: {place:?}")
    };
    // The place is right: row `row` of that row group has this offset.
    let bytes = world
        .memory
        .file(&TablePath::new(found.path.clone()).expect("legal"));
    assert!(places_in(&bytes.expect("the file is there")).contains(&(0, 7)));
    assert_eq!((found.partition, found.offset, found.row_group), (0, 7, 0));
    assert_eq!(world.at(0, 40), Answer::DeadLetter);
    assert_eq!(world.at(1, 40), Answer::Tombstone);
    assert_eq!(world.at(1, 41), Answer::Gap);
    assert_eq!(
        world.at(1, 1),
        Answer::Row,
        "the topic has lost it, the lake has not"
    );
    assert_eq!(world.at(0, 41), Answer::NeverInTopic);
    assert_eq!(world.at(9, 0), Answer::NeverInTopic);
    world.send(0, 1);
    assert_eq!(world.at(0, 41), Answer::NotYetCommitted);
    // A tombstone behind retention can no longer be told from a gap.
    world.topic.retain_from(1, 42);
    assert_eq!(world.at(1, 40), Answer::GoneByRetention);
}

#[test]
fn where_finds_a_missing_row() {
    let world = World::filled();
    let (_, bytes) = world.first_file();
    let (partition, offset) = places_in(&bytes)[0];
    // GIVEN a file without its first row WHEN asked for it THEN it is missing, not a gap.
    let (path, _) = world.first_file();
    let short = rewritten(bytes, |batch| batch.slice(1, batch.num_rows() - 1));
    let mut padded = short.to_vec();
    let size = world.memory.file(&path).expect("is there").len();
    if padded.len() == size {
        world.memory.plant(&path, short);
    } else {
        // Files are opened by the size that the log says.
        padded.resize(size, 0);
        world.memory.plant(&path, padded.into());
        let question = Question::Offset { partition, offset };
        let refused = place(&world.parts(), &mut world.topic.reader(), &question);
        assert!(refused.is_err(), "{refused:?}");
        return;
    }
    assert_eq!(world.at(partition, offset), Answer::Missing);
}

#[test]
fn where_finds_values_of_any_column() {
    let world = World::filled();
    let by = |column: &str, value: &str| {
        world.place(&Question::Value {
            column: column.into(),
            value: value.into(),
        })
    };
    // Both partitions have each note once.
    for (column, value, rows) in [
        ("note", "7", 2),
        ("amount", "7.50", 2),
        ("region", "Corse", 40),
        ("note", "41", 0),
        ("region", "Bretagne", 0),
    ] {
        let found = by(column, value);
        assert_eq!(found.places.len(), rows, "{column} = {value}: {found:?}");
        assert_eq!(found.answer == Answer::Row, rows > 0);
    }
    // Statistics rule out row groups, and folders rule out files.
    assert_eq!(by("note", "41").row_groups_read, 0);
    assert_eq!(by("region", "Bretagne").files, 0);
    let unknown = Question::Value {
        column: "nothing".into(),
        value: "1".into(),
    };
    let refused = place(&world.parts(), &mut world.topic.reader(), &unknown);
    assert!(refused.is_err_and(|error| error.to_string().contains("region, amount")));
    let wrong = Question::Value {
        column: "note".into(),
        value: "seven".into(),
    };
    assert!(place(&world.parts(), &mut world.topic.reader(), &wrong).is_err());
}
