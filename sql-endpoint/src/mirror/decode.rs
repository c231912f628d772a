//! From documents to record batches.
//!
//! ```text
//! flat documents ─► Decoder (one builder a column) ─► RecordBatch
//! ```
//!
//! Owns: which BSON values a column takes. Nothing passes through a float that was none.
//! Does not own: which documents come, and in what shape (`pipeline`).

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    RecordBatch, RecordBatchOptions, StringBuilder, Time32MillisecondBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
    TimestampNanosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use lake_writer::mirror::decimal;
use mongodb::bson::{RawBsonRef, RawDocument};

const DAY_MS: i64 = 86_400_000;

/// A document that does not fit the table.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("a document is not sound BSON: {0}")]
    Bson(String),
    #[error(
        "field `{field}` of a document holds {found}, which is no exact {wanted}: look with \
         `lake-writer verify --mirror`"
    )]
    Value {
        field: String,
        found: String,
        wanted: DataType,
    },
    #[error("column type {0} cannot be read from MongoDB")]
    Column(DataType),
    #[error("a batch cannot be made")]
    Arrow(#[from] ArrowError),
}

/// Whether a column of this type can be read from documents.
pub(super) fn is_flat(kind: &DataType) -> bool {
    Values::new(kind).is_some()
}

/// Makes batches of documents whose fields are named after the columns.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Values>,
    rows: usize,
}

impl Decoder {
    pub(super) fn new(schema: SchemaRef) -> Result<Self, DecodeError> {
        let column = |kind: &DataType| Values::new(kind).ok_or(DecodeError::Column(kind.clone()));
        let fields = schema.fields().iter();
        Ok(Self {
            columns: fields
                .map(|field| column(field.data_type()))
                .collect::<Result<_, _>>()?,
            schema,
            rows: 0,
        })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a document. A field that is not there is null.
    pub(super) fn append(&mut self, document: &RawDocument) -> Result<(), DecodeError> {
        // Fields mostly come in the order of the columns.
        let mut next = 0;
        for element in document {
            let (name, value) = element.map_err(|error| DecodeError::Bson(error.to_string()))?;
            let name: &str = name.as_ref();
            let fields = self.schema.fields();
            let at = match fields.get(next) {
                Some(field) if field.name() == name => Some(next),
                _ => fields.iter().position(|field| field.name() == name),
            };
            let Some(at) = at else { continue };
            next = at + 1;
            let column = &mut self.columns[at];
            if column.builder().len() == self.rows && column.push(value).is_none() {
                return Err(DecodeError::Value {
                    field: name.to_owned(),
                    found: format!("{value:?}"),
                    wanted: fields[at].data_type().clone(),
                });
            }
        }
        self.rows += 1;
        for column in &mut self.columns {
            if column.builder().len() < self.rows {
                column.push(RawBsonRef::Null);
            }
        }
        Ok(())
    }

    /// The rows taken since the last batch.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, DecodeError> {
        let arrays = self.columns.iter_mut().zip(self.schema.fields());
        let arrays: Vec<ArrayRef> = arrays
            .map(|(column, field)| column.finish(field.data_type()))
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        let schema = self.schema.clone();
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

/// The values of one column.
enum Values {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Fixed(FixedSizeBinaryBuilder),
    Decimal(Decimal128Builder, i8),
    Day(Date32Builder),
    Millis(TimestampMillisecondBuilder),
    Micros(TimestampMicrosecondBuilder),
    Nanos(TimestampNanosecondBuilder),
    TimeMillis(Time32MillisecondBuilder),
    TimeMicros(Time64MicrosecondBuilder),
}

impl Values {
    fn new(kind: &DataType) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => Self::Boolean(Default::default()),
            DataType::Int32 => Self::Int32(Default::default()),
            DataType::Int64 => Self::Int64(Default::default()),
            DataType::Float32 => Self::Float32(Default::default()),
            DataType::Float64 => Self::Float64(Default::default()),
            DataType::Utf8 => Self::Text(Default::default()),
            DataType::Binary => Self::Binary(Default::default()),
            DataType::FixedSizeBinary(size) => Self::Fixed(FixedSizeBinaryBuilder::new(*size)),
            DataType::Decimal128(_, scale) => Self::Decimal(
                Decimal128Builder::new().with_data_type(kind.clone()),
                *scale,
            ),
            DataType::Date32 => Self::Day(Default::default()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Self::Millis(Default::default()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Micros(Default::default()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::Nanos(Default::default()),
            DataType::Time32(TimeUnit::Millisecond) => Self::TimeMillis(Default::default()),
            DataType::Time64(TimeUnit::Microsecond) => Self::TimeMicros(Default::default()),
            _ => return None,
        })
    }

    /// Takes a value; `None` when it is not one of the column's.
    fn push(&mut self, value: RawBsonRef<'_>) -> Option<()> {
        let null = matches!(value, RawBsonRef::Null | RawBsonRef::Undefined);
        /// A value, or null.
        macro_rules! put {
            ($builder:expr, $read:expr) => {
                match null {
                    true => $builder.append_null(),
                    false => $builder.append_value($read?),
                }
            };
        }
        match self {
            Self::Boolean(to) => put!(to, value.as_bool()),
            Self::Int32(to) => put!(to, i32::try_from(integer(value)?).ok()),
            Self::Int64(to) => put!(to, integer(value)),
            Self::Float32(to) => put!(to, value.as_f64().map(single)),
            Self::Float64(to) => put!(to, value.as_f64()),
            Self::Text(to) => put!(to, value.as_str()),
            Self::Binary(to) => put!(to, value.as_binary().map(|binary| binary.bytes)),
            Self::Fixed(to) => match null {
                true => to.append_null(),
                false => to.append_value(value.as_binary()?.bytes).ok()?,
            },
            Self::Decimal(to, scale) => put!(to, unscaled(value, *scale)),
            Self::Day(to) => put!(to, i32::try_from(millis(value)?.div_euclid(DAY_MS)).ok()),
            Self::Millis(to) => put!(to, millis(value)),
            Self::Micros(to) => put!(to, millis(value)?.checked_mul(1_000)),
            Self::Nanos(to) => put!(to, millis(value)?.checked_mul(1_000_000)),
            Self::TimeMillis(to) => put!(to, i32::try_from(integer(value)?).ok()),
            Self::TimeMicros(to) => put!(to, integer(value)),
        }
        Some(())
    }

    fn builder(&mut self) -> &mut dyn ArrayBuilder {
        match self {
            Self::Boolean(to) => to,
            Self::Int32(to) => to,
            Self::Int64(to) => to,
            Self::Float32(to) => to,
            Self::Float64(to) => to,
            Self::Text(to) => to,
            Self::Binary(to) => to,
            Self::Fixed(to) => to,
            Self::Decimal(to, _) => to,
            Self::Day(to) => to,
            Self::Millis(to) => to,
            Self::Micros(to) => to,
            Self::Nanos(to) => to,
            Self::TimeMillis(to) => to,
            Self::TimeMicros(to) => to,
        }
    }

    /// The array. Builders of timestamps do not know the zone; the numbers are the same.
    fn finish(&mut self, kind: &DataType) -> Result<ArrayRef, ArrowError> {
        let array = self.builder().finish();
        if array.data_type() == kind {
            return Ok(array);
        }
        let data = array.to_data().into_builder().data_type(kind.clone());
        Ok(Arc::new(datafusion::arrow::array::make_array(
            data.build()?,
        )))
    }
}

/// A whole number as the server gives sums of whole numbers.
fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(value) => Some(value.into()),
        RawBsonRef::Int64(value) => Some(value),
        _ => None,
    }
}

/// A decimal at the column's scale. The server's sum of nothing is the integer 0.
fn unscaled(value: RawBsonRef<'_>, scale: i8) -> Option<i128> {
    match value {
        RawBsonRef::Decimal128(value) => decimal::decode(value, scale),
        other => {
            let power = 10_i128.checked_pow(u32::try_from(scale).ok()?)?;
            i128::from(integer(other)?).checked_mul(power)
        }
    }
}

fn millis(value: RawBsonRef<'_>) -> Option<i64> {
    value
        .as_datetime()
        .map(mongodb::bson::DateTime::timestamp_millis)
}

/// Written as a double from a float, it is one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the double was made of a float"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray as _;
    use datafusion::arrow::datatypes::{Decimal128Type, Field, Schema, TimestampMicrosecondType};
    use mongodb::bson::{Bson, DateTime, Decimal128, RawDocumentBuf, doc};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("amount", DataType::Decimal128(18, 2), true),
            Field::new(
                "sold_at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            Field::new("region", DataType::Utf8, true),
        ]))
    }

    fn raw(document: &mongodb::bson::Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).expect("sound BSON")
    }

    #[test]
    fn values_are_exact_whatever_the_order_of_fields_and_what_is_missing_is_null() {
        let mut decoder = Decoder::new(schema()).expect("a decoder");
        let amount: Decimal128 = "-12.3".parse().expect("a decimal");
        let sold_at = DateTime::from_millis(-1);
        let document =
            raw(&doc! {"region": "Corse", "other": 1, "amount": amount, "sold_at": sold_at});
        decoder.append(&document).expect("fits");
        decoder
            .append(&raw(&doc! {"region": Bson::Null}))
            .expect("fits");
        let batch = decoder.finish().expect("a batch");
        assert_eq!(batch.schema(), schema());
        let amounts = batch.column(0).as_primitive::<Decimal128Type>();
        assert_eq!(amounts.iter().collect::<Vec<_>>(), [Some(-1230), None]);
        let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.iter().collect::<Vec<_>>(), [Some(-1_000), None]);
        let regions = batch.column(2).as_string::<i32>();
        assert_eq!(regions.iter().collect::<Vec<_>>(), [Some("Corse"), None]);
    }

    #[test]
    fn a_value_that_is_not_exact_is_named() {
        let mut decoder = Decoder::new(schema()).expect("a decoder");
        let amount: Decimal128 = "0.125".parse().expect("a decimal");
        for wrong in [
            doc! {"amount": amount},
            doc! {"amount": 1.5},
            doc! {"region": 7},
        ] {
            let error = decoder.append(&raw(&wrong)).expect_err("refused");
            assert!(matches!(error, DecodeError::Value { .. }), "{error}");
        }
    }

    #[test]
    fn documents_without_columns_are_counted() {
        let mut decoder = Decoder::new(Arc::new(Schema::empty())).expect("a decoder");
        for _ in 0..3 {
            decoder.append(&raw(&doc! {"_id": 1})).expect("fits");
        }
        assert_eq!(decoder.finish().expect("a batch").num_rows(), 3);
    }
}
