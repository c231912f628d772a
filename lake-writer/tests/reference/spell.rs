//! A value as JSON text, in one of the many spellings that mean the same.

use std::fmt::Write as _;

use chrono::DateTime;
use lake_writer::table::{Column, Kind, Schema};
use rand::Rng;
use rand::rngs::SmallRng;

use super::Val;

/// The document of a row.
pub(crate) fn document(rng: &mut SmallRng, schema: &Schema, row: &Val) -> Vec<u8> {
    let mut speller = Speller {
        out: String::new(),
        spaces: rng.random_ratio(1, 3),
        shuffle: rng.random_ratio(1, 2),
        rng,
    };
    speller.space();
    speller.record(&schema.columns, row);
    speller.space();
    speller.out.into_bytes()
}

struct Speller<'a> {
    rng: &'a mut SmallRng,
    out: String,
    spaces: bool,
    shuffle: bool,
}

impl Speller<'_> {
    fn space(&mut self) {
        if self.spaces && self.rng.random_ratio(1, 2) {
            self.out
                .push_str([" ", "\n", "\t", "\r\n", "   "][self.rng.random_range(0..5)]);
        }
    }

    fn token(&mut self, token: &str) {
        self.space();
        self.out.push_str(token);
        self.space();
    }

    fn record(&mut self, columns: &[Column], row: &Val) {
        let Val::Record(values) = row else {
            panic!("a record")
        };
        let mut fields: Vec<(&Column, &Val)> = columns.iter().zip(values).collect();
        // Null may be left out where it is also what a missing field becomes.
        fields.retain(|(column, value)| {
            !(**value == Val::Null && column.default.is_none() && self.rng.random_ratio(1, 2))
        });
        if self.shuffle {
            for i in (1..fields.len()).rev() {
                fields.swap(i, self.rng.random_range(0..=i));
            }
        }
        self.out.push('{');
        let mut first = true;
        for (column, value) in fields {
            if self.rng.random_ratio(1, 12) {
                let unknown = r#""inconnu": {"é": [1, -2.5e3, "\ud83d\ude00", {}, []], "": null}"#;
                self.out.push_str(if first { "" } else { "," });
                self.token(unknown);
                first = false;
            }
            self.out.push_str(if first { "" } else { "," });
            first = false;
            self.space();
            self.string(&column.name);
            self.token(":");
            self.value(column, value);
            self.space();
        }
        self.space();
        self.out.push('}');
    }

    fn value(&mut self, column: &Column, value: &Val) {
        match (&column.kind, value) {
            (_, Val::Null) => self.out.push_str("null"),
            (_, Val::Bool(true)) => self.out.push_str("true"),
            (_, Val::Bool(false)) => self.out.push_str("false"),
            (Kind::Decimal { scale, .. }, Val::Int(n)) => {
                let text = self.number(*n, scale.unsigned_abs());
                if self.rng.random() {
                    self.string(&text);
                } else {
                    self.out.push_str(&text);
                }
            }
            (kind, Val::Int(n)) => match self.civil(kind, *n) {
                Some(text) if self.rng.random() => self.string(&text),
                _ => {
                    let text = self.number(*n, 0);
                    self.out.push_str(&text);
                }
            },
            (kind, Val::Float(x)) => self.float(kind, *x),
            (_, Val::Text(text)) if matches!(column.kind, Kind::Uuid { .. }) => {
                let text = if self.rng.random() {
                    text.to_uppercase()
                } else {
                    text.clone()
                };
                self.string(&text);
            }
            (_, Val::Text(text)) => self.string(text),
            (_, Val::Bytes(bytes)) => {
                let text: String = bytes.iter().copied().map(char::from).collect();
                self.string(&text);
            }
            (Kind::Record(columns), row) => self.record(columns, row),
            (Kind::Array(item), Val::List(items)) => {
                self.out.push('[');
                self.space();
                for (i, value) in items.iter().enumerate() {
                    if i > 0 {
                        self.token(",");
                    }
                    self.value(item, value);
                }
                self.space();
                self.out.push(']');
            }
            (Kind::Map(of), Val::Map(entries)) => {
                self.out.push('{');
                self.space();
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        self.token(",");
                    }
                    self.string(key);
                    self.token(":");
                    self.value(of, value);
                }
                self.space();
                self.out.push('}');
            }
            (kind, value) => panic!("{value:?} is no {kind:?}"),
        }
    }

    /// A number with so many digits behind the point, with or without an exponent.
    fn number(&mut self, unscaled: i128, scale: u8) -> String {
        let sign = if unscaled < 0 { "-" } else { "" };
        let digits = unscaled.unsigned_abs().to_string();
        let scale = usize::from(scale);
        match self.rng.random_range(0..4) {
            0 => format!("{sign}{digits}e-{scale}"),
            // A zero more would stand in front.
            1 if unscaled != 0 => format!("{sign}{digits}000E{}", -(scale as i64) - 3),
            2 => format!("{sign}0.{digits}e{:+}", digits.len() as i64 - scale as i64),
            _ => {
                let digits = format!("{digits:0>width$}", width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let zeros = "0".repeat(self.rng.random_range(0..3));
                let fraction = format!("{fraction}{zeros}");
                let point = if fraction.is_empty() { "" } else { "." };
                format!("{sign}{whole}{point}{fraction}")
            }
        }
    }

    fn float(&mut self, kind: &Kind, x: f64) {
        let text = if x.is_nan() {
            "\"NaN\"".to_owned()
        } else if x.is_infinite() {
            if x > 0.0 {
                "\"Infinity\"".to_owned()
            } else {
                "\"-Infinity\"".to_owned()
            }
        } else {
            match (matches!(kind, Kind::Float), self.rng.random()) {
                (true, true) => format!("{}", x as f32),
                (true, false) => format!("{:E}", x as f32),
                (false, true) => format!("{x}"),
                (false, false) => format!("{x:e}"),
            }
        };
        self.out.push_str(&text);
    }

    /// Dates and times as text.
    fn civil(&mut self, kind: &Kind, n: i128) -> Option<String> {
        let day = 86_400;
        let (seconds, per_second) = match kind {
            Kind::Date => (n * day, 1),
            Kind::TimeMillis | Kind::TimestampMillis | Kind::LocalTimestampMillis => {
                (n.div_euclid(1_000), 1_000)
            }
            Kind::TimeMicros | Kind::TimestampMicros | Kind::LocalTimestampMicros => {
                (n.div_euclid(1_000_000), 1_000_000)
            }
            _ => return None,
        };
        let zoned = matches!(kind, Kind::TimestampMillis | Kind::TimestampMicros);
        let offset = if zoned {
            self.rng.random_range(-1_439..1_440)
        } else {
            0
        };
        let at = DateTime::from_timestamp(i64::try_from(seconds).ok()? + offset * 60, 0)?;
        let fraction = self.fraction(n.rem_euclid(per_second), per_second);
        Some(match kind {
            Kind::Date => at.format("%Y-%m-%d").to_string(),
            Kind::TimeMillis | Kind::TimeMicros => format!("{}{fraction}", at.format("%H:%M:%S")),
            _ => {
                let separator = ["T", "t", " "][self.rng.random_range(0..3)];
                let zone = match (zoned, offset) {
                    (false, _) => String::new(),
                    (true, 0) => "Z".to_owned(),
                    (true, _) => {
                        let sign = if offset < 0 { '-' } else { '+' };
                        format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
                    }
                };
                let (date, time) = (at.format("%Y-%m-%d"), at.format("%H:%M:%S"));
                format!("{date}{separator}{time}{fraction}{zone}")
            }
        })
    }

    fn fraction(&mut self, units: i128, per_second: i128) -> String {
        if per_second == 1 || (units == 0 && self.rng.random()) {
            return String::new();
        }
        let width = if per_second == 1_000 { 3 } else { 6 };
        let digits = format!("{units:0>width$}");
        match self.rng.random_range(0..3) {
            0 => format!(".{digits}"),
            1 => format!(".{digits}000"),
            _ => format!(".{}0", digits.trim_end_matches('0')),
        }
    }

    /// A string in which any character may be escaped, and some must.
    fn string(&mut self, text: &str) {
        let escaping = self.rng.random_ratio(1, 3);
        self.out.push('"');
        for c in text.chars() {
            let short = match c {
                '"' => Some("\\\""),
                '\\' => Some("\\\\"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                '\t' => Some("\\t"),
                '\u{8}' => Some("\\b"),
                '\u{c}' => Some("\\f"),
                '/' => Some("\\/"),
                _ => None,
            };
            let must = c < ' ' || matches!(c, '"' | '\\');
            let escaped = must || (escaping && self.rng.random_ratio(1, 3));
            if !escaped {
                self.out.push(c);
            } else if let Some(short) = short.filter(|_| self.rng.random()) {
                self.out.push_str(short);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    if self.rng.random() {
                        write!(self.out, "\\u{unit:04x}").expect("a String takes all");
                    } else {
                        write!(self.out, "\\u{unit:04X}").expect("a String takes all");
                    }
                }
            }
        }
        self.out.push('"');
    }
}
