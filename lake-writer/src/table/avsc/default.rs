//! Defaults: from the form that Avro's specification gives them to the form that messages have.
//!
//! ```text
//! "default": "\u0001\u00b3" on decimal(9, 2) ─► "4.35", as the JSON decoder reads it
//! ```
//!
//! Owns: the check of a default against its type, once, at start. A default that did not fit would
//! otherwise turn every message that lacks the field into a dead letter.

use serde_json::{Map, Value};

use crate::table::{Column, Kind};

/// The default as a JSON message would have it.
///
/// # Errors
/// What was expected, as a fragment of a sentence.
pub(super) fn in_message_form(column: &Column, value: &Value) -> Result<Value, String> {
    if value.is_null() {
        return if column.nullable {
            Ok(Value::Null)
        } else {
            Err("null, where the type has no null".into())
        };
    }
    in_kind(&column.kind, value)
}

fn in_kind(kind: &Kind, value: &Value) -> Result<Value, String> {
    let expected = |what: &str| Err(format!("{what} expected"));
    let keep = |fits: bool, what: &str| {
        if fits {
            Ok(value.clone())
        } else {
            Err(format!("{what} expected"))
        }
    };
    let whole = |range: std::ops::RangeInclusive<i64>| {
        keep(
            value.as_i64().is_some_and(|n| range.contains(&n)),
            "a whole number in range",
        )
    };
    match kind {
        Kind::Boolean => keep(value.is_boolean(), "true or false"),
        Kind::Int | Kind::Date => whole(i64::from(i32::MIN)..=i64::from(i32::MAX)),
        Kind::TimeMillis => whole(0..=86_399_999),
        Kind::TimeMicros => whole(0..=86_399_999_999),
        Kind::Long
        | Kind::TimestampMillis
        | Kind::TimestampMicros
        | Kind::LocalTimestampMillis
        | Kind::LocalTimestampMicros => whole(i64::MIN..=i64::MAX),
        Kind::Float => keep(
            value.as_f64().is_some_and(|n| (n as f32).is_finite()),
            "a number in range",
        ),
        Kind::Double => keep(value.is_number(), "a number"),
        Kind::String => keep(value.is_string(), "a string"),
        Kind::Bytes => keep(
            code_points(value).is_some(),
            "a string of code points 0 to 255",
        ),
        Kind::Fixed(size) => keep(
            code_points(value).is_some_and(|bytes| bytes.len() == *size),
            "a string of as many code points 0 to 255 as the fixed has bytes",
        ),
        Kind::Enum(symbols) => keep(
            value
                .as_str()
                .is_some_and(|text| symbols.iter().any(|s| s == text)),
            "one of the enum's symbols",
        ),
        Kind::Uuid { fixed: false } => value
            .as_str()
            .and_then(|text| uuid::Uuid::try_parse(text).ok())
            .map_or_else(
                || expected("a UUID"),
                |id| Ok(id.hyphenated().to_string().into()),
            ),
        Kind::Uuid { fixed: true } => code_points(value)
            .and_then(|bytes| uuid::Uuid::from_slice(&bytes).ok())
            .map_or_else(
                || expected("a string of 16 code points 0 to 255"),
                |id| Ok(id.hyphenated().to_string().into()),
            ),
        Kind::Decimal {
            precision,
            scale,
            fixed,
        } => code_points(value)
            .filter(|bytes| fixed.is_none_or(|size| bytes.len() == size))
            .and_then(|bytes| twos_complement(&bytes))
            .filter(|n| n.unsigned_abs() < 10_u128.pow(u32::from(*precision)))
            .map_or_else(
                || {
                    expected(
                        "the number's two's complement bytes as code points 0 to 255, such as \
                         \"\\u0000\" for zero,",
                    )
                },
                |n| Ok(decimal_text(n, *scale).into()),
            ),
        Kind::Record(columns) => record(columns, value),
        Kind::Array(item) => match value {
            Value::Array(items) => items.iter().map(|v| in_message_form(item, v)).collect(),
            _ => expected("an array"),
        },
        Kind::Map(of) => match value {
            Value::Object(entries) => entries
                .iter()
                .map(|(key, v)| Ok((key.clone(), in_message_form(of, v)?)))
                .collect::<Result<Map<_, _>, String>>()
                .map(Value::Object),
            _ => expected("an object"),
        },
    }
}

fn record(columns: &[Column], value: &Value) -> Result<Value, String> {
    let Value::Object(given) = value else {
        return Err("an object expected".into());
    };
    let mut out = Map::new();
    for column in columns {
        let name = &column.name;
        let normal = match given.get(name) {
            Some(v) => in_message_form(column, v).map_err(|e| format!("`{name}`: {e}"))?,
            // Already in the message's form: inner fields are read before the outer default.
            None => match &column.default {
                Some(own) => own.clone(),
                None if column.nullable => Value::Null,
                None => return Err(format!("`{name}` is missing")),
            },
        };
        out.insert(name.clone(), normal);
    }
    Ok(Value::Object(out))
}

fn code_points(value: &Value) -> Option<Vec<u8>> {
    value
        .as_str()?
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}

fn twos_complement(bytes: &[u8]) -> Option<i128> {
    let (first, _) = bytes.split_first()?;
    let sign: u8 = if *first >= 0x80 { 0xff } else { 0 };
    let extra = bytes.len().saturating_sub(16);
    let (high, low) = bytes.split_at(extra);
    let fits = high.iter().all(|b| *b == sign) && low.first().is_some_and(|b| (b ^ sign) < 0x80);
    fits.then(|| {
        low.iter()
            .fold(i128::from(sign as i8), |n, b| n << 8 | i128::from(*b))
    })
}

fn decimal_text(unscaled: i128, scale: i8) -> String {
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}
