//! Rows of the lake by the day of a column, for whoever makes something else of them.
//!
//! ```text
//! Ledger ─► footers ─► DayIndex: row groups that may hold rows of a day ─► RecordBatch ─► sink
//! ```
//!
//! Owns: which row groups are read. Their statistics say so, which every writer of a table writes.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::commit::CommitError;
use crate::store::{StoreError, TablePath};
use crate::table::{Column, Kind};

use super::VerifyParts;
use super::ledger::ledger;
use super::parquet_file::{FileProblem, ParquetFile};

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The log.
    #[error("failed to read the log: {0}")]
    Commit(#[from] CommitError),
    /// The store.
    #[error("failed to read the table: {0}")]
    Store(#[from] StoreError),
    /// A file that the log names.
    #[error("`{path}` cannot be read: {reason}; `lake-writer repair` can put it right")]
    File {
        /// Its name.
        path: TablePath,
        /// What is wrong with it.
        reason: String,
    },
}

/// A row group of a file.
#[derive(Clone, Debug)]
struct Place {
    path: TablePath,
    bytes: u64,
    row_group: usize,
}

/// Row groups by the days, since the epoch and in UTC, of which they may hold rows.
#[derive(Debug, Default)]
pub struct DayIndex {
    days: BTreeMap<i64, Vec<Place>>,
    /// First offset of each source partition of the topic that is not committed.
    pub next: BTreeMap<i32, i64>,
}

impl DayIndex {
    /// Reads the log, and the footer of every file of rows. `column` is a date or a timestamp.
    ///
    /// # Errors
    /// When log, store or a file cannot be read.
    pub fn of(
        parts: &VerifyParts,
        topic_id: &str,
        column: &Column,
        wanted: &Range<i64>,
    ) -> Result<Self, RowsError> {
        let ledger = parts.runtime.block_on(ledger(parts.store.as_ref()))?;
        let of_topic = ledger
            .next
            .iter()
            .filter(|(source, _)| source.topic_id == topic_id);
        let mut index = Self {
            next: of_topic
                .map(|(source, next)| (source.partition, *next))
                .collect(),
            ..Self::default()
        };
        let files = ledger.files.values();
        for file in files.filter(|file| !file.is_dead && *file.topic_id == *topic_id) {
            index
                .add(parts, &file.path, file.facts.bytes, column, wanted)
                .map_err(|problem| named(&file.path, problem))?;
        }
        Ok(index)
    }

    fn add(
        &mut self,
        parts: &VerifyParts,
        path: &TablePath,
        bytes: u64,
        column: &Column,
        wanted: &Range<i64>,
    ) -> Result<(), FileProblem> {
        let file = ParquetFile::new(parts.store.as_ref(), &parts.runtime, path, bytes);
        let metadata = file.metadata()?;
        let row_groups = metadata.metadata().row_groups().iter().enumerate();
        for (row_group, facts) in row_groups {
            let (first, last) = days(facts, column)?;
            for day in first.max(wanted.start)..=last.min(wanted.end - 1) {
                self.days.entry(day).or_default().push(Place {
                    path: path.clone(),
                    bytes,
                    row_group,
                });
            }
        }
        Ok(())
    }

    /// The days, in order.
    pub fn days(&self) -> impl Iterator<Item = i64> {
        self.days.keys().copied()
    }

    /// Hands over every batch that may hold rows of a day, and rows of other days as well.
    ///
    /// # Errors
    /// As [`DayIndex::of`], or what `sink` returns.
    pub fn read<E: From<RowsError>>(
        &self,
        parts: &VerifyParts,
        day: i64,
        sink: &mut dyn FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        for place in self.days.get(&day).into_iter().flatten() {
            let mut outcome = Ok(());
            let read = place.read(parts, &mut |batch| {
                outcome = sink(batch);
                match outcome {
                    Ok(()) => Ok(()),
                    Err(_) => Err(FileProblem::Short),
                }
            });
            outcome?;
            read.map_err(|problem| E::from(named(&place.path, problem)))?;
        }
        Ok(())
    }
}

impl Place {
    fn read(
        &self,
        parts: &VerifyParts,
        sink: &mut dyn FnMut(&RecordBatch) -> Result<(), FileProblem>,
    ) -> Result<(), FileProblem> {
        let file = ParquetFile::new(parts.store.as_ref(), &parts.runtime, &self.path, self.bytes);
        let metadata = file.metadata()?;
        file.read_row_group(&metadata, self.row_group, ProjectionMask::all(), sink)
    }
}

fn named(path: &TablePath, problem: FileProblem) -> RowsError {
    let reason = match problem {
        FileProblem::Store(error) => return error.into(),
        FileProblem::Short => "it is missing or cut off".into(),
        FileProblem::Broken(reason) => reason,
    };
    RowsError::File {
        path: path.clone(),
        reason,
    }
}

/// First and last day of a row group's values.
fn days(facts: &RowGroupMetaData, column: &Column) -> Result<(i64, i64), FileProblem> {
    let mut chunks = facts.columns().iter();
    let chunk = chunks.find(|chunk| chunk.column_path().string() == column.name);
    let bounds = match chunk.and_then(|chunk| chunk.statistics()) {
        Some(Statistics::Int64(values)) => values.min_opt().copied().zip(values.max_opt().copied()),
        Some(Statistics::Int32(values)) => values
            .min_opt()
            .zip(values.max_opt())
            .map(|(min, max)| (i64::from(*min), i64::from(*max))),
        _ => None,
    };
    let (min, max) = bounds.ok_or_else(|| {
        FileProblem::Broken(format!("it has no statistics of column `{}`", column.name))
    })?;
    let unit = match column.kind {
        Kind::TimestampMicros => 86_400_000_000,
        Kind::TimestampMillis => 86_400_000,
        _ => 1,
    };
    Ok((min.div_euclid(unit), max.div_euclid(unit)))
}
