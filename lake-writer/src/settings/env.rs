//! Settings as text: the environment and `--set`.
//!
//! `LAKE_WRITER__TABLE__URL` is `table.url`. A property of `source.kafka.client` follows its key,
//! with `_` for the dot: `LAKE_WRITER__SOURCE__KAFKA__CLIENT__SECURITY_PROTOCOL`; `__FILE` at the
//! end names a file that holds the value. Property names that are not made of lower-case letters,
//! digits and dots are given as a whole, as an inline TOML table.

use toml::Value;

use super::Settings;
use super::assign::Assignment;
use super::key::{ENV_PREFIX, Key, Kind, env_name};
use super::nearest::nearest_key;
use super::problem::{Origin, Problem};

/// The few librdkafka properties whose names have an underscore.
const UNDERSCORED: [&str; 2] = ["log_level", "enabled_events"];

/// What one environment variable assigns; nothing if it is not one of ours.
pub(super) fn variable(name: &str, text: &str) -> Vec<Result<Assignment, Problem>> {
    let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
        return Vec::new();
    };
    let origin = Origin::Env(name.to_owned());
    let path = rest.to_ascii_lowercase().replace("__", ".");
    if let Some((key, property)) = property_of(&path) {
        let value = Value::String(text.to_owned());
        return vec![Assignment::property(
            key,
            &property_name(property),
            &value,
            origin,
        )];
    }
    whole(&path, text, name, origin).unwrap_or_else(|| {
        vec![Err(Problem {
            key: Some(name.to_owned()),
            origin: Origin::Default,
            what: "is not a known environment variable".into(),
            remedy: format!(
                "the nearest known one is `{}`",
                env_name(nearest_key(&path))
            ),
        })]
    })
}

/// What one `--set key=value` assigns.
pub(super) fn flag(assignment: &str) -> Vec<Result<Assignment, Problem>> {
    let Some((path, text)) = assignment.split_once('=') else {
        return vec![Err(Problem {
            key: None,
            origin: Origin::Flag,
            what: "has no `=`".into(),
            remedy: "write --set key=value, such as --set rotation.max_rows=100000".into(),
        })];
    };
    let path = path.trim();
    if let Some((key, property)) = property_of(path) {
        let value = Value::String(text.to_owned());
        return vec![Assignment::property(key, property, &value, Origin::Flag)];
    }
    whole(path, text, path, Origin::Flag).unwrap_or_else(|| {
        vec![Err(Problem {
            key: Some(path.to_owned()),
            origin: Origin::Flag,
            what: "is not a known key".into(),
            remedy: format!("the nearest known one is `{}`", nearest_key(path)),
        })]
    })
}

/// A key with its whole value; `None` if there is no such key.
fn whole(
    path: &str,
    text: &str,
    named: &str,
    origin: Origin,
) -> Option<Vec<Result<Assignment, Problem>>> {
    let key = Settings::keys().find(|key| key.path == path)?;
    if key.kind != Kind::Properties {
        return Some(vec![Assignment::from_text(key, text, named, origin)]);
    }
    Some(match super::assign::inline_table(text) {
        Ok(table) => table
            .iter()
            .map(|(name, value)| Assignment::property(key, name, value, origin.clone()))
            .collect(),
        Err(mismatch) => vec![Err(mismatch.of(named.to_owned(), origin))],
    })
}

fn property_of(path: &str) -> Option<(&'static Key, &str)> {
    Settings::keys()
        .filter(|key| key.kind == Kind::Properties)
        .find_map(|key| {
            let property = path.strip_prefix(key.path)?.strip_prefix('.')?;
            Some((key, property))
        })
}

/// `sasl_mechanism` to `sasl.mechanism`, `sasl_password.file` to `sasl.password_file`.
fn property_name(spoken: &str) -> String {
    let (spoken, file) = match spoken.strip_suffix(".file") {
        Some(name) => (name, "_file"),
        None => (spoken, ""),
    };
    let name = if UNDERSCORED.contains(&spoken) {
        spoken.to_owned()
    } else {
        spoken.replace('_', ".")
    };
    name + file
}
