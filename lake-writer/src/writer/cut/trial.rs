//! What the cut's tests stand on: a store in memory that misbehaves on demand, and a cut over it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use async_trait::async_trait;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::Semaphore;

use super::*;
use crate::clock::SystemClock;
use crate::decode::decoder;
use crate::settings::Format;
use crate::stage::SourceBounds;
use crate::store::fault::{FaultStore, Faults, Op, Step};
use crate::store::memory::{MemoryStore, Staging};
use crate::store::{Published, StoreErrorKind};
use crate::table::hive;

const SCHEMA: &str = r#"{ "type": "record", "name": "Sale", "fields": [
    { "name": "id", "type": "long" },
    { "name": "sold_at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
    { "name": "region", "type": ["null", "string"], "default": null },
    { "name": "note", "type": "string" },
    { "name": "lines", "type": { "type": "array", "items": "int" } }
] }"#;

pub(super) const DAY: i64 = 86_400_000_000;

/// A table in memory that can be slow, hold bytes back, or fail.
#[derive(Clone, Debug)]
pub(super) struct TrialStore {
    pub(super) memory: MemoryStore,
    pub(super) slow: Arc<Slowness>,
}

/// What the store does on demand.
#[derive(Debug)]
pub(super) struct Slowness {
    /// One permit for each write that may go through.
    pub(super) writes: Semaphore,
    pub(super) fails: AtomicBool,
    removed: mpsc::SyncSender<TablePath>,
}

impl TrialStore {
    /// A table that stages as `staging` says: uploads hold their bytes back, files do not.
    pub(super) fn new(staging: Staging) -> (Self, mpsc::Receiver<TablePath>) {
        let (removed, watch) = mpsc::sync_channel(10_000);
        let slow = Slowness {
            writes: Semaphore::new(Semaphore::MAX_PERMITS),
            fails: AtomicBool::new(false),
            removed,
        };
        let store = Self {
            memory: MemoryStore::new(staging),
            slow: Arc::new(slow),
        };
        (store, watch)
    }

    fn store(&self) -> Arc<dyn Store> {
        let memory = Arc::new(self.memory.clone());
        Arc::new(FaultStore::new(memory, self.slow.clone()))
    }
}

#[async_trait]
impl Faults for Slowness {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        if step.op != Op::Write {
            return Ok(());
        }
        self.writes.acquire().await.expect("never closed").forget();
        if self.fails.load(Ordering::SeqCst) {
            let target = step.path.as_str();
            return Err(StoreError::new(
                StoreErrorKind::Full,
                "write",
                target,
                "full",
            ));
        }
        Ok(())
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        if matches!(step.op, Op::Abandon | Op::Discard) {
            self.removed.send(step.path.clone()).expect("watched");
        }
        Ok(())
    }
}

/// A cut, and what stands around it.
pub(super) struct Trial {
    pub(super) cut: OpenCut,
    pub(super) store: TrialStore,
    removed: mpsc::Receiver<TablePath>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) runtime: tokio::runtime::Runtime,
}

impl Trial {
    pub(super) fn new(spec: &[&str], budget_bytes: usize) -> Self {
        let (store, removed) = TrialStore::new(Staging::File);
        Self::over(store, removed, spec, &[], budget_bytes)
    }

    pub(super) fn over(
        store: TrialStore,
        removed: mpsc::Receiver<TablePath>,
        spec: &[&str],
        sort_by: &[&str],
        budget_bytes: usize,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .expect("a runtime");
        let schema = Schema::from_avsc(SCHEMA).expect("a valid schema");
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect::<Vec<_>>();
        let spec = Spec::parse(&owned(spec), &schema, "UTC").expect("a valid spec");
        let sorting = Sorting::parse(&owned(sort_by), &schema).expect("columns");
        let budget = MemoryBudget::new(budget_bytes);
        let cut = OpenCut::new(CutParts {
            decoder: decoder(Format::Json, &schema),
            schema: Arc::new(schema),
            spec: Arc::new(spec),
            sorting,
            parquet: settings::Parquet::default(),
            budget: Arc::clone(&budget),
            session: "00000000000000ab".into(),
            table_url: store.memory.url(),
            store: store.store(),
            runtime: runtime.handle().clone(),
            clock: Arc::new(SystemClock::new()),
            metrics: Arc::new(Metrics::new("memory:")),
        });
        Self {
            cut: cut.expect("Parquet takes the schema"),
            store,
            removed,
            budget,
            runtime,
        }
    }

    pub(super) fn accept(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        self.cut.accept(Message {
            partition,
            offset,
            timestamp_ms: (offset % 3 != 0).then_some(1_769_900_000_000),
            key: Some(b"key"),
            value,
        });
    }

    pub(super) fn seal(&mut self) -> Result<Sealed, StoreError> {
        let sealing = self.cut.seal();
        self.runtime.block_on(sealing)
    }

    /// Relieves; waits for the store where that is asked for, and commits where that is.
    pub(super) fn relieve(&mut self, sealed: &mut Vec<Sealed>) {
        loop {
            match self.cut.relieve().expect("the store takes everything") {
                Relief::Enough => return,
                Relief::CommitNow => sealed.push(self.seal().expect("a commit")),
                Relief::Wait => std::thread::yield_now(),
            }
        }
    }

    /// The next file that was removed from the store; waits for one.
    pub(super) fn next_removed(&self) -> TablePath {
        let long = Duration::from_secs(60);
        self.removed.recv_timeout(long).expect("a file is removed")
    }

    pub(super) fn bytes_of(&self, file: &StagedFile) -> Bytes {
        let publish = self
            .store
            .memory
            .publish(&file.staged, &file.target, file.bytes);
        let published = self.runtime.block_on(publish).expect("a staged file");
        assert_ne!(published, Published::Missing);
        let read = self.runtime.block_on(self.store.memory.read(&file.target));
        read.expect("readable").expect("published")
    }

    /// The rows of a file, checked against everything that the staged file says of itself.
    pub(super) fn rows_of(&self, file: &StagedFile) -> Vec<RecordBatch> {
        let bytes = self.bytes_of(file);
        assert_eq!(bytes.len() as u64, file.bytes);
        let hash = xxhash_rust::xxh3::xxh3_64(&bytes);
        assert_eq!(format!("{hash:016x}"), file.xxh3);
        let folder = file.target.parent().expect("files lie in folders");
        let components: Vec<_> = folder.split('/').skip(1).collect();
        let values: Vec<_> = components
            .into_iter()
            .map(|component| hive::parse_component(component).expect("a component"))
            .collect();
        assert_eq!(values, file.partition);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .expect("a Parquet file");
        let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows as u64, file.rows);
        assert_eq!(bounds(&batches), file.sources);
        batches
    }
}

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a arrow_array::ArrayRef {
    batch.column_by_name(name).expect("a column")
}

pub(super) fn offsets(batch: &RecordBatch) -> impl Iterator<Item = (i32, i64)> {
    let partitions = column(batch, "kafka_partition").as_primitive::<Int32Type>();
    let offsets = column(batch, "kafka_offset").as_primitive::<Int64Type>();
    partitions
        .values()
        .iter()
        .copied()
        .zip(offsets.values().iter().copied())
}

fn bounds(batches: &[RecordBatch]) -> Vec<SourceBounds> {
    let mut found: BTreeMap<i32, SourceBounds> = BTreeMap::new();
    for (partition, offset) in batches.iter().flat_map(offsets) {
        let bounds = found.entry(partition).or_insert(SourceBounds {
            partition,
            min_offset: offset,
            max_offset: offset,
            rows: 0,
        });
        bounds.min_offset = bounds.min_offset.min(offset);
        bounds.max_offset = bounds.max_offset.max(offset);
        bounds.rows += 1;
    }
    found.into_values().collect()
}

pub(super) fn row(day: i64, region: &str, offset: i64) -> Vec<u8> {
    format!(
        r#"{{"id":{offset},"sold_at":{},"region":"{region}","note":"nothing to note","lines":[1,2]}}"#,
        day * DAY
    )
    .into_bytes()
}

/// A row that no codec makes smaller by much.
pub(super) fn noisy_row(region: &str, offset: i64) -> Vec<u8> {
    let draw = |salt: u64| {
        // SplitMix64.
        let mut mixed = offset
            .unsigned_abs()
            .wrapping_add(salt << 32)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    };
    let (sold_at, high, low) = (draw(1) >> 16, draw(2), draw(3));
    format!(
        r#"{{"id":{offset},"sold_at":{sold_at},"region":"{region}","note":"{high:016x}{low:016x}","lines":[]}}"#
    )
    .into_bytes()
}
