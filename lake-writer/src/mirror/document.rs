//! From Arrow columns to BSON.
//!
//! ```text
//! columns of a batch ─► Reader (one a column, typed once) ─► elements of a document, row by row
//! ```
//!
//! Owns: which BSON type each kind of column has (docs/mirror.md has the table).
//! Does not own: the bytes (`bytes`), the `_id` (`letter`, `prepared`).

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow_buffer::NullBuffer;

use crate::table::{Column, Kind};

use super::bytes::Writer;
use super::decimal;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A value that BSON cannot spell: a key of a map with a NUL in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NulInKey {
    /// The top-level field.
    pub(super) field: String,
}

/// One column, ready to be read.
pub(super) struct Reader<'a> {
    name: &'a str,
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int(&'a [i32]),
    Long(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Text(&'a StringArray),
    Decimal(&'a [i128], i8),
    Day(&'a [i32]),
    Millis(&'a [i64]),
    Micros(&'a [i64]),
    Record(Vec<Reader<'a>>),
    Array(&'a [i32], Box<Reader<'a>>),
    Map(&'a [i32], &'a StringArray, Box<Reader<'a>>),
}

impl<'a> Reader<'a> {
    /// Reads `array`, which a decoder has made for `column`.
    pub(super) fn new(column: &'a Column, array: &'a ArrayRef) -> Self {
        let values = match &column.kind {
            Kind::Boolean => Values::Boolean(array.as_boolean()),
            Kind::Int => Values::Int(array.as_primitive::<Int32Type>().values()),
            Kind::TimeMillis => Values::Int(array.as_primitive::<Time32MillisecondType>().values()),
            Kind::Long => Values::Long(array.as_primitive::<Int64Type>().values()),
            Kind::TimeMicros => {
                Values::Long(array.as_primitive::<Time64MicrosecondType>().values())
            }
            Kind::Float => Values::Float(array.as_primitive::<Float32Type>().values()),
            Kind::Double => Values::Double(array.as_primitive::<Float64Type>().values()),
            Kind::Bytes => Values::Bytes(array.as_binary()),
            Kind::Fixed(_) => Values::Fixed(array.as_fixed_size_binary()),
            Kind::String | Kind::Enum(_) | Kind::Uuid { .. } => Values::Text(array.as_string()),
            Kind::Decimal { scale, .. } => {
                Values::Decimal(array.as_primitive::<Decimal128Type>().values(), *scale)
            }
            Kind::Date => Values::Day(array.as_primitive::<Date32Type>().values()),
            Kind::TimestampMillis | Kind::LocalTimestampMillis => {
                Values::Millis(array.as_primitive::<TimestampMillisecondType>().values())
            }
            Kind::TimestampMicros | Kind::LocalTimestampMicros => {
                Values::Micros(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            Kind::Record(columns) => {
                let inner = columns.iter().zip(array.as_struct().columns());
                Values::Record(
                    inner
                        .map(|(column, array)| Reader::new(column, array))
                        .collect(),
                )
            }
            Kind::Array(item) => {
                let list = array.as_list::<i32>();
                let items = Box::new(Reader::new(item, list.values()));
                Values::Array(list.value_offsets(), items)
            }
            Kind::Map(value) => {
                let map = array.as_map();
                let values = Box::new(Reader::new(value, map.values()));
                Values::Map(map.value_offsets(), map.keys().as_string(), values)
            }
        };
        Self {
            name: &column.name,
            nulls: array.nulls(),
            values,
        }
    }

    /// Writes the value of a row under the column's own name.
    ///
    /// # Errors
    /// When a key of a map holds NUL; what was written of it has to be taken back.
    pub(super) fn write(&self, row: usize, writer: &mut Writer) -> Result<(), NulInKey> {
        self.write_as(self.name, row, writer)
            .map_err(|()| NulInKey {
                field: self.name.to_owned(),
            })
    }

    /// Writes the value of a row under another name.
    pub(super) fn write_as(&self, name: &str, row: usize, writer: &mut Writer) -> Result<(), ()> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            writer.null(name);
            return Ok(());
        }
        match &self.values {
            Values::Boolean(values) => writer.boolean(name, values.value(row)),
            Values::Int(values) => writer.int32(name, values[row]),
            Values::Long(values) => writer.int64(name, values[row]),
            Values::Float(values) => writer.double(name, values[row].into()),
            Values::Double(values) => writer.double(name, values[row]),
            Values::Bytes(values) => writer.binary(name, values.value(row)),
            Values::Fixed(values) => writer.binary(name, values.value(row)),
            Values::Text(values) => writer.string(name, values.value(row)),
            Values::Decimal(values, scale) => {
                writer.decimal(name, decimal::encode(values[row], *scale));
            }
            Values::Day(_) | Values::Millis(_) | Values::Micros(_) => {
                writer.date(name, self.millis(row));
            }
            Values::Record(columns) => {
                let open = writer.begin_document(name);
                for column in columns {
                    column.write_as(column.name, row, writer)?;
                }
                writer.end(open);
            }
            Values::Array(offsets, items) => {
                let open = writer.begin_array(name);
                for (n, item) in span(offsets, row).enumerate() {
                    items.write_as(&n.to_string(), item, writer)?;
                }
                writer.end(open);
            }
            Values::Map(offsets, keys, values) => {
                let open = writer.begin_document(name);
                for entry in span(offsets, row) {
                    let key = keys.value(entry);
                    if key.contains('\0') {
                        return Err(());
                    }
                    values.write_as(key, entry, writer)?;
                }
                writer.end(open);
            }
        }
        Ok(())
    }

    /// Milliseconds since the epoch of a date or timestamp, downwards; 0 for another kind.
    pub(super) fn millis(&self, row: usize) -> i64 {
        match &self.values {
            Values::Day(values) => i64::from(values[row]) * DAY_MS,
            Values::Millis(values) => values[row],
            Values::Micros(values) => values[row].div_euclid(1_000),
            _ => 0,
        }
    }

    /// The unscaled value of an integer or decimal; 0 for null, which adds nothing.
    pub(super) fn number(&self, row: usize) -> i128 {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return 0;
        }
        match &self.values {
            Values::Int(values) => values[row].into(),
            Values::Long(values) => values[row].into(),
            Values::Decimal(values, _) => values[row],
            _ => 0,
        }
    }
}

/// Where the items of a row's array lie. Decoders write offsets that grow from zero.
fn span(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
    at(row)..at(row + 1)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, Document, RawDocumentBuf};

    use super::*;
    use crate::decode::decoder;
    use crate::settings::Format;
    use crate::table::Schema;

    const SCHEMA: &str = r#"{"type": "record", "name": "Row", "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "int", "type": "int"},
        {"name": "long", "type": ["null", "long"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "raw", "type": "bytes"},
        {"name": "place", "type": {"type": "record", "name": "Place", "fields": [
            {"name": "city", "type": "string"},
            {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}}]}},
        {"name": "counts", "type": {"type": "map", "values": "int"}}
    ]}"#;

    fn document(json: &str) -> Result<Document, NulInKey> {
        let schema = Schema::from_avsc(SCHEMA).expect("a schema");
        let mut decoder = decoder(Format::Json, &schema);
        decoder.append(json.as_bytes()).expect("a row");
        let columns = decoder.finish();
        let mut writer = Writer::default();
        let open = writer.begin();
        for (column, array) in schema.columns.iter().zip(&columns) {
            Reader::new(column, array).write(0, &mut writer)?;
        }
        writer.end(open);
        let raw = RawDocumentBuf::from_bytes(writer.bytes).expect("a document");
        Ok(Document::try_from(&*raw).expect("sound BSON"))
    }

    #[test]
    fn every_kind_has_its_type() {
        // GIVEN a row with a value of each kind, before the epoch and nested
        let found = document(
            r#"{"flag": true, "int": -7, "long": null, "price": "-12.30",
                "at": "1969-12-31T23:59:59.999999Z", "day": "2026-01-31", "raw": "\u00ff",
                "place": {"city": "Ajaccio", "tags": ["a", null]}, "counts": {"x.y": 1, "$z": 2}}"#,
        );
        // THEN the driver reads what was meant; times go down to the millisecond
        let found = found.expect("a document");
        let price: mongodb::bson::Decimal128 = "-12.30".parse().expect("a decimal");
        assert_eq!(found.get("price"), Some(&Bson::Decimal128(price)));
        let date = |millis| Some(Bson::DateTime(mongodb::bson::DateTime::from_millis(millis)));
        assert_eq!(found.get("at").cloned(), date(-1));
        assert_eq!(found.get("day").cloned(), date(1_769_817_600_000));
        assert_eq!(found.get("flag"), Some(&Bson::Boolean(true)));
        assert_eq!(found.get("int"), Some(&Bson::Int32(-7)));
        assert_eq!(found.get("long"), Some(&Bson::Null));
        assert_eq!(found.get_binary_generic("raw").ok(), Some(&vec![0xff]));
        let place = found.get_document("place").expect("a document");
        assert_eq!(place.get("city"), Some(&Bson::from("Ajaccio")));
        let tags: Vec<Bson> = vec!["a".into(), Bson::Null];
        assert_eq!(place.get("tags"), Some(&Bson::Array(tags)));
        let counts = mongodb::bson::doc! {"x.y": 1, "$z": 2};
        assert_eq!(found.get("counts"), Some(&Bson::Document(counts)));
    }

    #[test]
    fn a_key_that_bson_cannot_spell_is_refused() {
        let refused = document(
            r#"{"flag": true, "int": 1, "long": 1, "price": "1", "at": "2026-01-31T00:00:00Z",
                "day": "2026-01-31", "raw": "", "place": {"city": "", "tags": []},
                "counts": {"a\u0000b": 1}}"#,
        );
        let field = "counts".to_owned();
        assert_eq!(refused, Err(NulInKey { field }));
    }
}
