//! Messages that could not be rows, as columns.
//!
//! ```text
//! (Message, Reject) ─► DeadLetters ─► RecordBatch ─► the same way as rows, below dead/
//! ```
//!
//! Owns: the columns of dead letters.
//! Does not own: why a message is one (`decode`, `partition`).

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::decode::Reject;
use crate::source::Message;
use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION};

/// Folder of dead letters, a sibling of `data`.
pub const DEAD_LETTERS: &str = "dead";

/// Columns of a dead letter: the message as it was, where it was, and why it is here.
pub fn dead_letter_schema() -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, false),
        Field::new(KAFKA_PARTITION, DataType::Int32, false),
        Field::new(KAFKA_OFFSET, DataType::Int64, false),
        Field::new("kafka_timestamp", timestamp, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("field", DataType::Utf8, true),
        Field::new("detail", DataType::Utf8, false),
    ]))
}

/// Dead letters not yet made into a batch.
#[derive(Debug)]
pub struct DeadLetters {
    schema: SchemaRef,
    key: BinaryBuilder,
    value: BinaryBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    timestamp: TimestampMillisecondBuilder,
    reason: StringBuilder,
    field: StringBuilder,
    detail: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self {
            schema: dead_letter_schema(),
            key: BinaryBuilder::new(),
            value: BinaryBuilder::new(),
            partition: Int32Builder::new(),
            offset: Int64Builder::new(),
            timestamp: TimestampMillisecondBuilder::new().with_timezone("UTC"),
            reason: StringBuilder::new(),
            field: StringBuilder::new(),
            detail: StringBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }
}

impl DeadLetters {
    /// Dead letters since the last [`DeadLetters::finish`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that they hold, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a copy of the message. `value` is the message's own, which is no tombstone.
    pub fn push(&mut self, message: &Message<'_>, value: &[u8], reject: &Reject) {
        self.key.append_option(message.key);
        self.value.append_value(value);
        self.partition.append_value(message.partition);
        self.offset.append_value(message.offset);
        self.timestamp.append_option(message.timestamp_ms);
        self.reason.append_value(reject.reason.as_str());
        self.field.append_option(reject.field.as_deref());
        self.detail.append_value(&reject.detail);
        self.rows += 1;
        // 96 bytes: the fixed columns and offsets, and builders that have grown past their need.
        self.bytes += value.len() + message.key.map_or(0, <[u8]>::len) + reject.detail.len() + 96;
    }

    /// Everything since the last call, as a batch.
    ///
    /// # Errors
    /// Never, as long as the columns above are those of [`dead_letter_schema`].
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.timestamp.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.field.finish()),
            Arc::new(self.detail.finish()),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}
