//! A slow decoder of JSON over serde_json and chrono, written from the documented rules alone.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use lake_writer::table::{Column, Kind, Schema};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Val;

/// What a document is.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Not JSON.
    NotJson,
    /// JSON, but not a row.
    NoRow(String),
    Row(Val),
    /// It has a number that serde_json cannot keep, where it stops.
    Unknown,
}

/// Judges a document.
pub(crate) fn judge(schema: &Schema, doc: &[u8]) -> Verdict {
    match serde_json::from_slice::<Node>(doc) {
        Ok(node) => record(&schema.columns, &node).map_or_else(Verdict::NoRow, Verdict::Row),
        Err(error) if error.to_string().starts_with("number out of range") => Verdict::Unknown,
        Err(_) => Verdict::NotJson,
    }
}

/// A JSON value with the keys of objects as they stand, those that stand twice included.
enum Node {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
                Ok(Node::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
                Ok(Node::Whole(v.into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
                Ok(Node::Whole(v.into()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
                Ok(Node::Float(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Node, E> {
                Ok(Node::Text(v.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Object(entries))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

type Read<T = Val> = Result<T, String>;

fn record(columns: &[Column], node: &Node) -> Read {
    let Node::Object(entries) = node else {
        return Err("no object".into());
    };
    let mut values = Vec::new();
    for column in columns {
        let name = &column.name;
        let found: Vec<&Node> = entries
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, node)| node)
            .collect();
        values.push(match (found[..].first(), found.len(), &column.default) {
            (Some(node), 1, _) => value(column, node).map_err(|e| format!("{name}: {e}"))?,
            (Some(_), ..) => return Err(format!("{name}: twice")),
            (None, _, Some(default)) => {
                let node: Node = serde_json::from_value(default.clone()).expect("a value is JSON");
                value(column, &node)?
            }
            (None, _, None) if column.nullable => Val::Null,
            (None, _, None) => return Err(format!("{name}: missing")),
        });
    }
    Ok(Val::Record(values))
}

fn value(column: &Column, node: &Node) -> Read {
    if matches!(node, Node::Null) {
        return if column.nullable {
            Ok(Val::Null)
        } else {
            Err("null".into())
        };
    }
    match (&column.kind, node) {
        (Kind::Boolean, Node::Bool(b)) => Ok(Val::Bool(*b)),
        (Kind::Int | Kind::Date, Node::Whole(_) | Node::Float(_)) => {
            ranged(scaled(node, 0)?, i32::MIN.into(), i32::MAX.into())
        }
        (Kind::TimeMillis, Node::Whole(_) | Node::Float(_)) => {
            ranged(scaled(node, 0)?, 0, 86_399_999)
        }
        (Kind::TimeMicros, Node::Whole(_) | Node::Float(_)) => {
            ranged(scaled(node, 0)?, 0, 86_399_999_999)
        }
        (
            Kind::Long
            | Kind::TimestampMillis
            | Kind::TimestampMicros
            | Kind::LocalTimestampMillis
            | Kind::LocalTimestampMicros,
            Node::Whole(_) | Node::Float(_),
        ) => ranged(scaled(node, 0)?, i64::MIN.into(), i64::MAX.into()),
        (Kind::Float | Kind::Double, Node::Text(text)) => match text.as_str() {
            "NaN" => Ok(Val::Float(f64::NAN)),
            "Infinity" => Ok(Val::Float(f64::INFINITY)),
            "-Infinity" => Ok(Val::Float(f64::NEG_INFINITY)),
            _ => Err("no number".into()),
        },
        (Kind::Float, Node::Whole(_) | Node::Float(_)) => {
            let narrow = double(node) as f32;
            if narrow.is_finite() {
                Ok(Val::Float(narrow.into()))
            } else {
                Err("range".into())
            }
        }
        (Kind::Double, Node::Whole(_) | Node::Float(_)) => Ok(Val::Float(double(node))),
        (Kind::String, Node::Text(text)) => Ok(Val::Text(text.clone())),
        (Kind::Enum(symbols), Node::Text(text)) if symbols.contains(text) => {
            Ok(Val::Text(text.clone()))
        }
        (Kind::Uuid { .. }, Node::Text(text)) if text.len() == 36 => {
            let id = uuid::Uuid::try_parse(text).map_err(|e| e.to_string())?;
            Ok(Val::Text(id.hyphenated().to_string()))
        }
        (Kind::Bytes, Node::Text(text)) => code_points(text).map(Val::Bytes),
        (Kind::Fixed(size), Node::Text(text)) => {
            let bytes = code_points(text)?;
            if bytes.len() == *size {
                Ok(Val::Bytes(bytes))
            } else {
                Err("size".into())
            }
        }
        (
            Kind::Decimal {
                precision, scale, ..
            },
            Node::Whole(_) | Node::Float(_) | Node::Text(_),
        ) => {
            let limit = 10_i128.pow(u32::from(*precision)) - 1;
            ranged(scaled(node, scale.unsigned_abs())?, -limit, limit)
        }
        (Kind::Record(columns), _) => record(columns, node),
        (Kind::Array(item), Node::List(items)) => items
            .iter()
            .map(|node| value(item, node))
            .collect::<Read<_>>()
            .map(Val::List),
        (Kind::Map(of), Node::Object(entries)) => {
            let keys: HashSet<&String> = entries.iter().map(|(key, _)| key).collect();
            if keys.len() < entries.len() {
                return Err("key twice".into());
            }
            let entry = |(key, node): &(String, Node)| Ok((key.clone(), value(of, node)?));
            entries.iter().map(entry).collect::<Read<_>>().map(Val::Map)
        }
        (kind, Node::Text(text)) => civil(kind, text),
        _ => Err("type".into()),
    }
}

fn ranged(n: i128, low: i128, high: i128) -> Read {
    if (low..=high).contains(&n) {
        Ok(Val::Int(n))
    } else {
        Err("range".into())
    }
}

fn double(node: &Node) -> f64 {
    match node {
        Node::Whole(n) => *n as f64,
        Node::Float(x) => *x,
        _ => unreachable!("numbers only"),
    }
}

/// The number times a power of ten, over its decimal text.
fn scaled(node: &Node, scale: u8) -> Read<i128> {
    let text = match node {
        Node::Whole(n) => n.to_string(),
        // The shortest text that means this double: the document's own digits, if they are few.
        Node::Float(x) => format!("{x:e}"),
        Node::Text(text) => {
            let is_number = serde_json::from_str::<serde_json::Number>(text).is_ok();
            if !is_number || text.trim() != text {
                return Err("no number".into());
            }
            text.clone()
        }
        _ => unreachable!("numbers and text only"),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| "exponent")?;
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or((1, mantissa), |rest| (-1, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.bytes().all(|d| d == b'0') {
        return Ok(0);
    }
    // Where the point stands in the digits when they are scaled.
    let point = whole.len() as i64 + exponent + i64::from(scale);
    if !(-50..60).contains(&point) {
        return Err("range".into());
    }
    let kept: String = (0..point)
        .map(|i| digits.as_bytes().get(i as usize).copied().unwrap_or(b'0') as char)
        .collect();
    let lost = digits
        .bytes()
        .skip(point.max(0) as usize)
        .any(|d| d != b'0');
    if lost {
        return Err("fraction".into());
    }
    kept.parse::<i128>()
        .map(|n| sign * n)
        .map_err(|_| "range".into())
}

fn code_points(text: &str) -> Read<Vec<u8>> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).map_err(|_| "code point".into()))
        .collect()
}

fn civil(kind: &Kind, text: &str) -> Read {
    let bad = |e: chrono::ParseError| e.to_string();
    if !text.is_ascii() {
        return Err("not ASCII".into());
    }
    let (seconds, nanos, millis) = match kind {
        Kind::Date => {
            if text.len() != 10 {
                return Err("form".into());
            }
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(bad)?;
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
            return Ok(Val::Int((date - epoch).num_days().into()));
        }
        Kind::TimeMillis | Kind::TimeMicros => {
            shaped(text, "")?;
            let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").map_err(bad)?;
            let seconds = time.num_seconds_from_midnight();
            (
                i64::from(seconds),
                time.nanosecond(),
                matches!(kind, Kind::TimeMillis),
            )
        }
        Kind::TimestampMillis | Kind::TimestampMicros => {
            let at = DateTime::parse_from_rfc3339(text).map_err(bad)?;
            (
                at.timestamp(),
                at.timestamp_subsec_nanos(),
                matches!(kind, Kind::TimestampMillis),
            )
        }
        Kind::LocalTimestampMillis | Kind::LocalTimestampMicros => {
            let text = text.replacen(['t', ' '], "T", 1);
            shaped(&text, "0000-00-00T")?;
            let at = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f")
                .map_err(bad)?
                .and_utc();
            (
                at.timestamp(),
                at.timestamp_subsec_nanos(),
                matches!(kind, Kind::LocalTimestampMillis),
            )
        }
        _ => return Err("type".into()),
    };
    if nanos >= 1_000_000_000 {
        return Err("second 60".into());
    }
    let (per_second, unit) = if millis {
        (1_000, 1_000_000)
    } else {
        (1_000_000, 1_000)
    };
    if nanos % unit != 0 {
        return Err("too fine".into());
    }
    Ok(Val::Int(
        i128::from(seconds) * per_second + i128::from(nanos / unit),
    ))
}

/// chrono's own formats are lenient about the number of digits: this is not.
fn shaped(text: &str, date: &str) -> Read<()> {
    let shape = format!("{date}00:00:00");
    let fits = text.len() >= shape.len()
        && text.bytes().zip(shape.bytes()).all(|(a, b)| {
            if b == b'0' {
                a.is_ascii_digit()
            } else {
                a == b
            }
        });
    let rest = text.get(shape.len()..).unwrap_or("");
    let fraction = rest
        .strip_prefix('.')
        .is_none_or(|digits| !digits.is_empty());
    if fits && fraction {
        Ok(())
    } else {
        Err("form".into())
    }
}
