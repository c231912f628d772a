//! Whole verifications over a topic and a store in memory, with one thing planted in each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::watch;

use super::place::{Answer, Places, Question, place};
use super::*;
use crate::batch::{MemoryBudget, Rotation};
use crate::clock::{Chance, SystemClock};
use crate::settings::{FirstStart, Format, Parquet};
use crate::source::memory::MemoryTopic;
use crate::stage::Sorting;
use crate::store::TablePath;
use crate::store::memory::{MemoryStore, Staging};
use crate::table::Schema;
use crate::table::spec::Spec;
use crate::telemetry::Metrics;
use crate::writer::assemble::{CutMaker, Table};
use crate::writer::{self, RunMode, Stop, WriterParts};

/// A topic and a table that a writer fills.
struct World {
    topic: MemoryTopic,
    memory: MemoryStore,
    runtime: tokio::runtime::Runtime,
    next: std::cell::Cell<u64>,
}

impl World {
    fn new(staging: Staging) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            topic: MemoryTopic::new("sales", 2),
            memory: MemoryStore::new(staging),
            runtime,
            next: std::cell::Cell::new(1),
        }
    }

    /// Two partitions of rows, dead letters, tombstones and markers, committed.
    fn filled() -> Self {
        let world = Self::new(Staging::File);
        world.send(0, 40);
        world.send(1, 40);
        world.topic.append(0, Some(b"not a sale"));
        world.topic.append(1, None);
        world.topic.append_marker(1);
        world.write();
        world
    }

    fn send(&self, partition: i32, count: usize) {
        for n in 0..count {
            let region = ["Île-de-France", "Corse"][n % 2];
            let tags = if n % 3 == 0 { "null" } else { r#"["a","b"]"# };
            let sale = format!(
                r#"{{"region":"{region}","amount":"{n}.50","note":{n},"tags":{tags},"by":{{"é":{n}}}}}"#
            );
            self.topic.append(partition, Some(sale.as_bytes()));
        }
    }

    fn write(&self) {
        let member = self.next.replace(self.next.get() + 1);
        self.topic
            .assign(u32::try_from(member).expect("few"), &[0, 1]);
        let clock = Arc::new(SystemClock::new());
        let metrics = Arc::new(Metrics::new("memory:"));
        let store: Arc<dyn crate::store::Store> = Arc::new(self.memory.clone());
        let cuts = CutMaker {
            table: table(),
            format: Format::Json,
            parquet: parquet_settings(),
            budget: MemoryBudget::new(64 << 20),
            store: store.clone(),
            runtime: self.runtime.handle().clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        let parts = WriterParts {
            source: Box::new(self.topic.source(u32::try_from(member).expect("few"))),
            store,
            definition: definition(),
            make_cut: cuts.into_make_cut(),
            rotation: Rotation {
                max_rows: 30,
                max_bytes: 1 << 30,
                max_age: Duration::from_millis(50),
                max_event_span_ms: None,
            },
            first_start: FirstStart::Earliest,
            accept_topic_id: None,
            accept_lost_offsets: false,
            drain_timeout: Duration::from_secs(20),
            clock,
            chance: Chance::from_seed(member),
            metrics,
            runtime: self.runtime.handle().clone(),
        };
        writer::run(parts, RunMode::UntilEnd, watch::channel(Stop::Go).1).expect("runs to the end");
    }

    fn parts(&self) -> VerifyParts {
        VerifyParts {
            store: Arc::new(self.memory.clone()),
            runtime: self.runtime.handle().clone(),
            clock: Arc::new(SystemClock::new()),
            schema: table().schema,
            spec: table().spec,
            format: Format::Json,
            memory_bytes: 1 << 20,
            patience: Duration::ZERO,
        }
    }

    fn verify(&self, request: &Request) -> Report {
        let mut reader = self.topic.reader();
        let reader: Option<&mut dyn RangeReader> = Some(&mut reader);
        verify(&self.parts(), &definition(), reader, request, &mut |_| {}).expect("can be compared")
    }

    /// Kinds of findings of a full verification, with what they are about.
    fn findings(&self) -> Vec<(FindingKind, String)> {
        named(&self.verify(&everything()))
    }

    fn quick(&self) -> Vec<(FindingKind, String)> {
        let report = verify(
            &self.parts(),
            &definition(),
            None,
            &everything(),
            &mut |_| {},
        );
        named(&report.expect("can be compared"))
    }

    fn place(&self, question: &Question) -> Places {
        place(&self.parts(), &mut self.topic.reader(), question).expect("an answer")
    }

    fn at(&self, partition: i32, offset: i64) -> Answer {
        self.place(&Question::Offset { partition, offset }).answer
    }

    /// Files below a folder, in order of their names.
    fn files(&self, folder: &str) -> BTreeMap<TablePath, Bytes> {
        let mut files = self.memory.files();
        files.retain(|path, _| path.as_str().starts_with(folder));
        files
    }

    fn first_file(&self) -> (TablePath, Bytes) {
        let first = self.files("data/").into_iter().next();
        first.expect("the table has files")
    }
}

fn everything() -> Request {
    Request {
        most_findings: 1_000,
        ..Request::default()
    }
}

/// Findings by kind and by file or offsets: `path`, or `partition: start..next`.
fn named(report: &Report) -> Vec<(FindingKind, String)> {
    let about = |finding: &Finding| match (&finding.path, finding.partition, finding.offsets) {
        (Some(path), ..) => path.clone(),
        (None, Some(partition), Some(range)) => {
            format!("{partition}: {}..{}", range.start(), range.next())
        }
        (None, Some(partition), None) => partition.to_string(),
        _ => String::new(),
    };
    let findings = report.findings.iter();
    let named: Vec<_> = findings.map(|f| (f.kind, about(f))).collect();
    assert_eq!(
        report.clean,
        named.is_empty() && report.findings_left_out == 0
    );
    named
}

fn kinds(named: &[(FindingKind, String)]) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = named.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn parquet_settings() -> Parquet {
    Parquet {
        bloom_filter_columns: vec!["note".into()],
        ..Parquet::default()
    }
}

fn table_settings() -> crate::settings::Table {
    crate::settings::Table {
        url: "memory:".into(),
        partition_by: vec!["region".into()],
        ..crate::settings::Table::default()
    }
}

fn definition() -> Definition {
    table().definition(&table_settings())
}

fn table() -> Table {
    let schema = Schema::from_avsc(
        r#"{"type":"record","name":"Sale","fields":[
            {"name":"region","type":"string"},
            {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}},
            {"name":"note","type":"long"},
            {"name":"tags","type":["null",{"type":"array","items":"string"}],"default":null},
            {"name":"by","type":{"type":"map","values":"int"}}]}"#,
    )
    .expect("a schema");
    let spec = Spec::parse(&table_settings().partition_by, &schema, "UTC").expect("a spec");
    let sorting = Sorting::parse(&[], &schema).expect("no order");
    Table {
        schema: Arc::new(schema),
        spec: Arc::new(spec),
        sorting,
    }
}

/// The rows of a file, changed, as another file of the same columns.
fn rewritten(
    bytes: Bytes,
    change: impl Fn(arrow_array::RecordBatch) -> arrow_array::RecordBatch,
) -> Bytes {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
    let mut writer =
        ArrowWriter::try_new(Vec::new(), reader.schema().clone(), None).expect("opens");
    for batch in reader.build().expect("reads") {
        writer
            .write(&change(batch.expect("reads")))
            .expect("writes");
    }
    writer.into_inner().expect("closes").into()
}

/// Source partition and offset of each row of a file.
fn places_in(bytes: &Bytes) -> Vec<(i32, i64)> {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int32Type, Int64Type};
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).expect("a Parquet file");
    let mut places = Vec::new();
    for batch in reader.build().expect("reads") {
        let batch = batch.expect("reads");
        let column = |name| batch.column_by_name(name).expect("is there");
        let partitions = column("kafka_partition").as_primitive::<Int32Type>();
        let offsets = column("kafka_offset").as_primitive::<Int64Type>();
        places.extend(
            partitions
                .values()
                .iter()
                .copied()
                .zip(offsets.values().iter().copied()),
        );
    }
    places.sort_unstable();
    places
}

/// Offsets as findings name them, each by itself: rows of two regions alternate.
fn each(kind: FindingKind, places: &[(i32, i64)]) -> Vec<(FindingKind, String)> {
    let name = |(partition, offset): &(i32, i64)| format!("{partition}: {offset}..{}", offset + 1);
    places.iter().map(|place| (kind, name(place))).collect()
}

fn sorted(mut named: Vec<(FindingKind, String)>) -> Vec<(FindingKind, String)> {
    named.sort();
    named
}

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
    let world = World::filled();
    let of_one = Request {
        partitions: vec![1],
        ..everything()
    };
    let report = world.verify(&of_one);
    assert_eq!(
        (report.partitions[0].compared, report.partitions[1].compared),
        (0, 42)
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
        assert!((1..42).contains(&compared), "{request:?}: {compared}");
    }
    let nothing = Request {
        since_ms: Some(1_000),
        ..of_one
    };
    assert_eq!(world.verify(&nothing).partitions[1].compared, 0);
    // A sample is the same each time, and never empty.
    for ratio in [0.0, 0.5, 1.0] {
        let sample = Request {
            sample: Some(ratio),
            ..everything()
        };
        let (one, two) = (world.verify(&sample), world.verify(&sample));
        assert_eq!(one.partitions, two.partitions);
        assert!(one.commits.chosen >= 1);
        assert_eq!(
            ratio >= 1.0,
            one.commits.chosen == one.commits.in_log,
            "{ratio}"
        );
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
        .filter(|file| !file.is_published)
        .max_by_key(|file| file.commit);
    let file = &last
        .expect("the last commit is not said to be published")
        .file;
    let bytes = world.memory.file(&file.path).expect("is there");
    let crate::store::Staged::File { path: staged } = &file.staged else {
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
