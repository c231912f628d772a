//! Random schemas, and random values of any schema.

use std::fmt::Write as _;

use lake_writer::table::{Column, Kind, Schema};
use rand::Rng;
use rand::rngs::SmallRng;

use super::Val;

/// A schema with every kind, nullable and not, and nested.
pub(crate) const EVERYTHING: &str = r#"{"type": "record", "name": "Everything", "fields": [
        {"name": "b", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
        {"name": "f", "type": "float"}, {"name": "d", "type": "double"},
        {"name": "bytes", "type": "bytes"}, {"name": "s", "type": "string"},
        {"name": "fixed", "type": {"type": "fixed", "name": "F3", "size": 3}},
        {"name": "e", "type": {"type": "enum", "name": "Canal", "symbols": ["magasin", "web", "app"]}},
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "huge", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}},
        {"name": "date", "type": {"type": "int", "logicalType": "date"}},
        {"name": "tms", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "tus", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "local", "type": ["null", {"type": "long", "logicalType": "local-timestamp-millis"}]},
        {"name": "ns", "type": ["null", "string"]}, {"name": "nl", "type": ["long", "null"], "default": 7},
        {"name": "r", "type": ["null", {"type": "record", "name": "R", "fields": [
            {"name": "ville", "type": "string"},
            {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}}]}]},
        {"name": "m", "type": {"type": "map", "values": {"type": "array", "items": "R"}}}]}"#;

/// The same, read.
pub(crate) fn everything() -> Schema {
    Schema::from_avsc(EVERYTHING).expect("the schema above is right")
}

/// A random schema as Avro JSON text.
pub(crate) fn random_avsc(rng: &mut SmallRng) -> String {
    let mut named = 0;
    let count = rng.random_range(1..8);
    let fields = random_fields(rng, count, 3, &mut named);
    format!(r#"{{"type": "record", "name": "Row", "fields": [{fields}]}}"#)
}

fn random_fields(rng: &mut SmallRng, count: usize, depth: usize, named: &mut usize) -> String {
    let mut text = String::new();
    for i in 0..count {
        let inner = random_type(rng, depth, named);
        let avro = match rng.random_range(0..4) {
            0 => format!(r#"["null", {inner}]"#),
            1 => format!(r#"[{inner}, "null"]"#),
            _ => inner,
        };
        let comma = if i == 0 { "" } else { ", " };
        // Names of all lengths, some with one beginning.
        let name = format!("champ_{}{i}", "long_".repeat(i % 4));
        write!(text, r#"{comma}{{"name": "{name}", "type": {avro}}}"#).expect("a String takes all");
    }
    text
}

fn random_type(rng: &mut SmallRng, depth: usize, named: &mut usize) -> String {
    *named += 1;
    let name = format!("N{named}");
    let logical =
        |avro: &str, logical: &str| format!(r#"{{"type": "{avro}", "logicalType": "{logical}"}}"#);
    let plain = [
        "boolean", "int", "long", "float", "double", "bytes", "string",
    ];
    match rng.random_range(0..if depth == 0 { 18 } else { 24 }) {
        i @ 0..=6 => format!("\"{}\"", plain[i]),
        7 => logical("string", "uuid"),
        8 => logical("int", "date"),
        9 => logical("int", "time-millis"),
        10 => logical("long", "time-micros"),
        11 => logical("long", "timestamp-millis"),
        12 => logical("long", "timestamp-micros"),
        13 => logical("long", "local-timestamp-micros"),
        14 => format!(
            r#"{{"type": "fixed", "name": "{name}", "size": {}}}"#,
            rng.random_range(1..20)
        ),
        15 => format!(r#"{{"type": "enum", "name": "{name}", "symbols": ["A", "BB", "c_3"]}}"#),
        16 => {
            format!(r#"{{"type": "fixed", "name": "{name}", "size": 16, "logicalType": "uuid"}}"#)
        }
        17 => {
            let precision = rng.random_range(1..39);
            let scale = rng.random_range(0..=precision);
            let base = if rng.random() {
                r#""bytes""#.to_owned()
            } else {
                format!(r#""fixed", "name": "{name}", "size": 17"#)
            };
            format!(
                r#"{{"type": {base}, "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#
            )
        }
        18 | 19 => {
            let count = rng.random_range(1..4);
            let fields = random_fields(rng, count, depth - 1, named);
            format!(r#"{{"type": "record", "name": "{name}", "fields": [{fields}]}}"#)
        }
        20 | 21 => format!(
            r#"{{"type": "array", "items": {}}}"#,
            random_item(rng, depth - 1, named)
        ),
        _ => format!(
            r#"{{"type": "map", "values": {}}}"#,
            random_item(rng, depth - 1, named)
        ),
    }
}

fn random_item(rng: &mut SmallRng, depth: usize, named: &mut usize) -> String {
    let inner = random_type(rng, depth, named);
    if rng.random_ratio(1, 3) {
        format!(r#"["null", {inner}]"#)
    } else {
        inner
    }
}

/// A random row.
pub(crate) fn random_row(rng: &mut SmallRng, schema: &Schema) -> Val {
    Val::Record(
        schema
            .columns
            .iter()
            .map(|column| random_value(rng, column))
            .collect(),
    )
}

fn random_value(rng: &mut SmallRng, column: &Column) -> Val {
    if column.nullable && rng.random_ratio(1, 3) {
        return Val::Null;
    }
    match &column.kind {
        Kind::Boolean => Val::Bool(rng.random()),
        Kind::Int => Val::Int(integer(rng, 31)),
        Kind::Long => Val::Int(integer(rng, 63)),
        Kind::Float => Val::Float(f32::from_bits(rng.random()).into()),
        Kind::Double => match rng.random_range(0..3) {
            0 => Val::Float(f64::from_bits(rng.random())),
            1 => Val::Float(f64::from(rng.random_range(-1_000_000..1_000_000)) / 100.0),
            _ => {
                Val::Float([0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324][rng.random_range(0..5)])
            }
        },
        Kind::Bytes => {
            let len = rng.random_range(0..20);
            Val::Bytes((0..len).map(|_| rng.random()).collect())
        }
        Kind::Fixed(size) => Val::Bytes((0..*size).map(|_| rng.random()).collect()),
        Kind::String => Val::Text(text(rng)),
        Kind::Enum(symbols) => Val::Text(symbols[rng.random_range(0..symbols.len())].clone()),
        Kind::Uuid { .. } => Val::Text(
            uuid::Uuid::from_bytes(rng.random())
                .hyphenated()
                .to_string(),
        ),
        Kind::Decimal { precision, .. } => {
            let digits = rng.random_range(1..=u32::from(*precision));
            Val::Int(rng.random_range(1 - 10_i128.pow(digits)..10_i128.pow(digits)))
        }
        // From 0000-01-01 to 9999-12-31.
        Kind::Date => Val::Int(rng.random_range(-719_528_i128..=2_932_896)),
        Kind::TimeMillis => Val::Int(rng.random_range(0..86_400_000_i128)),
        Kind::TimeMicros => Val::Int(rng.random_range(0..86_400_000_000_i128)),
        Kind::TimestampMillis | Kind::LocalTimestampMillis => Val::Int(instant(rng, 1_000)),
        Kind::TimestampMicros | Kind::LocalTimestampMicros => Val::Int(instant(rng, 1_000_000)),
        Kind::Record(columns) => Val::Record(
            columns
                .iter()
                .map(|column| random_value(rng, column))
                .collect(),
        ),
        Kind::Array(item) => {
            let len = rng.random_range(0..4);
            Val::List((0..len).map(|_| random_value(rng, item)).collect())
        }
        Kind::Map(of) => {
            let len = rng.random_range(0..4);
            let key = |i: usize| {
                format!(
                    "{i}{}",
                    ["", "é", "\"", "clé longue de plus de seize"][i % 4]
                )
            };
            Val::Map((0..len).map(|i| (key(i), random_value(rng, of))).collect())
        }
    }
}

/// Of any size up to so many bits, the ends included.
fn integer(rng: &mut SmallRng, bits: u32) -> i128 {
    let limit = 1_i128 << rng.random_range(0..=bits);
    rng.random_range(-limit..limit)
}

/// In the years 1 to 9998, so that no offset leads out of four digits.
fn instant(rng: &mut SmallRng, per_second: i128) -> i128 {
    let seconds = rng.random_range(-62_135_596_800_i128..253_370_764_800);
    let fraction = [0, per_second / 2, rng.random_range(0..per_second)][rng.random_range(0..3)];
    seconds * per_second + fraction
}

fn text(rng: &mut SmallRng) -> String {
    const PARTS: [&str; 14] = [
        "a",
        "Île-de-France",
        "é",
        "\"",
        "\\",
        "\n",
        "\u{1}",
        "/",
        "€",
        "😀",
        "Œuf",
        " ",
        "\0",
        "un texte de plus de seize octets",
    ];
    (0..rng.random_range(0..5))
        .map(|_| PARTS[rng.random_range(0..PARTS.len())])
        .collect()
}
