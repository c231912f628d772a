//! The settings in force, each with its origin, without secrets.

use std::fmt::Write as _;

use serde::Serialize;
use toml::Value;

use super::key::{Kind, REDACTED, is_secret};
use super::{Loaded, Settings};

/// One key, or one property of a key that holds properties.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Dotted name.
    pub key: String,
    /// The value in force; null where there is none.
    pub value: Option<Value>,
    /// Where it comes from, in words.
    pub origin: String,
}

/// Every key with its value and origin, in the order of [`Settings::keys`].
pub fn effective(loaded: &Loaded) -> Vec<Line> {
    let values = Value::try_from(&loaded.settings).unwrap_or(Value::Table(toml::Table::new()));
    let mut lines = Vec::new();
    for key in Settings::keys() {
        let value = at(&values, key.path);
        match (key.kind, value) {
            (Kind::Properties, Some(Value::Table(properties))) => {
                for (name, value) in properties {
                    let path = format!("{}.{name}", key.path);
                    let shown = if is_secret(name) {
                        Value::String(REDACTED.into())
                    } else {
                        value.clone()
                    };
                    lines.push(Line {
                        origin: loaded.origin(&path).to_string(),
                        key: path,
                        value: Some(shown),
                    });
                }
            }
            (_, value) => lines.push(Line {
                key: key.path.into(),
                value: value.cloned(),
                origin: loaded.origin(key.path).to_string(),
            }),
        }
    }
    lines
}

/// The same as a settings file, with origins as comments.
pub fn effective_toml(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut table = "";
    let lines = effective(loaded);
    for line in &lines {
        let (head, name) = head_and_name(&line.key);
        if head != table {
            let gap = if table.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{head}]");
            table = head;
        }
        let assignment = match &line.value {
            Some(value) => format!("{name} = {value}"),
            None => format!("# {name} is not set"),
        };
        let _ = writeln!(text, "{assignment:<48} # {}", line.origin);
    }
    text
}

/// The table of a key and its name in there, quoted where it must be.
fn head_and_name(path: &str) -> (&str, String) {
    for key in Settings::keys().filter(|key| key.kind == Kind::Properties) {
        if let Some(property) = path
            .strip_prefix(key.path)
            .and_then(|rest| rest.strip_prefix('.'))
        {
            return (key.path, Value::String(property.into()).to_string());
        }
    }
    let (head, name) = path.rsplit_once('.').unwrap_or(("", path));
    (head, name.to_owned())
}

/// The value at a dotted path.
pub(super) fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(values, |value, name| value.get(name))
}
