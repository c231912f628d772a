//! The whole writer over a topic and a store in memory: what a globbing reader sees afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use async_trait::async_trait;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::watch;

use super::assemble::{CutMaker, Table};
use super::*;
use crate::batch::MemoryBudget;
use crate::clock::{Chance, Clock as _, SystemClock};
use crate::commit::record::Body;
use crate::settings::{Format, Parquet};
use crate::source::SourceEvent;
use crate::source::memory::MemoryTopic;
use crate::stage::Sorting;
use crate::store::StoreError;
use crate::store::fault::{FaultStore, Faults, Step};
use crate::store::memory::{MemoryStore, Staging};
use crate::table::spec::Spec;
use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION, Schema};
use crate::telemetry::{EngineState, Metrics};

/// A topic, a table and what is needed to run writers between them.
struct World {
    topic: MemoryTopic,
    memory: MemoryStore,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(partitions: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            topic: MemoryTopic::new("sales", partitions),
            memory: MemoryStore::new(Staging::File),
            runtime,
        }
    }

    fn send(&self, partition: i32, count: usize) {
        for n in 0..count {
            let region = ["Île-de-France", "Corse", "Provence-Alpes-Côte d'Azur"][n % 3];
            let sale = format!(r#"{{"region":"{region}","amount":{n}}}"#);
            self.topic.append(partition, Some(sale.as_bytes()));
        }
    }

    fn parts(&self, member: u32, store: Arc<dyn Store>) -> WriterParts {
        let clock = Arc::new(SystemClock::new());
        let metrics = Arc::new(Metrics::new("memory:"));
        let cuts = CutMaker {
            table: table(),
            format: Format::Json,
            parquet: Parquet::default(),
            budget: MemoryBudget::new(64 << 20),
            store: store.clone(),
            runtime: self.runtime.handle().clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        };
        WriterParts {
            member: MemberParts {
                name: "lake",
                source: Box::new(self.topic.source(member)),
                drain_timeout: Duration::from_secs(20),
                clock,
                chance: Chance::from_seed(u64::from(member) + 1),
                metrics,
                runtime: self.runtime.handle().clone(),
            },
            store,
            definition: table().definition(&table_settings()),
            make_cut: cuts.into_make_cut(),
            rotation: Rotation {
                max_rows: 70,
                max_bytes: 1 << 30,
                max_age: Duration::from_millis(50),
                max_event_span_ms: None,
            },
            first_start: FirstStart::Earliest,
            accept_topic_id: None,
            accept_lost_offsets: false,
            upkeep: UpkeepPlan {
                checkpoint_after_records: 3,
                keep_records: 1_000,
                sweep_interval: Duration::from_secs(600),
            },
        }
    }

    /// Runs a member that gets every partition to the end of the topic.
    fn run_to_end(&self, member: u32, partitions: &[i32]) -> Result<Summary, WriterError> {
        self.topic.assign(member, partitions);
        let parts = self.parts(member, Arc::new(self.memory.clone()));
        run(parts, RunMode::UntilEnd, never())
    }

    /// Source partition and offset of every row below `data/`, sorted.
    fn rows(&self) -> Vec<(i32, i64)> {
        self.rows_below("data/")
    }

    fn rows_below(&self, folder: &str) -> Vec<(i32, i64)> {
        let mut rows = Vec::new();
        for (path, bytes) in self.memory.files() {
            if !path.as_str().starts_with(folder) {
                continue;
            }
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
            for batch in reader.build().expect("reads") {
                let batch = batch.expect("reads");
                let column = |name| batch.column_by_name(name).expect("is there");
                let partitions = column(KAFKA_PARTITION).as_primitive::<Int32Type>();
                let offsets = column(KAFKA_OFFSET).as_primitive::<Int64Type>();
                rows.extend(
                    partitions
                        .values()
                        .iter()
                        .copied()
                        .zip(offsets.values().iter().copied()),
                );
            }
        }
        rows.sort_unstable();
        rows
    }
}

fn never() -> watch::Receiver<Stop> {
    watch::channel(Stop::Go).1
}

fn table_settings() -> crate::settings::Table {
    crate::settings::Table {
        url: "memory:".into(),
        partition_by: vec!["region".into()],
        ..crate::settings::Table::default()
    }
}

fn table() -> Table {
    let schema = Schema::from_avsc(
        r#"{"type":"record","name":"Sale","fields":[
            {"name":"region","type":"string"},
            {"name":"amount","type":"long"}]}"#,
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

fn expected(partition: i32, offsets: std::ops::Range<i64>) -> impl Iterator<Item = (i32, i64)> {
    offsets.map(move |offset| (partition, offset))
}

/// A store that is out of order for a few calls, before their effect or after it.
#[derive(Debug)]
struct Outage {
    /// Calls that still go well before the outage.
    before: AtomicI64,
    /// Calls that then fail before the store is well again.
    failing: AtomicI64,
}

impl Outage {
    fn of(memory: &MemoryStore, before: i64, failing: i64) -> Arc<dyn Store> {
        let (before, failing) = (AtomicI64::new(before), AtomicI64::new(failing));
        let outage = Arc::new(Self { before, failing });
        Arc::new(FaultStore::new(Arc::new(memory.clone()), outage))
    }

    fn reach(&self, step: &Step<'_>) -> Result<(), StoreError> {
        if self.before.fetch_sub(1, Ordering::SeqCst) > 0
            || self.failing.fetch_sub(1, Ordering::SeqCst) <= 0
        {
            return Ok(());
        }
        Err(step.lost("the store is away"))
    }
}

#[async_trait]
impl Faults for Outage {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.reach(step)
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.reach(step)
    }
}

#[test]
fn until_end_writes_every_message_once_and_stops() {
    // GIVEN two partitions, one of which ends with the marker of a transaction
    let world = World::new(2);
    world.send(0, 200);
    world.send(1, 150);
    world.topic.append_marker(1);
    // WHEN a writer runs to the end
    let summary = world.run_to_end(1, &[0, 1]).expect("runs to the end");
    // THEN every message is a row, once, and the group knows
    let all: Vec<_> = expected(0, 0..200).chain(expected(1, 0..150)).collect();
    assert_eq!(world.rows(), all);
    assert_eq!(summary.rows, 350);
    assert_eq!(world.topic.acknowledged(), [(0, 200), (1, 151)].into());
}

#[test]
fn a_second_run_goes_on_where_the_log_stands() {
    let world = World::new(1);
    world.send(0, 100);
    world.run_to_end(1, &[0]).expect("runs");
    world.send(0, 30);
    let summary = world.run_to_end(2, &[0]).expect("runs again");
    assert_eq!(summary.rows, 30);
    assert_eq!(world.rows(), expected(0, 0..130).collect::<Vec<_>>());
    // WHEN there is nothing new THEN a run does nothing and ends
    assert_eq!(world.run_to_end(3, &[0]).expect("runs").rows, 0);
}

#[test]
fn a_run_to_an_end_that_only_markers_lead_to_ends() {
    // GIVEN a table that holds every message of a topic
    let world = World::new(1);
    world.send(0, 10);
    world.run_to_end(1, &[0]).expect("runs");
    // WHEN a transaction that wrote nothing ends, and a writer runs to the end
    world.topic.append_marker(0);
    let summary = world.run_to_end(2, &[0]).expect("runs to the end");
    // THEN its marker is committed as read, so the next run has nothing to do
    assert_eq!((summary.commits, summary.files), (1, 0));
    assert_eq!(world.run_to_end(3, &[0]).expect("runs").commits, 0);
    assert_eq!(world.rows(), expected(0, 0..10).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_decoded_is_a_dead_letter_of_the_same_commit() {
    let world = World::new(1);
    world.send(0, 10);
    world
        .topic
        .append(0, Some(br#"{"region":"Corse","amount":"#));
    world.topic.append(0, None);
    world
        .topic
        .append(0, Some(br#"{"region":null,"amount":1}"#));
    let summary = world.run_to_end(1, &[0]).expect("runs");
    assert_eq!(
        (summary.rows, summary.dead_letters, summary.tombstones),
        (10, 2, 1)
    );
    assert_eq!(world.rows(), expected(0, 0..10).collect::<Vec<_>>());
    assert_eq!(world.rows_below("dead/"), [(0, 10), (0, 12)]);
}

#[test]
fn an_outage_at_any_call_loses_and_doubles_nothing() {
    // GIVEN a store that fails from its n-th call on, for a few calls, for every n
    for before in 0..150 {
        let world = World::new(2);
        world.send(0, 90);
        world.send(1, 90);
        let store = Outage::of(&world.memory, before, 1 + before % 3);
        world.topic.assign(1, &[0, 1]);
        let mut parts = world.parts(1, store);
        parts.rotation.max_age = Duration::from_millis(5);
        // WHEN a writer runs to the end
        run(parts, RunMode::UntilEnd, never()).expect("waits the outage out");
        // THEN every row is there once
        let all: Vec<_> = expected(0, 0..90).chain(expected(1, 0..90)).collect();
        assert_eq!(world.rows(), all, "outage after {before} calls");
    }
}

#[test]
fn partitions_asked_back_are_committed_before_they_go() {
    // GIVEN a writer in the middle of two partitions, with a rotation far away
    let world = World::new(2);
    world.send(0, 50);
    world.send(1, 50);
    let (stop, stopped) = watch::channel(Stop::Go);
    let mut parts = world.parts(1, Arc::new(world.memory.clone()));
    parts.rotation = Rotation {
        max_rows: 1 << 40,
        max_bytes: 1 << 40,
        max_age: Duration::MAX,
        max_event_span_ms: None,
    };
    let metrics = parts.member.metrics.clone();
    world.topic.assign(1, &[0, 1]);
    let first = std::thread::spawn(move || run(parts, RunMode::Forever, stopped));
    wait_until(|| metrics.snapshot().consumed == 100);
    assert!(world.rows().is_empty());
    // WHEN the group asks one back
    world.topic.tell(1, SourceEvent::Revoked(vec![1]));
    wait_until(|| metrics.snapshot().rows == 100);
    // THEN the next owner goes on behind it, and the first keeps the other
    world.send(0, 5);
    world.send(1, 7);
    world.topic.assign(2, &[1]);
    let second = world.parts(2, Arc::new(world.memory.clone()));
    let second_metrics = second.member.metrics.clone();
    let (stop_second, stopped) = watch::channel(Stop::Go);
    let second = std::thread::spawn(move || run(second, RunMode::Forever, stopped));
    wait_until(|| metrics.snapshot().consumed == 105 && second_metrics.snapshot().rows == 7);
    stop.send_replace(Stop::Drain);
    assert_eq!(first.join().expect("no panic").expect("stops").rows, 105);
    stop_second.send_replace(Stop::Drain);
    assert_eq!(second.join().expect("no panic").expect("stops").rows, 7);
    let all: Vec<_> = expected(0, 0..55).chain(expected(1, 0..57)).collect();
    assert_eq!(world.rows(), all);
}

#[test]
fn lost_partitions_drop_the_cut_and_are_read_again() {
    let world = World::new(2);
    world.send(0, 50);
    world.send(1, 50);
    let (stop, stopped) = watch::channel(Stop::Go);
    let mut parts = world.parts(1, Arc::new(world.memory.clone()));
    parts.rotation = Rotation {
        max_rows: 1 << 40,
        max_bytes: 1 << 40,
        max_age: Duration::MAX,
        max_event_span_ms: None,
    };
    let metrics = parts.member.metrics.clone();
    world.topic.assign(1, &[0, 1]);
    let writer = std::thread::spawn(move || run(parts, RunMode::Forever, stopped));
    wait_until(|| metrics.snapshot().consumed == 100);
    // WHEN a partition is lost and comes back
    world.topic.tell(1, SourceEvent::Lost(vec![1]));
    world.topic.assign(1, &[1]);
    wait_until(|| metrics.snapshot().consumed == 200);
    stop.send_replace(Stop::Drain);
    let summary = writer.join().expect("no panic").expect("stops");
    // THEN everything was read twice and written once
    assert_eq!((summary.rows, summary.restarts), (100, 1));
    let all: Vec<_> = expected(0, 0..50).chain(expected(1, 0..50)).collect();
    assert_eq!(world.rows(), all);
}

#[test]
fn retention_that_passed_the_table_is_loud() {
    // GIVEN a table at offset 10 and a topic that begins at 15
    let world = World::new(1);
    world.send(0, 10);
    world.run_to_end(1, &[0]).expect("runs");
    world.send(0, 20);
    world.topic.retain_from(0, 15);
    // WHEN a writer starts THEN it names both offsets and the way out
    let error = world.run_to_end(2, &[0]).expect_err("halts").to_string();
    assert!(
        error.contains("begins at offset 15") && error.contains("accept_lost_offsets"),
        "{error}"
    );
    // WHEN the loss is accepted THEN it goes on, and the log counts it
    world.topic.assign(3, &[0]);
    let mut parts = world.parts(3, Arc::new(world.memory.clone()));
    parts.accept_lost_offsets = true;
    run(parts, RunMode::UntilEnd, never()).expect("goes on");
    let all: Vec<_> = expected(0, 0..10).chain(expected(0, 15..30)).collect();
    assert_eq!(world.rows(), all);
    let store: Arc<dyn Store> = Arc::new(world.memory.clone());
    let records = world
        .runtime
        .block_on(crate::commit::records(store.as_ref()));
    let lost = records
        .expect("reads")
        .into_iter()
        .filter_map(|(_, record)| match record.body {
            Body::Commit(commit) => Some(commit.ranges.iter().map(|range| range.lost).sum::<u64>()),
            _ => None,
        });
    assert_eq!(lost.sum::<u64>(), 5);
}

#[test]
fn a_recreated_topic_is_loud() {
    let world = World::new(1);
    world.send(0, 10);
    world.run_to_end(1, &[0]).expect("runs");
    world.topic.recreate();
    world.send(0, 4);
    let error = world.run_to_end(2, &[0]).expect_err("halts").to_string();
    assert!(
        error.contains("created again") && error.contains("accept_topic_id"),
        "{error}"
    );
    world.topic.assign(3, &[0]);
    let mut parts = world.parts(3, Arc::new(world.memory.clone()));
    parts.accept_topic_id = Some("sales-1+".into());
    assert_eq!(
        run(parts, RunMode::UntilEnd, never())
            .expect("goes on")
            .rows,
        4
    );
}

#[test]
fn a_first_start_at_the_latest_counts_for_every_partition() {
    let world = World::new(2);
    world.send(0, 10);
    world.send(1, 10);
    let (stop, stopped) = watch::channel(Stop::Go);
    let mut parts = world.parts(1, Arc::new(world.memory.clone()));
    parts.first_start = FirstStart::Latest;
    let metrics = parts.member.metrics.clone();
    world.topic.assign(1, &[0]);
    let writer = std::thread::spawn(move || run(parts, RunMode::Forever, stopped));
    wait_until(|| metrics.snapshot().state == EngineState::Running);
    // WHEN messages arrive before the second partition is given out, and in a partition added later
    world.send(0, 3);
    world.send(1, 3);
    let added = world.topic.add_partition();
    world.send(added, 2);
    world.topic.assign(1, &[1, added]);
    wait_until(|| metrics.snapshot().rows == 8);
    stop.send_replace(Stop::Drain);
    writer.join().expect("no panic").expect("stops");
    // THEN none of them is missing
    let all: Vec<_> = expected(0, 10..13)
        .chain(expected(1, 10..13))
        .chain(expected(added, 0..2))
        .collect();
    assert_eq!(world.rows(), all);
}

/// Waits for an event in another thread, for a minute at most.
fn wait_until(mut seen: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !seen() {
        assert!(
            clock.monotonic() < Duration::from_secs(60),
            "it did not happen"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
