//! Parquet files, row by row.
//!
//! row group ──► Arrow batch ──► columns cast to text ──► cells
//!
//! Owns reading. Everything goes through text so that all formats share one conversion: decimals
//! and integers keep their digits, floats are written as the shortest text that means them.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::{
    Array, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, SchemaRef, TimeUnit};
use chrono::DateTime;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::binding::Columns;
use super::{Cell, Records, ReplayError};

/// Rows of a Parquet file.
#[derive(Debug)]
pub(super) struct Columnar {
    path: PathBuf,
    schema: SchemaRef,
    reader: Option<ParquetRecordBatchReader>,
    /// Columns of the batch in hand as text, with the cell each goes to.
    texts: Vec<(StringArray, usize)>,
    wanted: Vec<(String, usize)>,
    row_in_batch: usize,
    rows_in_batch: usize,
    row: u64,
}

impl Columnar {
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let schema = builder(path)?.schema().clone();
        Ok(Self {
            path: path.to_owned(),
            schema,
            reader: None,
            texts: Vec::new(),
            wanted: Vec::new(),
            row_in_batch: 0,
            rows_in_batch: 0,
            row: 0,
        })
    }

    /// Takes the next batch that has rows; false at the end.
    fn next_batch(&mut self) -> Result<bool, ReplayError> {
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        for batch in reader {
            let batch = batch.map_err(|error| malformed(&self.path, &error.to_string()))?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.texts = texts(&batch, &self.wanted)
                .map_err(|error| malformed(&self.path, &error.to_string()))?;
            self.row_in_batch = 0;
            self.rows_in_batch = batch.num_rows();
            return Ok(true);
        }
        Ok(false)
    }
}

impl Records for Columnar {
    fn columns(&self) -> Columns {
        let names = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        Columns {
            names,
            complete: true,
        }
    }

    fn bind(&mut self, wanted: Vec<(String, usize)>) -> Result<(), ReplayError> {
        let builder = builder(&self.path)?;
        let roots = wanted
            .iter()
            .filter_map(|(name, _)| self.schema.index_of(name).ok());
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder.with_projection(mask).build();
        self.reader = Some(reader.map_err(|error| malformed(&self.path, &error.to_string()))?);
        self.wanted = wanted;
        Ok(())
    }

    fn read(&mut self, cells: &mut [Cell]) -> Result<Option<u64>, ReplayError> {
        if self.row_in_batch == self.rows_in_batch && !self.next_batch()? {
            return Ok(None);
        }
        for (column, cell) in &self.texts {
            if column.is_null(self.row_in_batch) {
                cells[*cell].clear();
            } else {
                cells[*cell].set(column.value(self.row_in_batch));
            }
        }
        self.row_in_batch += 1;
        self.row += 1;
        Ok(Some(self.row))
    }
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, ReplayError> {
    let file = File::open(path).map_err(|source| ReplayError::Io {
        path: path.to_owned(),
        source,
    })?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| malformed(path, &error.to_string()))
}

fn malformed(path: &Path, reason: &str) -> ReplayError {
    let (path, reason) = (path.to_owned(), reason.to_owned());
    ReplayError::Malformed {
        path,
        format: "Parquet",
        reason,
    }
}

fn texts(
    batch: &RecordBatch,
    wanted: &[(String, usize)],
) -> Result<Vec<(StringArray, usize)>, ArrowError> {
    wanted
        .iter()
        .map(|(name, cell)| {
            let column = batch.column_by_name(name).ok_or_else(|| {
                ArrowError::SchemaError(format!("the column `{name}` is missing"))
            })?;
            Ok((text(column.as_ref(), name)?, *cell))
        })
        .collect()
}

fn text(column: &dyn Array, name: &str) -> Result<StringArray, ArrowError> {
    match column.data_type() {
        DataType::FixedSizeBinary(16) => {
            let ids = downcast::<FixedSizeBinaryArray>(column, name)?;
            Ok(ids.iter().map(|id| id.and_then(uuid_text)).collect())
        }
        // By hand, as the name of a zone is not known to the cast.
        DataType::Timestamp(_, zone) => {
            let suffix = if zone.is_some() { "Z" } else { "" };
            let micros = cast(
                column,
                &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            )?;
            let micros = downcast::<TimestampMicrosecondArray>(micros.as_ref(), name)?.clone();
            Ok(micros
                .iter()
                .map(|us| us.and_then(|us| moment_text(us, suffix)))
                .collect())
        }
        _ => {
            let texts = cast(column, &DataType::Utf8)?;
            Ok(downcast::<StringArray>(texts.as_ref(), name)?.clone())
        }
    }
}

fn downcast<'a, T: 'static>(column: &'a dyn Array, name: &str) -> Result<&'a T, ArrowError> {
    column.as_any().downcast_ref().ok_or_else(|| {
        ArrowError::CastError(format!(
            "`{name}` of type {} is not supported",
            column.data_type()
        ))
    })
}

fn uuid_text(bytes: &[u8]) -> Option<String> {
    uuid::Uuid::from_slice(bytes).ok().map(|id| id.to_string())
}

fn moment_text(us: i64, suffix: &str) -> Option<String> {
    let moment = DateTime::from_timestamp_micros(us)?.naive_utc();
    Some(format!(
        "{}{suffix}",
        moment.format("%Y-%m-%dT%H:%M:%S%.6f")
    ))
}
