//! A value for a key, wherever it was written.
//!
//! ```text
//! TOML value ─┐
//! text        ┴─► of the key's kind, or a problem ─► Assignment
//! ```

use toml::Value;

use super::key::{Key, Kind};
use super::nearest::nearest;
use super::problem::{Origin, Problem};

/// A value of the right kind for a key, or for one property of a key that holds properties.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) key: &'static Key,
    pub(super) property: Option<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What was found where something else was expected, and what to write instead.
pub(super) struct Mismatch {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Assignment {
    /// Takes a TOML value if the key can hold it.
    pub(super) fn from_toml(
        key: &'static Key,
        value: Value,
        origin: Origin,
    ) -> Result<Self, Problem> {
        let fitted = fit(key, value).and_then(|value| {
            (key.accepts)(value.clone()).map_err(|error| Mismatch {
                what: format!("cannot be that: {}", error.message()),
                remedy: expected(key.kind),
            })?;
            Ok(value)
        });
        match fitted {
            Ok(value) => Ok(Self {
                key,
                property: None,
                value,
                origin,
            }),
            Err(mismatch) => Err(mismatch.of(key.path.to_owned(), origin)),
        }
    }

    /// Takes a value that was written as text, in the environment or on the command line.
    pub(super) fn from_text(
        key: &'static Key,
        text: &str,
        named: &str,
        origin: Origin,
    ) -> Result<Self, Problem> {
        match parse(key.kind, text) {
            Ok(value) => Self::from_toml(key, value, origin).map_err(|problem| Problem {
                key: Some(named.to_owned()),
                ..problem
            }),
            Err(mismatch) => Err(mismatch.of(named.to_owned(), origin)),
        }
    }

    /// One property of a key that holds properties.
    pub(super) fn property(
        key: &'static Key,
        name: &str,
        value: &Value,
        origin: Origin,
    ) -> Result<Self, Problem> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Float(number) => number.to_string(),
            other => {
                let mismatch = Mismatch {
                    what: format!("is {}", article(other)),
                    remedy: "write the property's value as text".into(),
                };
                return Err(mismatch.of(format!("{}.{name}", key.path), origin));
            }
        };
        Ok(Self {
            key,
            property: Some(name.to_owned()),
            value: Value::String(text),
            origin,
        })
    }
}

impl Mismatch {
    pub(super) fn of(self, key: String, origin: Origin) -> Problem {
        Problem {
            key: Some(key),
            origin,
            what: self.what,
            remedy: self.remedy,
        }
    }
}

/// What to write for a key of this kind.
pub(super) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "write a text, in quotes".into(),
        Kind::Path => "write a path, in quotes".into(),
        Kind::Integer { signed: false } => "write a whole number of 0 or more".into(),
        Kind::Integer { signed: true } => "write a whole number".into(),
        Kind::Boolean => "write true or false".into(),
        Kind::List => "write a list of texts, such as [\"one\", \"two\"]".into(),
        Kind::Properties | Kind::Table => "write a table".into(),
        Kind::Choice(_) => format!("write one of {kind}"),
    }
}

/// The value as it is if it fits the key.
fn fit(key: &Key, value: Value) -> Result<Value, Mismatch> {
    let fits = match (key.kind, &value) {
        (Kind::Text | Kind::Path, Value::String(_)) | (Kind::Boolean, Value::Boolean(_)) => true,
        (Kind::Integer { signed }, Value::Integer(number)) => {
            if !signed && *number < 0 {
                return Err(Mismatch {
                    what: format!("is {number}, less than 0"),
                    remedy: expected(key.kind),
                });
            }
            true
        }
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_str),
        (Kind::Choice(words), Value::String(word)) => {
            if !words.contains(&word.as_str()) {
                let known = nearest(word, words.iter().copied());
                return Err(Mismatch {
                    what: format!("cannot be `{word}`, the nearest is `{known}`"),
                    remedy: expected(key.kind),
                });
            }
            true
        }
        _ => false,
    };
    if fits {
        Ok(value)
    } else {
        Err(Mismatch {
            what: format!("is {}", article(&value)),
            remedy: expected(key.kind),
        })
    }
}

/// A text as a TOML value of this kind. Lists are TOML arrays or words between commas.
fn parse(kind: Kind, text: &str) -> Result<Value, Mismatch> {
    let refused = || Mismatch {
        what: format!("is `{text}`"),
        remedy: expected(kind).replace(", in quotes", ""),
    };
    match kind {
        Kind::Text | Kind::Path | Kind::Choice(_) => Ok(Value::String(text.to_owned())),
        Kind::Integer { .. } => text
            .trim()
            .replace('_', "")
            .parse()
            .map(Value::Integer)
            .map_err(|_| refused()),
        Kind::Boolean => text
            .trim()
            .parse()
            .map(Value::Boolean)
            .map_err(|_| refused()),
        Kind::List if text.trim_start().starts_with('[') => {
            toml_value(text).filter(Value::is_array).ok_or_else(refused)
        }
        Kind::List => Ok(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(|word| Value::String(word.to_owned()))
                .collect(),
        )),
        Kind::Properties | Kind::Table => inline_table(text).map(Value::Table),
    }
}

/// An inline table. The text is not repeated when it is none: a property may be a secret.
pub(super) fn inline_table(text: &str) -> Result<toml::Table, Mismatch> {
    match toml_value(text) {
        Some(Value::Table(table)) => Ok(table),
        _ => Err(Mismatch {
            what: "is not a table".into(),
            remedy: "write an inline table such as { \"name\" = \"value\" }".into(),
        }),
    }
}

fn toml_value(text: &str) -> Option<Value> {
    let mut table: toml::Table = format!("value = {}", text.trim()).parse().ok()?;
    (table.len() == 1).then(|| table.remove("value")).flatten()
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a point or beyond 64 bits",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
