//! What a reader finds in a file.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use lake_writer::table::{KAFKA_OFFSET, KAFKA_PARTITION};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A row as it was read back.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) region: String,
    pub(crate) amount: i64,
}

/// A dead letter as it was read back.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: Vec<u8>,
}

/// The rows of a file of `data/`.
pub(crate) fn rows(bytes: &Bytes) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for batch in batches(bytes)? {
        let (partitions, offsets) = (
            column(&batch, KAFKA_PARTITION)?,
            column(&batch, KAFKA_OFFSET)?,
        );
        let (regions, amounts) = (column(&batch, "region")?, column(&batch, "amount")?);
        for at in 0..batch.num_rows() {
            rows.push(Row {
                partition: partitions.as_primitive::<Int32Type>().value(at),
                offset: offsets.as_primitive::<Int64Type>().value(at),
                region: regions.as_string::<i32>().value(at).to_owned(),
                amount: amounts.as_primitive::<Int64Type>().value(at),
            });
        }
    }
    Ok(rows)
}

/// The dead letters of a file of `dead/`.
pub(crate) fn letters(bytes: &Bytes) -> Result<Vec<Letter>, String> {
    let mut letters = Vec::new();
    for batch in batches(bytes)? {
        let (partitions, offsets) = (
            column(&batch, KAFKA_PARTITION)?,
            column(&batch, KAFKA_OFFSET)?,
        );
        let values = column(&batch, "value")?;
        for at in 0..batch.num_rows() {
            letters.push(Letter {
                partition: partitions.as_primitive::<Int32Type>().value(at),
                offset: offsets.as_primitive::<Int64Type>().value(at),
                value: values.as_binary::<i32>().value(at).to_vec(),
            });
        }
    }
    Ok(letters)
}

fn batches(bytes: &Bytes) -> Result<Vec<RecordBatch>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone());
    let reader = reader.and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = reader.map_err(|error| format!("not a Parquet file: {error}"))?;
    let batches: Result<Vec<_>, _> = reader.collect();
    batches.map_err(|error| format!("a broken Parquet file: {error}"))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, String> {
    let column = batch.column_by_name(name);
    column
        .map(AsRef::as_ref)
        .ok_or_else(|| format!("a file without `{name}`"))
}
