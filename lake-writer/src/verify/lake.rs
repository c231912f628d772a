//! The lake's side: what stands in its files.
//!
//! ```text
//! files ─► LAKE_THREADS readers ─► ParquetFile ─► Entry ─► one Collect a thread
//!                                        └──► FileReading: hash, rows, offsets
//! ```
//!
//! Owns: reading files beside each other, and turning rows into entries.
//! Does not own: what a file should be (`files`), comparing (`compare`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use tokio::runtime::Handle;

use crate::commit::record::FileSource;
use crate::stage::dead_letter_schema;
use crate::store::{Store, StoreError, TablePath};
use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION, Schema};

use super::entry::{Entry, Kind};
use super::hash::hash_rows;
use super::parquet_file::{FileProblem, ParquetFile};
use super::topic::folder_hash;

/// Files read beside each other: hides the round trips of a remote store. Each holds a row group.
pub(super) const LAKE_THREADS: usize = 3;

/// Takes the entries of one thread.
pub(super) trait Collect: Send {
    /// Takes an entry.
    fn take(&mut self, entry: &Entry);
}

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) path: TablePath,
    /// Size by the listing.
    pub(super) size: u64,
    pub(super) is_dead: bool,
    /// Whether its rows are wanted, or its hash alone.
    pub(super) with_rows: bool,
}

/// What was found in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileReading {
    /// XXH3 of its bytes; `None` when it is shorter than the listing said, or gone.
    pub(super) xxh3: Option<String>,
    /// Offsets of its rows, if those were wanted.
    pub(super) sources: Option<Vec<FileSource>>,
    /// Why its rows could not be read.
    pub(super) problem: Option<String>,
}

/// Counts what was read, for whoever watches.
#[derive(Debug, Default)]
pub(super) struct ReadSoFar {
    pub(super) files: AtomicU64,
    pub(super) rows: AtomicU64,
}

/// Where the lake is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct LakeReader<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) runtime: &'a Handle,
    pub(super) schema: &'a Schema,
    pub(super) so_far: &'a ReadSoFar,
}

impl LakeReader<'_> {
    /// One thread's part of the work: takes jobs from `next` on until none is left. Returns what
    /// it found by index of the job.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) fn work(
        &self,
        jobs: &[Job],
        next: &AtomicUsize,
        collect: &mut dyn Collect,
    ) -> Result<Vec<(usize, FileReading)>, StoreError> {
        let mut readings = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else {
                return Ok(readings);
            };
            readings.push((index, self.read(job, collect)?));
            self.so_far.files.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, job: &Job, collect: &mut dyn Collect) -> Result<FileReading, StoreError> {
        let file = ParquetFile::new(self.store, self.runtime, &job.path, job.size);
        let mut reading = FileReading::default();
        if job.with_rows {
            // The bytes may be anybody's, and the library that reads them is not ours: whatever it
            // makes of them is said of the file, and does not end the comparison.
            let read = catch_unwind(AssertUnwindSafe(|| self.rows(&file, job, collect)));
            match read {
                Ok(Ok((xxh3, sources))) => {
                    reading.xxh3 = Some(xxh3);
                    reading.sources = Some(sources);
                    return Ok(reading);
                }
                Ok(Err(FileProblem::Store(error))) => return Err(error),
                Ok(Err(FileProblem::Short)) => reading.problem = Some("it is cut off".into()),
                Ok(Err(FileProblem::Broken(problem))) => reading.problem = Some(problem),
                Err(_) => reading.problem = Some("Parquet's reader gave up on it".into()),
            }
        }
        match file.hash() {
            Ok(xxh3) => reading.xxh3 = Some(xxh3),
            Err(FileProblem::Store(error)) => return Err(error),
            Err(FileProblem::Short | FileProblem::Broken(_)) => {}
        }
        Ok(reading)
    }

    fn rows(
        &self,
        file: &ParquetFile<'_>,
        job: &Job,
        collect: &mut dyn Collect,
    ) -> Result<(String, Vec<FileSource>), FileProblem> {
        let metadata = file.metadata()?;
        let expected = if job.is_dead {
            dead_letter_schema()
        } else {
            self.schema.arrow()
        };
        check_columns(metadata.schema(), &expected).map_err(FileProblem::Broken)?;
        let folder = match job.is_dead {
            true => 0,
            false => folder_hash(lake_partition(&job.path)),
        };
        let looked_up = self.schema.looked_up();
        let mut sources = Sources::default();
        let hash = file.read(&metadata, &mut |batch| {
            let entries = entries(batch, job.is_dead, folder, &looked_up)?;
            for entry in &entries {
                sources.add(entry);
                collect.take(entry);
            }
            let rows = entries.len() as u64;
            self.so_far.rows.fetch_add(rows, Ordering::Relaxed);
            Ok(())
        })?;
        Ok((hash, sources.finish()))
    }
}

/// The lake partition in a file's path: `data/date=…/region=…/x.parquet` → `date=…/region=…`.
fn lake_partition(path: &TablePath) -> &str {
    let folder = path.parent().unwrap_or_default();
    folder.split_once('/').map_or("", |(_, inner)| inner)
}

/// Whether a file has the table's columns; names of what is nested do not matter.
pub(super) fn check_columns(found: &SchemaRef, expected: &SchemaRef) -> Result<(), String> {
    let (have, want) = (found.fields().len(), expected.fields().len());
    if have != want {
        return Err(format!("it has {have} columns, the table has {want}"));
    }
    for (have, want) in found.fields().iter().zip(expected.fields()) {
        if have.name() != want.name() || !have.data_type().equals_datatype(want.data_type()) {
            return Err(format!(
                "it has a column `{}` of type {} where the table has `{}` of type {}",
                have.name(),
                have.data_type(),
                want.name(),
                want.data_type()
            ));
        }
    }
    Ok(())
}

fn entries(
    batch: &RecordBatch,
    is_dead: bool,
    folder: u64,
    looked_up: &[bool],
) -> Result<Vec<Entry>, FileProblem> {
    let column = |name: &str| {
        batch
            .column_by_name(name)
            .ok_or_else(|| FileProblem::Broken(format!("it has no column `{name}`")))
    };
    let hashed: Vec<ArrayRef> = if is_dead {
        let names = ["key", "value", "kafka_timestamp"];
        let found: Result<_, FileProblem> = names
            .into_iter()
            .map(|name| column(name).cloned())
            .collect();
        found?
    } else {
        // The last two are the place, which is compared by itself.
        compared(batch.columns(), looked_up)
    };
    let broken = |error: arrow_schema::ArrowError| FileProblem::Broken(error.to_string());
    let hashes = hash_rows(&hashed, batch.num_rows()).map_err(broken)?;
    let partitions = column(KAFKA_PARTITION)?
        .as_primitive::<Int32Type>()
        .values();
    let offsets = column(KAFKA_OFFSET)?.as_primitive::<Int64Type>().values();
    let places = partitions.iter().zip(offsets.iter()).zip(hashes);
    Ok(places
        .map(|((partition, offset), hash)| Entry {
            partition: *partition,
            offset: *offset,
            kind: if is_dead { Kind::DeadLetter } else { Kind::Row },
            content: hash.finish(),
            folder,
        })
        .collect())
}

/// Columns that are the message's doing: what was looked up follows a reference table.
pub(super) fn compared(columns: &[ArrayRef], looked_up: &[bool]) -> Vec<ArrayRef> {
    let columns = columns.iter().zip(looked_up);
    let compared = columns.filter(|(_, is_looked_up)| !**is_looked_up);
    compared.map(|(column, _)| column.clone()).collect()
}

/// Offsets of a file's rows by source partition.
#[derive(Debug, Default)]
struct Sources(BTreeMap<i32, FileSource>);

impl Sources {
    fn add(&mut self, entry: &Entry) {
        let source = self.0.entry(entry.partition).or_insert(FileSource {
            partition: entry.partition,
            min: entry.offset,
            max: entry.offset,
            rows: 0,
        });
        source.rows += 1;
        source.min = source.min.min(entry.offset);
        source.max = source.max.max(entry.offset);
    }

    fn finish(self) -> Vec<FileSource> {
        self.0.into_values().collect()
    }
}
