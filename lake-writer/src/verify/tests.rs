//! Whole verifications over a topic and a store in memory, with one thing planted in each.

pub(crate) mod world;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::source::memory::MemoryTopic;
use crate::store::TablePath;
use crate::store::memory::Staging;
use world::{World, definition, each, everything, kinds, named, places_in, rewritten, sorted};

#[test]
fn a_clean_table_is_clean_and_adds_up() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN rows, a dead letter, a tombstone, a marker, and messages not yet committed
        let world = World::new(staging);
        world.send(0, 40);
        world.send(1, 40);
        world.topic.append(0, Some(b"not a sale"));
        world.topic.append(1, None);
        world.topic.append_marker(1);
        world.write();
        world.send(1, 3);
        // WHEN it is verified THEN nothing differs
        let report = world.verify(&everything());
        assert_eq!(named(&report), []);
        assert_eq!(world.quick(), []);
        // AND consumed = rows + dead letters + tombstones + gaps
        let [zero, one] = &report.partitions[..] else {
            panic!("two partitions, not {:?}", report.partitions);
        };
        let figures =
            |p: &PartitionReport| (p.rows, p.dead_letters, p.tombstones, p.gaps, p.compared);
        assert_eq!(figures(zero), (40, 1, 0, 0, 41));
        assert_eq!(figures(one), (40, 0, 1, 1, 42));
        assert_eq!((zero.not_yet_committed, one.not_yet_committed), (0, 3));
        assert_eq!(report.files.compared, report.files.named);
        assert!(report.unproved.is_empty(), "{:?}", report.unproved);
    }
}

#[test]
fn a_file_that_is_gone_and_its_offsets_are_named() {
    let world = World::filled();
    let (path, bytes) = world.first_file();
    world.memory.remove(&path);
    assert_eq!(
        world.quick(),
        [(FindingKind::MissingFile, path.to_string())]
    );
    let mut expected = each(FindingKind::Missing, &places_in(&bytes));
    expected.push((FindingKind::MissingFile, path.to_string()));
    assert_eq!(sorted(world.findings()), sorted(expected));
}

#[test]
fn a_truncated_file_is_named_with_its_offsets() {
    let world = World::filled();
    let (path, bytes) = world.first_file();
    world.memory.plant(&path, bytes.slice(..bytes.len() / 2));
    assert_eq!(world.quick(), [(FindingKind::WrongSize, path.to_string())]);
    let mut expected = each(FindingKind::Missing, &places_in(&bytes));
    expected.push((FindingKind::WrongSize, path.to_string()));
    expected.push((FindingKind::UnreadableFile, path.to_string()));
    assert_eq!(sorted(world.findings()), sorted(expected));
}

#[test]
fn any_flipped_byte_is_found() {
    let world = World::filled();
    let (path, bytes) = world.first_file();
    for at in (0..bytes.len()).step_by(97) {
        // GIVEN one byte of a file flipped WHEN verified THEN the file's checksum is wrong.
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 0x10;
        world.memory.plant(&path, flipped.into());
        let found = world.findings();
        let expected = (FindingKind::WrongChecksum, path.to_string());
        assert!(found.contains(&expected), "byte {at}: {found:?}");
    }
    world.memory.plant(&path, bytes);
    assert_eq!(world.findings(), []);
}

#[test]
fn foreign_files_are_named_and_copies_double_rows() {
    let world = World::filled();
    let (path, bytes) = world.first_file();
    let stray = TablePath::new("data/region=Corse/notes.txt").expect("legal");
    let copy = TablePath::new(format!("{}/copy.parquet", path.parent().expect("a folder")))
        .expect("legal");
    let dead = TablePath::new("dead/left.parquet").expect("legal");
    world.memory.plant(&stray, Bytes::from_static(b"hello"));
    world.memory.plant(&copy, bytes.clone());
    world.memory.plant(&dead, Bytes::from_static(b"PAR1"));
    let foreign = [&stray, &copy, &dead].map(|path| (FindingKind::ForeignFile, path.to_string()));
    assert_eq!(sorted(world.quick()), sorted(foreign.to_vec()));
    let mut expected = each(FindingKind::Doubled, &places_in(&bytes));
    expected.extend(foreign);
    let report = world.verify(&everything());
    assert_eq!(sorted(named(&report)), sorted(expected));
    let of_copy = report
        .findings
        .iter()
        .find(|f| f.path.as_deref() == Some(copy.as_str()));
    let detail = &of_copy.expect("is named").detail;
    assert!(detail.contains(&format!("a copy of {path}")), "{detail}");
}

#[test]
fn changed_rows_are_named_by_their_offsets() {
    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    // GIVEN a file of the same rows but for one value
    let world = World::filled();
    let (path, bytes) = world.first_file();
    let changed = rewritten(bytes.clone(), |batch| {
        let index = batch.schema().index_of("note").expect("a column");
        let mut notes = batch
            .column(index)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec();
        notes[1] += 1;
        let mut columns = batch.columns().to_vec();
        columns[index] = Arc::new(Int64Array::from(notes));
        arrow_array::RecordBatch::try_new(batch.schema(), columns).expect("the same shape")
    });
    world.memory.plant(&path, changed.clone());
    // WHEN verified THEN size or bytes are wrong, and the one offset is named
    let found = world.findings();
    let differing: Vec<_> = found
        .iter()
        .filter(|(kind, _)| *kind == FindingKind::Differing)
        .collect();
    assert_eq!(differing.len(), 1, "{found:?}");
    // AND the same rows written by another are no difference in content
    world.memory.plant(&path, rewritten(bytes, |batch| batch));
    assert_eq!(kinds(&world.findings()), [FindingKind::WrongSize]);
}

#[test]
fn rows_in_a_wrong_folder_are_misplaced() {
    // GIVEN a file moved to another folder
    let world = World::filled();
    let (path, bytes) = world.first_file();
    assert!(path.as_str().contains("region=Corse"));
    let moved = TablePath::new("data/region=Bretagne/x.parquet").expect("legal");
    world.memory.remove(&path);
    world.memory.plant(&moved, bytes.clone());
    // WHEN verified THEN both names are told, and no row is called missing
    let mut expected = each(FindingKind::Misplaced, &places_in(&bytes));
    expected.push((FindingKind::MissingFile, path.to_string()));
    expected.push((FindingKind::ForeignFile, moved.to_string()));
    assert_eq!(sorted(world.findings()), sorted(expected));
}

#[test]
fn dead_letters_are_compared_byte_by_byte() {
    use arrow_array::BinaryArray;
    let world = World::filled();
    let (path, bytes) = world
        .files("dead/")
        .into_iter()
        .next()
        .expect("a dead letter");
    let changed = rewritten(bytes, |batch| {
        let index = batch.schema().index_of("value").expect("a column");
        let mut columns = batch.columns().to_vec();
        columns[index] = Arc::new(BinaryArray::from_vec(vec![b"not a sold"]));
        arrow_array::RecordBatch::try_new(batch.schema(), columns).expect("the same shape")
    });
    world.memory.plant(&path, changed);
    let found = world.findings();
    assert!(
        found.contains(&(FindingKind::Differing, "0: 40..41".into())),
        "{found:?}"
    );
}

#[test]
fn what_the_topic_has_lost_is_explained_when_the_log_counts_it() {
    // GIVEN a topic that was compacted after it was written
    let world = World::filled();
    for offset in [3, 4, 17] {
        world.topic.compact_away(0, offset);
    }
    let report = world.verify(&everything());
    // THEN that is no finding, and it is said
    assert_eq!(named(&report), []);
    assert_eq!(report.partitions[0].compacted, 3);
    assert!(
        report
            .unproved
            .iter()
            .any(|said| said.contains("compaction"))
    );
    // BUT a row that is lost besides is found by the counts, with or without its message
    let (path, bytes) = world.first_file();
    world.memory.remove(&path);
    for (partition, offset) in places_in(&bytes) {
        world.topic.compact_away(partition, offset);
    }
    let found = world.findings();
    assert!(
        kinds(&found).contains(&FindingKind::WrongCounts),
        "{found:?}"
    );
}

#[test]
fn behind_retention_files_still_have_to_be_what_was_written() {
    // GIVEN a topic whose beginning is gone
    let world = World::filled();
    world.topic.retain_from(0, 25);
    let report = world.verify(&everything());
    assert_eq!(named(&report), []);
    assert_eq!(
        (report.partitions[0].unproved, report.partitions[0].compared),
        (25, 16)
    );
    assert!(!report.unproved.is_empty());
    assert_eq!(report.files.checksummed, report.files.named);
    // WHEN a byte of a file flips whose rows are all gone from the topic THEN it is found
    world.topic.retain_from(0, 41);
    world.topic.retain_from(1, 43);
    let (path, bytes) = world.first_file();
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 3] ^= 1;
    world.memory.plant(&path, flipped.into());
    assert_eq!(
        world.findings(),
        [(FindingKind::WrongChecksum, path.to_string())]
    );
}

#[test]
fn a_topic_created_again_leaves_the_files_to_be_checked() {
    let world = World::filled();
    world.topic.recreate();
    let report = world.verify(&everything());
    assert_eq!(named(&report), []);
    assert_eq!(report.files.checksummed, report.files.named);
    assert_eq!(
        report.partitions.iter().map(|p| p.unproved).sum::<u64>(),
        83
    );
}

#[test]
fn a_topic_that_lost_its_end_is_a_finding() {
    // GIVEN a table that was written further than the topic goes
    let world = World::filled();
    let shorter = MemoryTopic::new("sales", 2);
    for _ in 0..10 {
        shorter.append_marker(0);
    }
    // WHEN it is verified THEN both partitions end early
    let mut reader = shorter.reader();
    let reader: Option<&mut dyn RangeReader> = Some(&mut reader);
    let report = verify(
        &world.parts(),
        &definition(),
        reader,
        &everything(),
        &mut |_| {},
    );
    let found = named(&report.expect("can be compared"));
    assert!(
        found.contains(&(FindingKind::ShortTopic, "0".into())),
        "{found:?}"
    );
    assert!(
        found.contains(&(FindingKind::ShortTopic, "1".into())),
        "{found:?}"
    );
}

#[test]
fn a_request_is_widened_to_committed_ranges() {
    // GIVEN two commits, of which the second has partition 1 alone, from offset 42 on
    let world = World::filled();
    world.send(1, 20);
    world.write();
    let of_one = Request {
        partitions: vec![1],
        ..everything()
    };
    let report = world.verify(&of_one);
    assert_eq!(
        (report.partitions[0].compared, report.partitions[1].compared),
        (0, 62)
    );
    // Timestamps of the topic in memory are offsets.
    for request in [
        Request {
            from: Some(5),
            to: Some(6),
            ..of_one.clone()
        },
        Request {
            since_ms: Some(5),
            until_ms: Some(6),
            ..of_one.clone()
        },
    ] {
        let compared = world.verify(&request).partitions[1].compared;
        assert_eq!(compared, 42, "{request:?}");
    }
    let nothing = Request {
        since_ms: Some(1_000),
        ..of_one
    };
    assert_eq!(world.verify(&nothing).partitions[1].compared, 0);
    // A sample is the same each time, and never empty.
    for (ratio, commits) in [(0.0, 1), (1.0, 2)] {
        let sample = Request {
            sample: Some(ratio),
            ..everything()
        };
        let (one, two) = (world.verify(&sample), world.verify(&sample));
        assert_eq!(one.partitions, two.partitions);
        assert_eq!((one.commits.chosen, one.commits.in_log), (commits, 2));
    }
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let world = World::filled();
    let (path, bytes) = world.first_file();
    world.memory.remove(&path);
    let few = Request {
        most_findings: 2,
        ..Request::default()
    };
    let report = world.verify(&few);
    let missing: u64 = report.partitions.iter().map(|p| p.missing).sum();
    let rows = places_in(&bytes).len() as u64;
    assert_eq!((report.findings.len(), missing), (2, rows));
    assert_eq!(report.findings_left_out, rows - 1);
}

#[test]
fn a_commit_that_is_not_published_is_told_from_one_that_is_lost() {
    // GIVEN the last commit's file back in its staging place, as a crash leaves it
    let world = World::filled();
    let ledger = world
        .runtime
        .block_on(ledger(&world.memory))
        .expect("a log");
    let last = ledger
        .files
        .values()
        .filter(|file| file.on_its_way.is_some())
        .max_by_key(|file| file.commit);
    let file = last.expect("the last commit is not said to be published");
    let bytes = world.memory.file(&file.path).expect("is there");
    let Some(crate::store::Staged::File { path: staged }) = &file.on_its_way else {
        panic!("staged by file");
    };
    world.memory.remove(&file.path);
    world.memory.plant(staged, bytes.clone());
    assert_eq!(
        world.quick(),
        [(FindingKind::UnpublishedFile, file.path.to_string())]
    );
    // WHEN it is published while it is waited for THEN nothing is found
    let parts = VerifyParts {
        patience: Duration::from_secs(20),
        ..world.parts()
    };
    let (memory, path, staged) = (world.memory.clone(), file.path.clone(), staged.clone());
    let publishing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        memory.remove(&staged);
        memory.plant(&path, bytes);
    });
    let report = verify(&parts, &definition(), None, &everything(), &mut |_| {});
    assert_eq!(named(&report.expect("can be compared")), []);
    publishing.join().expect("published");
}

#[test]
fn another_tables_settings_are_refused() {
    let world = World::filled();
    let other = Definition {
        time_zone: "Europe/Paris".into(),
        ..definition()
    };
    let refused = verify(&world.parts(), &other, None, &everything(), &mut |_| {});
    assert!(matches!(refused, Err(VerifyError::OtherTable(_))));
}
