//! A topic and a store in memory that a writer fills, and how findings are named in tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::watch;

use super::super::place::{Answer, Places, Question, place};
use super::super::*;
use crate::batch::{MemoryBudget, Rotation};
use crate::clock::{Chance, SystemClock};
use crate::member::{MemberParts, RunMode, Stop};
use crate::settings::{FirstStart, Format, Parquet};
use crate::source::memory::MemoryTopic;
use crate::stage::Sorting;
use crate::store::TablePath;
use crate::store::memory::{MemoryStore, Staging};
use crate::table::Schema;
use crate::table::spec::Spec;
use crate::telemetry::Metrics;
use crate::writer::assemble::{CutMaker, Table};
use crate::writer::{self, UpkeepPlan, WriterParts};

/// A topic and a table that a writer fills.
pub(crate) struct World {
    pub(crate) topic: MemoryTopic,
    pub(crate) memory: MemoryStore,
    pub(crate) runtime: tokio::runtime::Runtime,
    next: std::cell::Cell<u64>,
}

impl World {
    pub(crate) fn new(staging: Staging) -> Self {
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
    pub(crate) fn filled() -> Self {
        let world = Self::new(Staging::File);
        world.send(0, 40);
        world.send(1, 40);
        world.topic.append(0, Some(b"not a sale"));
        world.topic.append(1, None);
        world.topic.append_marker(1);
        world.write();
        world
    }

    pub(crate) fn send(&self, partition: i32, count: usize) {
        for n in 0..count {
            let region = ["Île-de-France", "Corse"][n % 2];
            let tags = if n % 3 == 0 { "null" } else { r#"["a","b"]"# };
            let sale = format!(
                r#"{{"region":"{region}","amount":"{n}.50","note":{n},"tags":{tags},"by":{{"é":{n}}}}}"#
            );
            self.topic.append(partition, Some(sale.as_bytes()));
        }
    }

    pub(crate) fn cuts(&self) -> CutMaker {
        CutMaker {
            table: table(),
            format: Format::Json,
            parquet: parquet_settings(),
            budget: MemoryBudget::new(64 << 20),
            store: Arc::new(self.memory.clone()),
            runtime: self.runtime.handle().clone(),
            clock: Arc::new(SystemClock::new()),
            metrics: Arc::new(Metrics::new("memory:")),
        }
    }

    pub(crate) fn write(&self) {
        let member = self.next.replace(self.next.get() + 1);
        self.topic
            .assign(u32::try_from(member).expect("few"), &[0, 1]);
        let cuts = self.cuts();
        let parts = WriterParts {
            member: MemberParts {
                name: "lake",
                source: Box::new(self.topic.source(u32::try_from(member).expect("few"))),
                drain_timeout: Duration::from_secs(20),
                clock: cuts.clock.clone(),
                chance: Chance::from_seed(member),
                metrics: cuts.metrics.clone(),
                runtime: cuts.runtime.clone(),
            },
            store: cuts.store.clone(),
            definition: definition(),
            rotation: Rotation {
                max_rows: 30,
                max_bytes: 1 << 30,
                max_age: Duration::from_millis(50),
                max_event_span_ms: None,
            },
            first_start: FirstStart::Earliest,
            accept_topic_id: None,
            accept_lost_offsets: false,
            // Most of what is verified stands in segments: its records are dropped.
            upkeep: UpkeepPlan {
                checkpoint_after_records: 2,
                keep_records: 0,
                sweep_interval: Duration::from_secs(600),
            },
            make_cut: cuts.into_make_cut(),
        };
        writer::run(parts, RunMode::UntilEnd, watch::channel(Stop::Go).1).expect("runs to the end");
    }

    pub(crate) fn parts(&self) -> VerifyParts {
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

    pub(crate) fn verify(&self, request: &Request) -> Report {
        let mut reader = self.topic.reader();
        let reader: Option<&mut dyn RangeReader> = Some(&mut reader);
        verify(&self.parts(), &definition(), reader, request, &mut |_| {}).expect("can be compared")
    }

    /// Kinds of findings of a full verification, with what they are about.
    pub(crate) fn findings(&self) -> Vec<(FindingKind, String)> {
        named(&self.verify(&everything()))
    }

    pub(crate) fn quick(&self) -> Vec<(FindingKind, String)> {
        let report = verify(
            &self.parts(),
            &definition(),
            None,
            &everything(),
            &mut |_| {},
        );
        named(&report.expect("can be compared"))
    }

    pub(crate) fn place(&self, question: &Question) -> Places {
        place(&self.parts(), &mut self.topic.reader(), question).expect("an answer")
    }

    pub(crate) fn at(&self, partition: i32, offset: i64) -> Answer {
        self.place(&Question::Offset { partition, offset }).answer
    }

    /// Files below a folder, in order of their names.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<TablePath, Bytes> {
        let mut files = self.memory.files();
        files.retain(|path, _| path.as_str().starts_with(folder));
        files
    }

    pub(crate) fn first_file(&self) -> (TablePath, Bytes) {
        let first = self.files("data/").into_iter().next();
        first.expect("the table has files")
    }
}

pub(crate) fn everything() -> Request {
    Request {
        most_findings: 1_000,
        ..Request::default()
    }
}

/// Findings by kind and by file or offsets: `path`, or `partition: start..next`.
pub(crate) fn named(report: &Report) -> Vec<(FindingKind, String)> {
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

pub(crate) fn kinds(named: &[(FindingKind, String)]) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = named.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

pub(crate) fn parquet_settings() -> Parquet {
    Parquet {
        bloom_filter_columns: vec!["note".into()],
        ..Parquet::default()
    }
}

pub(crate) fn table_settings() -> crate::settings::Table {
    crate::settings::Table {
        url: "memory:".into(),
        partition_by: vec!["region".into()],
        ..crate::settings::Table::default()
    }
}

pub(crate) fn definition() -> Definition {
    table().definition(&table_settings())
}

pub(crate) fn table() -> Table {
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
pub(crate) fn rewritten(
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
pub(crate) fn places_in(bytes: &Bytes) -> Vec<(i32, i64)> {
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
pub(crate) fn each(kind: FindingKind, places: &[(i32, i64)]) -> Vec<(FindingKind, String)> {
    let name = |(partition, offset): &(i32, i64)| format!("{partition}: {offset}..{}", offset + 1);
    places.iter().map(|place| (kind, name(place))).collect()
}

pub(crate) fn sorted(mut named: Vec<(FindingKind, String)>) -> Vec<(FindingKind, String)> {
    named.sort();
    named
}
