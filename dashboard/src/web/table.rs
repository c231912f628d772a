//! A small table as CSV or Parquet, with exact numbers in both.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::decimal;

/// A column of a table.
#[derive(Debug)]
pub(super) enum Column {
    /// Texts; null where there is none.
    Text(Vec<Option<String>>),
    /// Milliseconds since the epoch in UTC.
    Moment(Vec<Option<i64>>),
    /// Whole numbers.
    Count(Vec<i64>),
    /// Numbers that are no exact ones.
    Real(Vec<Option<f64>>),
    /// Exact numbers of a scale.
    Number(Vec<Option<i128>>, u32),
}

/// Named columns of one length.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) Vec<(String, Column)>);

/// A table that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the table cannot be written")]
pub(super) enum TableError {
    /// As CSV.
    Csv(#[from] csv::Error),
    /// As columns.
    Arrow(#[from] ArrowError),
    /// As Parquet.
    Parquet(#[from] parquet::errors::ParquetError),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Moment(values) => values.len(),
            Self::Count(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Number(values, _) => values.len(),
        }
    }

    fn text(&self, row: usize) -> String {
        match self {
            Self::Text(values) => values[row].clone().unwrap_or_default(),
            Self::Moment(values) => values[row]
                .and_then(chrono::DateTime::from_timestamp_millis)
                .map_or_else(String::new, |moment| {
                    moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
                }),
            Self::Count(values) => values[row].to_string(),
            Self::Real(values) => values[row].map_or_else(String::new, |value| value.to_string()),
            Self::Number(values, scale) => {
                values[row].map_or_else(String::new, |value| decimal::text(value, *scale))
            }
        }
    }

    fn array(&self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(values) => Arc::new(StringArray::from_iter(values)),
            Self::Moment(values) => {
                Arc::new(TimestampMillisecondArray::from(values.clone()).with_timezone("UTC"))
            }
            Self::Count(values) => Arc::new(Int64Array::from(values.clone())),
            Self::Real(values) => Arc::new(Float64Array::from(values.clone())),
            Self::Number(values, scale) => {
                let scale = i8::try_from(*scale).unwrap_or(i8::MAX);
                Arc::new(Decimal128Array::from(values.clone()).with_precision_and_scale(38, scale)?)
            }
        })
    }
}

impl Table {
    /// UTF-8 with a header line; null is the empty text.
    pub(super) fn csv(&self) -> Result<Vec<u8>, TableError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.0.iter().map(|(name, _)| name))?;
        for row in 0..self.0.first().map_or(0, |(_, column)| column.len()) {
            writer.write_record(self.0.iter().map(|(_, column)| column.text(row)))?;
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()).into())
    }

    /// ZSTD; moments in UTC, numbers as decimals of 38 digits.
    pub(super) fn parquet(&self) -> Result<Vec<u8>, TableError> {
        let mut columns = Vec::new();
        for (name, column) in &self.0 {
            columns.push((name, column.array()?, !matches!(column, Column::Count(_))));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?)
    }
}
