//! Rows that have given values, found without reading what cannot have them.
//!
//! ```text
//! Criterion ─► statistics of a row group ─► its bloom filters ─► its rows ─► Place
//! ```

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type;
use parquet::bloom_filter::Sbbf;

use super::super::VerifyParts;
use super::super::ledger::LedgerFile;
use super::super::parquet_file::{FileProblem, ParquetFile};
use super::{Answer, Place, PlaceError, Places, failed};
use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION};

/// A column that has to have a value.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    column: String,
    /// An array of one.
    value: ArrayRef,
}

impl Criterion {
    pub(super) fn new(column: &str, value: ArrayRef) -> Self {
        Self {
            column: column.to_owned(),
            value,
        }
    }
}

/// A search through files, one after the other.
pub(super) struct Search<'a> {
    parts: &'a VerifyParts,
    criteria: &'a [Criterion],
    found: Places,
}

impl<'a> Search<'a> {
    pub(super) fn new(parts: &'a VerifyParts, criteria: &'a [Criterion]) -> Self {
        Self {
            parts,
            criteria,
            found: Places::nowhere(Answer::NotFound, String::new()),
        }
    }

    pub(super) fn finish(self) -> Places {
        self.found
    }

    /// Looks into one file.
    pub(super) fn look_into(&mut self, file: &LedgerFile) -> Result<(), PlaceError> {
        self.found.files += 1;
        self.search(file).map_err(|problem| match problem {
            FileProblem::Store(error) => failed(error),
            FileProblem::Short => unreadable(file, "it is not there, or cut off"),
            FileProblem::Broken(reason) => unreadable(file, reason),
        })
    }

    fn search(&mut self, file: &LedgerFile) -> Result<(), FileProblem> {
        let VerifyParts { store, runtime, .. } = self.parts;
        let parquet = ParquetFile::new(store.as_ref(), runtime, &file.path, file.facts.bytes);
        let metadata = parquet.metadata()?;
        let mut names = vec![KAFKA_PARTITION, KAFKA_OFFSET];
        names.extend(self.criteria.iter().map(|c| c.column.as_str()));
        if file.is_dead {
            names.extend(["reason", "field", "detail"]);
        }
        let columns = ProjectionMask::columns(metadata.parquet_schema(), names);
        for row_group in 0..metadata.metadata().num_row_groups() {
            if !self.may_hold(&parquet, &metadata, row_group)? {
                self.found.row_groups_skipped += 1;
                continue;
            }
            self.found.row_groups_read += 1;
            let (criteria, places) = (self.criteria, &mut self.found.places);
            let mut before = 0;
            parquet.read_row_group(&metadata, row_group, columns.clone(), &mut |batch| {
                let hits = hits(batch, criteria).map_err(broken)?;
                for row in (0..batch.num_rows()).filter(|row| hits[*row]) {
                    places.push(place(file, row_group, before, row, batch)?);
                }
                before += batch.num_rows();
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether statistics and bloom filters leave room for a row.
    fn may_hold(
        &self,
        parquet: &ParquetFile<'_>,
        metadata: &ArrowReaderMetadata,
        row_group: usize,
    ) -> Result<bool, FileProblem> {
        for criterion in self.criteria {
            let converter = StatisticsConverter::try_new(
                &criterion.column,
                metadata.schema(),
                metadata.parquet_schema(),
            )?;
            if !in_bounds(&converter, metadata, row_group, criterion)? {
                return Ok(false);
            }
            let Some(leaf) = converter.parquet_column_index() else {
                continue;
            };
            let physical = metadata.parquet_schema().column(leaf).physical_type();
            let filter = parquet.bloom_filter(metadata, row_group, leaf)?;
            if filter.is_some_and(|filter| !in_filter(&filter, &criterion.value, physical)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn unreadable(file: &LedgerFile, reason: impl Into<String>) -> PlaceError {
    PlaceError::File {
        path: file.path.to_string(),
        reason: reason.into(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands for a closure of map_err"
)]
fn broken(error: ArrowError) -> FileProblem {
    FileProblem::Broken(error.to_string())
}

/// Whether the value lies between a row group's least and greatest. Bounds that were cut short
/// still lie below and above all values.
fn in_bounds(
    converter: &StatisticsConverter<'_>,
    metadata: &ArrowReaderMetadata,
    row_group: usize,
    criterion: &Criterion,
) -> Result<bool, FileProblem> {
    let of_group = || std::iter::once(metadata.metadata().row_group(row_group));
    let value = Scalar::new(criterion.value.clone());
    let min = converter.row_group_mins(of_group())?;
    let max = converter.row_group_maxes(of_group())?;
    let is_outside = |answer: &BooleanArray| answer.is_valid(0) && answer.value(0);
    let below = cmp::gt(&min, &value).map_err(broken)?;
    let above = cmp::lt(&max, &value).map_err(broken)?;
    Ok(!is_outside(&below) && !is_outside(&above))
}

/// Whether a bloom filter leaves room for the value, which it holds in Parquet's physical type.
fn in_filter(filter: &Sbbf, value: &ArrayRef, physical: Type) -> bool {
    match (value.data_type(), physical) {
        (DataType::Utf8, _) => filter.check(value.as_string::<i32>().value(0)),
        (DataType::Int32, _) => filter.check(&value.as_primitive::<Int32Type>().value(0)),
        (DataType::Date32, _) => filter.check(&value.as_primitive::<Date32Type>().value(0)),
        (DataType::Int64, _) => filter.check(&value.as_primitive::<Int64Type>().value(0)),
        (DataType::Timestamp(TimeUnit::Millisecond, _), _) => {
            filter.check(&value.as_primitive::<TimestampMillisecondType>().value(0))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, _), _) => {
            filter.check(&value.as_primitive::<TimestampMicrosecondType>().value(0))
        }
        (DataType::Float32, _) => filter.check(&value.as_primitive::<Float32Type>().value(0)),
        (DataType::Float64, _) => filter.check(&value.as_primitive::<Float64Type>().value(0)),
        (DataType::Decimal128(..), Type::INT32) => {
            let value = value.as_primitive::<Decimal128Type>().value(0);
            i32::try_from(value).is_ok_and(|value| filter.check(&value))
        }
        (DataType::Decimal128(..), Type::INT64) => {
            let value = value.as_primitive::<Decimal128Type>().value(0);
            i64::try_from(value).is_ok_and(|value| filter.check(&value))
        }
        _ => true,
    }
}

/// Which rows of a batch have all values.
fn hits(batch: &RecordBatch, criteria: &[Criterion]) -> Result<Vec<bool>, ArrowError> {
    let mut hits = vec![true; batch.num_rows()];
    for criterion in criteria {
        let column = batch.column_by_name(&criterion.column).ok_or_else(|| {
            ArrowError::SchemaError(format!("it has no column `{}`", criterion.column))
        })?;
        let equal = cmp::eq(column, &Scalar::new(criterion.value.clone()))?;
        for (row, hit) in hits.iter_mut().enumerate() {
            *hit = *hit && equal.is_valid(row) && equal.value(row);
        }
    }
    Ok(hits)
}

fn place(
    file: &LedgerFile,
    row_group: usize,
    before: usize,
    row: usize,
    batch: &RecordBatch,
) -> Result<Place, FileProblem> {
    let column = |name: &str| {
        let found = batch.column_by_name(name);
        found.ok_or_else(|| FileProblem::Broken(format!("it has no column `{name}`")))
    };
    let text = |name: &str| -> Result<Option<String>, FileProblem> {
        let texts = column(name)?.as_string::<i32>();
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    };
    let reason = if file.is_dead {
        let said = [text("reason")?, text("field")?, text("detail")?];
        let said: Vec<String> = said.into_iter().flatten().collect();
        Some(said.join(": "))
    } else {
        None
    };
    Ok(Place {
        path: file.path.to_string(),
        commit: file.commit,
        row_group,
        row: before + row,
        partition: column(KAFKA_PARTITION)?
            .as_primitive::<Int32Type>()
            .value(row),
        offset: column(KAFKA_OFFSET)?.as_primitive::<Int64Type>().value(row),
        reason,
    })
}
