//! Parquet: each row as JSON, by Arrow's own encoders but for what JSON has no word for.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, make_array};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::table::{Kind, Schema};

use super::mapping::Mapping;
use super::spelling::push_bytes;
use super::{FileError, FileOptions, FileRows, io_error, malformed};

/// Rows turned into documents at once.
const BATCH_ROWS: usize = 1_024;

/// Marks a column whose sixteen bytes are a UUID.
const IS_UUID: &str = "is_uuid";

/// Rows of a Parquet file.
pub(super) struct Columnar {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// By column of the reader: the field that it becomes.
    fields: Vec<FieldRef>,
    options: EncoderOptions,
    documents: VecDeque<Vec<u8>>,
    unknown: Vec<String>,
}

impl Columnar {
    pub(super) fn open(
        path: &Path,
        options: &FileOptions,
        schema: &Schema,
    ) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| malformed(path, "Parquet", &error))?;
        let there = builder.schema().fields().clone();
        let names: Vec<String> = there.iter().map(|field| field.name().clone()).collect();
        let Mapping { fields, unknown } = options.map.decide(path, &names, schema)?;
        let mut wanted = Vec::new();
        let mut roots = Vec::new();
        for (at, (field, found)) in fields.iter().zip(there.iter()).enumerate() {
            let Some(field) = field else { continue };
            let column = &schema.columns[*field];
            refuse_ambiguous(path, found, &column.kind)?;
            roots.push(at);
            wanted.push(renamed(found, &column.name, &column.kind));
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build();
        Ok(Self {
            reader: reader.map_err(|error| malformed(path, "Parquet", &error))?,
            path: path.to_owned(),
            fields: wanted,
            options: EncoderOptions::default()
                .with_explicit_nulls(true)
                .with_encoder_factory(Arc::new(Spelling)),
            documents: VecDeque::new(),
            unknown,
        })
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let columns = batch
            .columns()
            .iter()
            .map(in_utc)
            .collect::<Result<Vec<_>, _>>()?;
        let retyped = |(field, column): (&FieldRef, &ArrayRef)| {
            let field = field.as_ref().clone();
            Arc::new(field.with_data_type(column.data_type().clone()))
        };
        let fields: Vec<FieldRef> = self.fields.iter().zip(&columns).map(retyped).collect();
        let rows = StructArray::try_new(fields.clone().into(), columns, None)?;
        let whole: FieldRef = Arc::new(Field::new_struct("row", fields, false));
        let mut encoder = make_encoder(&whole, &rows, &self.options)?;
        for row in 0..rows.len() {
            let mut document = Vec::new();
            encoder.encode(row, &mut document);
            self.documents.push_back(document);
        }
        Ok(())
    }
}

impl FileRows for Columnar {
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        while self.documents.is_empty() {
            let Some(batch) = self.reader.next() else {
                return Ok(false);
            };
            let encoded = batch.and_then(|batch| self.encode(&batch));
            encoded.map_err(|error| malformed(&self.path, "Parquet", &error))?;
        }
        *document = self.documents.pop_front().unwrap_or_default();
        Ok(true)
    }

    fn unknown_columns(&self) -> &[String] {
        &self.unknown
    }
}

/// A wall clock cannot be taken for an instant.
fn refuse_ambiguous(path: &Path, found: &Field, kind: &Kind) -> Result<(), FileError> {
    let is_instant = matches!(kind, Kind::TimestampMillis | Kind::TimestampMicros);
    if is_instant && matches!(found.data_type(), DataType::Timestamp(_, None)) {
        return Err(FileError::Ambiguous {
            path: path.to_owned(),
            column: found.name().clone(),
            problem:
                "has times without a zone, and the schema wants instants: write the file with \
                      one, in DuckDB by `column AT TIME ZONE 'Europe/Paris'`"
                    .into(),
        });
    }
    Ok(())
}

fn renamed(found: &Field, name: &str, kind: &Kind) -> FieldRef {
    let mut field = Field::new(name, found.data_type().clone(), true);
    if matches!(kind, Kind::Uuid { .. }) {
        field.set_metadata([(IS_UUID.to_owned(), String::new())].into());
    }
    Arc::new(field)
}

/// The same instants under the name of UTC, which needs no table of zones to be written.
fn in_utc(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            let data = column.to_data().into_builder().data_type(utc).build()?;
            Ok(make_array(data))
        }
        _ => Ok(column.clone()),
    }
}

/// What Arrow writes otherwise: bytes as hexadecimal digits, and numbers that are none as null.
#[derive(Debug)]
struct Spelling;

impl EncoderFactory for Spelling {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let is_uuid = field.metadata().contains_key(IS_UUID);
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                Box::new(Floats(move |row| f64::from(values.value(row))))
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(Floats(move |row| values.value(row)))
            }
            DataType::Binary => {
                let values = array.as_binary::<i32>();
                Box::new(Bytes(move |row| values.value(row)))
            }
            DataType::LargeBinary => {
                let values = array.as_binary::<i64>();
                Box::new(Bytes(move |row| values.value(row)))
            }
            DataType::FixedSizeBinary(16) if is_uuid => {
                let values = array.as_fixed_size_binary();
                Box::new(Uuids(move |row| values.value(row)))
            }
            DataType::FixedSizeBinary(_) => {
                let values = array.as_fixed_size_binary();
                Box::new(Bytes(move |row| values.value(row)))
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Floats<F>(F);

impl<F: Fn(usize) -> f64> Encoder for Floats<F> {
    fn encode(&mut self, row: usize, document: &mut Vec<u8>) {
        let value = (self.0)(row);
        let text = if value.is_nan() {
            "\"NaN\"".to_owned()
        } else if value.is_infinite() {
            format!("\"{}Infinity\"", if value < 0.0 { "-" } else { "" })
        } else {
            format!("{value:?}")
        };
        document.extend(text.bytes());
    }
}

struct Bytes<F>(F);

impl<'a, F: Fn(usize) -> &'a [u8]> Encoder for Bytes<F> {
    fn encode(&mut self, row: usize, document: &mut Vec<u8>) {
        push_bytes(document, (self.0)(row));
    }
}

struct Uuids<F>(F);

impl<'a, F: Fn(usize) -> &'a [u8]> Encoder for Uuids<F> {
    fn encode(&mut self, row: usize, document: &mut Vec<u8>) {
        let text = uuid::Uuid::from_slice((self.0)(row)).unwrap_or_default();
        document.extend(format!("\"{text}\"").bytes());
    }
}
