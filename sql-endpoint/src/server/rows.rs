//! Rows on their way from the engine to a client.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, Field, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion_postgres::arrow_pg::datatypes::arrow_schema_to_pg_fields;
use datafusion_postgres::arrow_pg::row_encoder::RowEncoder;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{FieldFormat, FieldInfo};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::StreamExt as _;

use super::fault;
use crate::zone::{Zone, text};

/// The schema in which rows leave: every type is one that PostgreSQL has, and as wide as it has it, and
/// columns have the given names where there are some.
pub(super) fn served_schema(schema: &Schema, names: &[Option<String>]) -> SchemaRef {
    let own = |at: usize| names.get(at).and_then(Option::as_ref);
    let fields: Fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let name = own(at).unwrap_or_else(|| field.name());
            let served = served_type(field.data_type());
            Arc::new(
                Field::new(name, served, field.is_nullable())
                    .with_metadata(field.metadata().clone()),
            )
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The same schema with instants in a zone, whose clocks their texts tell.
pub(super) fn seen_in(schema: &Schema, zone: Zone) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let kind = DataType::Timestamp(*unit, Some(zone.label().into()));
            Arc::new(field.as_ref().clone().with_data_type(kind))
        }
        _ => field.clone(),
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Fields>(),
        schema.metadata().clone(),
    ))
}

fn served_type(given: &DataType) -> DataType {
    match given {
        // A row number is a bigint.
        DataType::UInt64 | DataType::UInt32 => DataType::Int64,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt8 | DataType::Int8 => DataType::Int16,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Dictionary(_, value) => served_type(value),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        // A NULL that nobody gave a type is a text.
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

/// The fields of a schema, as clients are told them.
///
/// # Errors
/// 0A000-like errors for types that the protocol cannot carry.
pub(super) fn fields(
    schema: &Schema,
    format: &Format,
    options: &Arc<FormatOptions>,
) -> PgWireResult<Arc<Vec<FieldInfo>>> {
    let format = match format {
        // A client may send a format too few; the missing ones are texts.
        Format::Individual(codes) if codes.len() < schema.fields().len() => {
            let mut codes = codes.clone();
            codes.resize(schema.fields().len(), 0);
            Format::Individual(codes)
        }
        Format::Individual(codes) => Format::Individual(codes.clone()),
        Format::UnifiedBinary => Format::UnifiedBinary,
        Format::UnifiedText => Format::UnifiedText,
    };
    let told = arrow_schema_to_pg_fields(schema, &format, Some(options.clone()))?;
    let told = told
        .into_iter()
        .zip(schema.fields())
        .map(|(info, field)| {
            let size = type_size(info.datatype());
            info.with_type_size(size)
                .with_type_modifier(type_modifier(field.data_type()))
        })
        .collect();
    Ok(Arc::new(told))
}

/// `pg_attribute.atttypmod`: precision and scale of a decimal, -1 for all else.
pub(crate) fn type_modifier(given: &DataType) -> i32 {
    match given {
        DataType::Decimal128(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
        }
        _ => -1,
    }
}

fn type_size(given: &Type) -> i16 {
    match *given {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

/// The rows of a running query, taken a few at a time.
pub(super) struct Rows {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
    rest: Option<RecordBatch>,
}

impl Rows {
    /// Rows that leave in `schema`, whatever types the engine came to.
    pub(super) fn new(schema: SchemaRef, stream: SendableRecordBatchStream) -> Self {
        Self {
            schema,
            stream,
            rest: None,
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows: at least one, at most `most`; none at the end.
    ///
    /// # Errors
    /// What the engine says, as clients see it.
    pub(super) async fn next(&mut self, most: usize) -> PgWireResult<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.rest.take() {
                if batch.num_rows() > most {
                    self.rest = Some(batch.slice(most, batch.num_rows() - most));
                    return Ok(Some(batch.slice(0, most)));
                }
                return Ok(Some(batch));
            }
            match self.stream.next().await {
                None => return Ok(None),
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(batch) => {
                    let served = batch.and_then(|batch| serve(&batch, &self.schema));
                    self.rest = Some(served.map_err(|error| fault::of_engine(&error))?);
                }
            }
        }
    }
}

/// A batch in the types of a schema.
fn serve(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type()
                || is_text(column.data_type()) && is_text(field.data_type())
            {
                return Ok(column.clone());
            }
            cast_with_options(column, field.data_type(), &strict)
        })
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let fields: Fields = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(column.data_type().clone())
                    .with_nullable(true),
            )
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}

fn is_text(given: &DataType) -> bool {
    matches!(
        given,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// The rows of a batch as messages.
///
/// # Errors
/// 22003 for decimals beyond what the encoder carries, and the like.
pub(super) fn encoded(
    batch: RecordBatch,
    fields: &Arc<Vec<FieldInfo>>,
) -> PgWireResult<VecDeque<DataRow>> {
    let mut rows = VecDeque::with_capacity(batch.num_rows());
    let batch = times_written(batch, fields).map_err(|cause| fault::of_engine(&cause))?;
    let mut encoder = RowEncoder::new(batch, fields.clone());
    while let Some(row) = encoder.next_row() {
        rows.push_back(row?);
    }
    Ok(rows)
}

/// The batch with times as PostgreSQL writes them, where a client takes texts: no digits of a second
/// that are zero.
fn times_written(batch: RecordBatch, told: &[FieldInfo]) -> Result<RecordBatch, DataFusionError> {
    let is_written = |info: &FieldInfo| {
        info.format() == FieldFormat::Text && info.format_options().date_style.starts_with("ISO")
    };
    let (schema, mut columns, _) = batch.clone().into_parts();
    let mut fields = schema.fields().to_vec();
    let mut changed = false;
    for (at, info) in told.iter().enumerate() {
        let DataType::Timestamp(TimeUnit::Microsecond, zone) = schema.field(at).data_type() else {
            continue;
        };
        if !is_written(info) {
            continue;
        }
        let zone = zone.as_deref().and_then(Zone::labelled);
        let times = columns[at]
            .as_primitive::<TimestampMicrosecondType>()
            .iter();
        let texts = times.map(|time| time.map(|time| text::written(time, zone)).transpose());
        columns[at] = Arc::new(texts.collect::<Result<StringArray, ArrowError>>()?);
        fields[at] = Arc::new(Field::new(schema.field(at).name(), DataType::Utf8, true));
        changed = true;
    }
    if !changed {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_carry_precision_and_scale() {
        // As PostgreSQL has it for numeric(12, 2).
        assert_eq!(type_modifier(&DataType::Decimal128(12, 2)), 786_438);
        assert_eq!(type_modifier(&DataType::Int64), -1);
    }

    #[test]
    fn every_type_is_served_as_one_that_postgresql_has() {
        for (given, served) in [
            (DataType::UInt64, DataType::Int64),
            (DataType::Null, DataType::Utf8),
            (
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                DataType::Utf8,
            ),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ),
            (DataType::Decimal256(76, 4), DataType::Decimal128(38, 4)),
            (DataType::Utf8View, DataType::Utf8View),
        ] {
            assert_eq!(served_type(&given), served, "{given}");
        }
    }
}
