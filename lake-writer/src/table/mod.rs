//! What a table is: its columns, how it is partitioned and sorted, and how its paths are spelled.
//!
//! ```text
//! schemas/sale.avsc ─► Schema ─┬─► decode (bytes → Arrow columns)
//! partition_by      ─► Spec   ─┴─► partition (rows → lake partitions)
//! ```
//!
//! Owns: `Schema`, read from an Avro schema; the partition spec; Hive escaping of paths.
//! Does not own: Parquet's properties (`stage`), the offsets (`commit`).

mod avsc;
pub mod derived;
pub mod spec;
pub mod hive;

use arrow_schema::{DataType, Field, SchemaRef};

pub use avsc::{SchemaError, SchemaFileError};

/// Name of the column that holds the source partition of a row; INT32.
pub const KAFKA_PARTITION: &str = "kafka_partition";
/// Name of the column that holds the offset of a row; INT64.
pub const KAFKA_OFFSET: &str = "kafka_offset";

/// The columns of a table, in the order of the Avro schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Full name of the Avro record.
    pub name: String,
    /// Top-level columns: those of messages, then derived ones.
    pub columns: Vec<Column>,
    /// Where derived columns come from.
    pub derivation: derived::Derivation,
}

/// A named value: a top-level column or a field of a nested record.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in the Avro schema, in JSON and in Parquet.
    pub name: String,
    /// What it holds when it is not null.
    pub kind: Kind,
    /// Whether null is a value: a union with null in the Avro schema.
    pub nullable: bool,
    /// In a union with null, which branch null is (0 or 1): Avro's binary form needs it.
    pub null_branch: u8,
    /// The Avro default, taken when JSON lacks the field, in the form that JSON messages have
    /// (a decimal as text, not as bytes); `None` where the schema gives none.
    pub default: Option<serde_json::Value>,
}

/// The types that a column can have. Each knows its Arrow type (see [`Kind::data_type`]).
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `boolean`.
    Boolean,
    /// `int`, 32 bits.
    Int,
    /// `long`, 64 bits.
    Long,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `bytes`; in JSON a string whose code points 0 to 255 are the bytes, as Avro's JSON has it.
    Bytes,
    /// `fixed` of so many bytes; in JSON as `bytes`.
    Fixed(usize),
    /// `string`.
    String,
    /// `enum`, with its symbols; a string in Arrow and Parquet.
    Enum(Vec<String>),
    /// `uuid` on string (or fixed 16); 36 characters of text in Arrow and Parquet.
    Uuid {
        /// Whether Avro's binary form is a fixed of 16 bytes instead of text.
        fixed: bool,
    },
    /// `decimal`, on bytes or fixed.
    Decimal {
        /// Digits in all: up to 38.
        precision: u8,
        /// Digits after the point.
        scale: i8,
        /// Bytes of the fixed in Avro's binary form; `None` on bytes.
        fixed: Option<usize>,
    },
    /// `date`: days since the epoch.
    Date,
    /// `time-millis`.
    TimeMillis,
    /// `time-micros`.
    TimeMicros,
    /// `timestamp-millis`, in UTC.
    TimestampMillis,
    /// `timestamp-micros`, in UTC.
    TimestampMicros,
    /// `local-timestamp-millis`: a wall clock without a zone.
    LocalTimestampMillis,
    /// `local-timestamp-micros`: a wall clock without a zone.
    LocalTimestampMicros,
    /// `record`, nested.
    Record(Vec<Column>),
    /// `array` of nullable or required items; the column is named `item`.
    Array(Box<Column>),
    /// `map` from string to values; the column is named `value`.
    Map(Box<Column>),
}

impl Kind {
    /// The Arrow type in memory, which Parquet's follows: timestamps are INT64 microseconds or
    /// milliseconds, decimals up to 18 digits INT64.
    pub fn data_type(&self) -> DataType {
        use arrow_schema::TimeUnit::{Microsecond, Millisecond};
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Bytes => DataType::Binary,
            Self::Fixed(size) => {
                DataType::FixedSizeBinary(i32::try_from(*size).unwrap_or(i32::MAX))
            }
            Self::String | Self::Enum(_) | Self::Uuid { .. } => DataType::Utf8,
            Self::Decimal {
                precision, scale, ..
            } => DataType::Decimal128(*precision, *scale),
            Self::Date => DataType::Date32,
            Self::TimeMillis => DataType::Time32(Millisecond),
            Self::TimeMicros => DataType::Time64(Microsecond),
            Self::TimestampMillis => DataType::Timestamp(Millisecond, Some("UTC".into())),
            Self::TimestampMicros => DataType::Timestamp(Microsecond, Some("UTC".into())),
            Self::LocalTimestampMillis => DataType::Timestamp(Millisecond, None),
            Self::LocalTimestampMicros => DataType::Timestamp(Microsecond, None),
            Self::Record(columns) => DataType::Struct(columns.iter().map(Column::field).collect()),
            Self::Array(item) => DataType::List(item.field().into()),
            Self::Map(value) => DataType::Map(
                Field::new(
                    "entries",
                    DataType::Struct(
                        vec![Field::new("key", DataType::Utf8, false), value.field()].into(),
                    ),
                    false,
                )
                .into(),
                false,
            ),
        }
    }
}

impl Column {
    /// The column as an Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), self.nullable)
    }
}

impl Schema {
    /// A schema without derived columns.
    pub fn new(name: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            name: name.into(),
            columns,
            derivation: derived::Derivation::default(),
        }
    }

    /// The columns as decoders make them, followed by [`KAFKA_PARTITION`] and [`KAFKA_OFFSET`]:
    /// the shape of every record batch between `decode` and `stage`.
    pub fn arrow(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.columns.iter().map(Column::field).collect();
        fields.push(Field::new(KAFKA_PARTITION, DataType::Int32, false));
        fields.push(Field::new(KAFKA_OFFSET, DataType::Int64, false));
        std::sync::Arc::new(arrow_schema::Schema::new(fields))
    }
}
