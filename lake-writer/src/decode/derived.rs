//! Values of derived columns, a batch at a time.
//!
//! ```text
//! columns of messages ─► Derived::finish ─► the same, and the derived ones behind them
//! ```
//!
//! Owns: what a value is, exactly. Nothing is rounded: a product has the digits of both factors.
//! Does not own: which columns there are (`table::derived`), reference tables (`source::file`).

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, Decimal128Array, Int32Array, StringArray};
use chrono_tz::Tz;

use super::{Decoder, Reject, Scalar};
use crate::partition::OffsetCache;
use crate::table::derived::{Derivation, Operand, Operator, Origin, TextForm, TimePart};
use crate::table::{Kind, Schema};

const DAY_MICROS: i64 = 86_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;
/// Instants whose offset a time zone can tell: the years -200,000 to 200,000.
const KNOWN_MICROS: std::ops::Range<i64> = -6_311_000_000_000_000_000..6_311_000_000_000_000_000;

/// A decoder whose batches have derived columns too.
pub(super) struct Derived {
    inner: Box<dyn Decoder>,
    schema: Schema,
}

impl Derived {
    pub(super) fn around(inner: Box<dyn Decoder>, schema: &Schema) -> Self {
        Self {
            inner,
            schema: schema.clone(),
        }
    }
}

impl Decoder for Derived {
    fn append(&mut self, value: &[u8]) -> Result<(), Reject> {
        self.inner.append(value)
    }

    fn rows(&self) -> usize {
        self.inner.rows()
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    fn last(&self, column: usize) -> Scalar<'_> {
        // No table is partitioned by a derived column: `Spec` refuses it.
        match column < self.schema.decoded().len() {
            true => self.inner.last(column),
            false => Scalar::Null,
        }
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let mut columns = self.inner.finish();
        let derivation = &self.schema.derivation;
        for (index, origin) in derivation.origins.iter().enumerate() {
            let kind = &self.schema.columns[self.schema.decoded().len() + index].kind;
            let derived = values(derivation, origin, kind, &self.schema, &columns);
            columns.push(derived);
        }
        columns
    }

    fn unknown_fields(&self) -> u64 {
        self.inner.unknown_fields()
    }
}

fn values(
    derivation: &Derivation,
    origin: &Origin,
    kind: &Kind,
    schema: &Schema,
    columns: &[ArrayRef],
) -> ArrayRef {
    match origin {
        Origin::Lookup {
            reference,
            column,
            by,
            default,
        } => {
            let rows = derivation.references[*reference].table.rows();
            // A file that was changed may have lost the column: then nothing is found.
            let at = rows.column(column).unwrap_or(usize::MAX);
            let found = keys(&columns[*by], &mut |key| {
                rows.value(key, at).map(str::to_owned)
            });
            texts(
                found
                    .into_iter()
                    .map(|value| value.or_else(|| default.clone())),
            )
        }
        Origin::Part { part, of, zone } => {
            let kind = &schema.columns[*of].kind;
            Arc::new(parts(&columns[*of], kind, *part, *zone))
        }
        Origin::Text { form, of } => {
            let of = columns[*of].as_string::<i32>();
            texts(of.iter().map(|text| text.map(|text| in_form(text, *form))))
        }
        Origin::Arithmetic {
            operator,
            left,
            right,
        } => {
            let Kind::Decimal {
                precision, scale, ..
            } = *kind
            else {
                unreachable!("the result of arithmetic is a decimal");
            };
            let rows = columns.first().map_or(0, Array::len);
            let (left, right) = (Numbers::new(*left, columns), Numbers::new(*right, columns));
            let value = |row| operate(*operator, left.get(row)?, right.get(row)?, scale);
            let result: Decimal128Array = (0..rows).map(value).collect();
            let result = result.with_precision_and_scale(precision, scale);
            Arc::new(result.expect("the schema has checked the digits"))
        }
    }
}

/// What is found for each key.
fn keys(column: &ArrayRef, find: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Option<String>> {
    if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
        return texts.iter().map(|key| find(key?)).collect();
    }
    let number = |row: usize| match column.as_primitive_opt::<Int32Type>() {
        Some(ints) => ints.value(row).to_string(),
        None => column.as_primitive::<Int64Type>().value(row).to_string(),
    };
    let found = |row| match column.is_null(row) {
        true => None,
        false => find(&number(row)),
    };
    (0..column.len()).map(found).collect()
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn in_form(text: &str, form: TextForm) -> String {
    match form {
        TextForm::Lower => text.to_lowercase(),
        TextForm::Upper => text.to_uppercase(),
        TextForm::Trim => text.trim().to_owned(),
    }
}

fn parts(column: &ArrayRef, kind: &Kind, part: TimePart, zone: Tz) -> Int32Array {
    let mut offsets = OffsetCache::new(zone);
    let mut shifted = |micros: i64| {
        let offset = match KNOWN_MICROS.contains(&micros) {
            true => offsets.offset_at(micros),
            false => 0,
        };
        micros.saturating_add(i64::from(offset) * 1_000_000)
    };
    let mut part_at = |row: usize| {
        if column.is_null(row) {
            return None;
        }
        let micros = match kind {
            Kind::Date => {
                let day = column.as_primitive::<Date32Type>().value(row);
                return Some(part_of(i64::from(day), 0, part));
            }
            Kind::TimestampMillis => {
                let millis = column.as_primitive::<TimestampMillisecondType>().value(row);
                shifted(millis.saturating_mul(1_000))
            }
            Kind::TimestampMicros => {
                shifted(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            // A wall clock shows its own zone.
            Kind::LocalTimestampMillis => {
                let millis = column.as_primitive::<TimestampMillisecondType>().value(row);
                millis.saturating_mul(1_000)
            }
            _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
        };
        let (day, rest) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
        Some(part_of(day, rest / HOUR_MICROS, part))
    };
    (0..column.len()).map(&mut part_at).collect()
}

/// A part of a moment in the Gregorian calendar, which is taken to have held always.
fn part_of(day: i64, hour: i64, part: TimePart) -> i32 {
    // Days of eras of 400 years that begin on the first of March, so that leap days come last.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let value = match part {
        TimePart::Year => year_of_era + era * 400 + i64::from(month <= 2),
        TimePart::Month => month,
        TimePart::Day => of_year - (153 * march_month + 2) / 5 + 1,
        // The first of January 1970 was a Thursday.
        TimePart::Weekday => (day + 3).rem_euclid(7) + 1,
        TimePart::Hour => hour,
    };
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// One operand of all rows.
enum Numbers<'a> {
    Constant(i128, i8),
    Column(&'a ArrayRef, i8),
}

impl<'a> Numbers<'a> {
    fn new(operand: Operand, columns: &'a [ArrayRef]) -> Self {
        match operand {
            Operand::Constant { unscaled, scale } => Self::Constant(unscaled, scale),
            Operand::Column { index, scale } => Self::Column(&columns[index], scale),
        }
    }

    /// Without its point, and digits after it.
    fn get(&self, row: usize) -> Option<(i128, i8)> {
        match self {
            Self::Constant(unscaled, scale) => Some((*unscaled, *scale)),
            Self::Column(column, scale) => {
                if column.is_null(row) {
                    return None;
                }
                let value = if let Some(values) = column.as_primitive_opt::<Decimal128Type>() {
                    values.value(row)
                } else if let Some(values) = column.as_primitive_opt::<Int32Type>() {
                    values.value(row).into()
                } else {
                    column.as_primitive::<Int64Type>().value(row).into()
                };
                Some((value, *scale))
            }
        }
    }
}

/// The schema has seen to it that the result fits.
fn operate(
    operator: Operator,
    (left, left_scale): (i128, i8),
    (right, right_scale): (i128, i8),
    scale: i8,
) -> Option<i128> {
    let raised = |value: i128, from: i8| {
        let by = u32::try_from(scale - from).unwrap_or(0);
        value * 10_i128.pow(by)
    };
    Some(match operator {
        Operator::Multiply => left * right,
        Operator::Add => raised(left, left_scale) + raised(right, right_scale),
        Operator::Subtract => raised(left, left_scale) - raised(right, right_scale),
    })
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike as _, TimeZone as _, Timelike as _};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::decoder;
    use crate::settings::Format;

    const SCHEMA: &str = r#"{"type": "record", "name": "Sale", "fields": [
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}, "default": 0},
        {"name": "store", "type": ["null", "string"]},
        {"name": "number", "type": "long", "default": 7},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}]},
        {"name": "pieces", "type": "int", "default": 1}
    ]}"#;

    fn derived(folder: &std::path::Path, text: &str) -> Schema {
        let path = folder.join("derived.toml");
        std::fs::write(&path, text).expect("is written");
        let schema = Schema::from_avsc(SCHEMA).expect("a schema");
        schema.with_derived(&path).expect("is sound")
    }

    fn finish(schema: &Schema, messages: &[serde_json::Value]) -> Vec<ArrayRef> {
        let mut decoder = decoder(Format::Json, schema);
        for message in messages {
            decoder
                .append(message.to_string().as_bytes())
                .expect("a row");
        }
        let columns = decoder.finish();
        assert_eq!(columns.len(), schema.columns.len());
        for (column, array) in schema.columns.iter().zip(&columns) {
            assert_eq!(
                array.data_type(),
                &column.kind.data_type(),
                "{}",
                column.name
            );
            assert!(
                column.nullable || array.null_count() == 0,
                "{}",
                column.name
            );
        }
        columns
    }

    fn shown(column: &ArrayRef) -> Vec<Option<String>> {
        let texts = column.as_string::<i32>();
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn what_is_looked_up_follows_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = folder.path().join("stores.csv");
        std::fs::write(&stores, "store,city,7\nS1,Besançon,\nS2,,x\n7,Lyon,y\n")
            .expect("is written");
        let schema = derived(
            folder.path(),
            "[reference.stores]\nfile = \"stores.csv\"\nkey = \"store\"\n\
             [[column]]\nname = \"city\"\nlookup = \"stores.city\"\nby = \"store\"\n\
             [[column]]\nname = \"known\"\nlookup = \"stores.city\"\nby = \"store\"\ndefault = \"?\"\n\
             [[column]]\nname = \"of_number\"\nlookup = \"stores.city\"\nby = \"number\"\n",
        );
        let messages: Vec<_> = [Some("S1"), Some("S2"), Some("S3"), None]
            .into_iter()
            .map(|store| serde_json::json!({"at": null, "store": store, "price": null}))
            .collect();
        let columns = finish(&schema, &messages);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(shown(&columns[6]), [text("Besançon"), None, None, None]);
        assert_eq!(
            shown(&columns[7]),
            [text("Besançon"), text("?"), text("?"), text("?")]
        );
        assert_eq!(shown(&columns[8])[0], text("Lyon"));
        // WHEN the file changes THEN the next batch has it; one that cannot be read changes nothing
        std::fs::write(&stores, "store,city,7\nS1,Dole (Jura),\n").expect("is written");
        assert_eq!(
            shown(&finish(&schema, &messages)[6])[0],
            text("Dole (Jura)")
        );
        std::fs::write(&stores, "shop,city\nS1,Nowhere at all\n").expect("is written");
        assert_eq!(
            shown(&finish(&schema, &messages)[6])[0],
            text("Dole (Jura)")
        );
    }

    #[test]
    fn a_reference_table_that_cannot_be_used_is_refused_at_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("derived.toml");
        let column = "[[column]]\nname = \"city\"\nlookup = \"stores.city\"\nby = \"store\"\n";
        let reference = "[reference.stores]\nfile = \"stores.csv\"\nkey = \"store\"\n";
        std::fs::write(&path, format!("{reference}{column}")).expect("is written");
        for (content, words) in [
            (None, "stores.csv"),
            (Some("shop,city\n"), "no column `store`"),
            (Some("store,town\n"), "no column `city`"),
            (Some("store,city\nS1,a\nS1,b\n"), "record 3 has a key"),
            (Some("store,city\nS1\n"), "stores.csv"),
        ] {
            if let Some(content) = content {
                std::fs::write(folder.path().join("stores.csv"), content).expect("is written");
            }
            let schema = Schema::from_avsc(SCHEMA).expect("a schema");
            let refused = schema.with_derived(&path).expect_err(words).to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let folder = tempfile::tempdir().expect("a folder");
        let schema = derived(
            folder.path(),
            "[[column]]\nname = \"net\"\nmultiply = [\"price\", \"0.805\"]\n\
             [[column]]\nname = \"all\"\nmultiply = [\"price\", \"pieces\"]\n\
             [[column]]\nname = \"more\"\nadd = [\"price\", \"number\"]\n\
             [[column]]\nname = \"less\"\nsubtract = [\"0.001\", \"price\"]\n",
        );
        let message =
            serde_json::json!({"at": null, "store": null, "price": "-99999999.99", "pieces": 3});
        let empty = serde_json::json!({"at": null, "store": null, "price": null});
        let columns = finish(&schema, &[message, empty]);
        let decimal = |column: usize| {
            let values = columns[column].as_primitive::<Decimal128Type>();
            assert!(values.is_null(1));
            values.value_as_string(0)
        };
        assert_eq!(
            [6, 7, 8, 9].map(decimal),
            [
                "-80499999.99195",
                "-299999999.97",
                "-99999992.99",
                "99999999.991"
            ]
        );
    }

    #[test]
    fn parts_are_those_of_the_clock_in_its_zone() {
        let folder = tempfile::tempdir().expect("a folder");
        let schema = derived(
            folder.path(),
            "[[column]]\nname = \"hour\"\npart = \"hour\"\nof = \"at\"\ntime_zone = \"Europe/Paris\"\n\
             [[column]]\nname = \"weekday\"\npart = \"weekday\"\nof = \"day\"\n",
        );
        let messages = [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:30:00Z",
            "2026-06-30T22:15:00Z",
        ]
        .map(|at| serde_json::json!({"at": at, "day": "2026-11-27", "store": null, "price": null}));
        let columns = finish(&schema, &messages);
        assert_eq!(columns[6].as_primitive::<Int32Type>().values(), &[1, 3, 0]);
        assert_eq!(columns[7].as_primitive::<Int32Type>().values(), &[5, 5, 5]);
    }

    proptest! {
        #[test]
        fn parts_are_those_of_chrono(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let zone: Tz = "Europe/Paris".parse().expect("a zone");
            let at = zone.timestamp_micros(micros).unwrap();
            let column: ArrayRef = Arc::new(
                arrow_array::TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"),
            );
            for (part, wanted) in [
                (TimePart::Year, at.year()),
                (TimePart::Month, at.month().cast_signed()),
                (TimePart::Day, at.day().cast_signed()),
                (TimePart::Weekday, at.weekday().number_from_monday().cast_signed()),
                (TimePart::Hour, at.hour().cast_signed()),
            ] {
                let found = parts(&column, &Kind::TimestampMicros, part, zone);
                prop_assert_eq!(found.value(0), wanted);
            }
        }
    }
}
