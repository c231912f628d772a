//! The settings file: TOML text to assignments, each knowing its line.

use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::Settings;
use super::assign::Assignment;
use super::key::{Key, Kind};
use super::nearest::nearest_key;
use super::problem::{Origin, Problem};

/// Everything that a settings file assigns, and everything that is wrong with it.
pub(super) fn parse(path: &Path, text: &str) -> (Vec<Assignment>, Vec<Problem>) {
    let mut walk = Walk {
        path,
        text,
        assignments: Vec::new(),
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        // Only the message: the error's own print shows the line, which may hold a secret.
        walk.problems.push(Problem {
            key: None,
            origin: walk.origin(error.span().map_or(0, |span| span.start)),
            what: format!("is not TOML: {}", error.message()),
            remedy: "correct the line".into(),
        });
    }
    if walk.problems.is_empty() {
        walk.table("", table.get_ref());
    }
    (walk.assignments, walk.problems)
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    assignments: Vec<Assignment>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(name.span().start);
            let path = join(prefix, name.get_ref());
            let known = Settings::keys().find(|key| key.path == path);
            match (known, value.get_ref()) {
                (Some(key), DeValue::Table(table)) if key.kind == Kind::Properties => {
                    self.properties(key, "", table);
                }
                (Some(key), value) => self.take(Assignment::from_toml(key, owned(value), origin)),
                (None, DeValue::Table(table)) if is_table(&path) => self.table(&path, table),
                (None, _) if is_table(&path) => self.problems.push(Problem {
                    what: "is a table, not a value".into(),
                    remedy: format!("write [{path}] and its keys below"),
                    key: Some(path),
                    origin,
                }),
                (None, _) => self.problems.push(Problem {
                    what: "is not a known key".into(),
                    remedy: format!("the nearest known one is `{}`", nearest_key(&path)),
                    key: Some(path),
                    origin,
                }),
            }
        }
    }

    /// `security.protocol = "SSL"` without quotes is a table inside a table to TOML; it is taken as
    /// the property that was meant.
    fn properties(&mut self, key: &'static Key, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(name.span().start);
            let property = join(prefix, name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.properties(key, &property, inner),
                value => self.take(Assignment::property(key, &property, &owned(value), origin)),
            }
        }
    }

    fn take(&mut self, taken: Result<Assignment, Problem>) {
        match taken {
            Ok(assignment) => self.assignments.push(assignment),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn origin(&self, byte: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(byte);
        Origin::File {
            path: self.path.to_owned(),
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn is_table(path: &str) -> bool {
    Settings::keys().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn owned(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        // A number beyond 64 bits is no number that a key could take.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(moment) => Value::Datetime(*moment),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| owned(item.get_ref())).collect())
        }
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(name, value)| (name.get_ref().to_string(), owned(value.get_ref())))
                .collect(),
        ),
    }
}
