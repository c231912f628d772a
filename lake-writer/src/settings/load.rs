//! File, environment and command line to settings that are known to be sound.
//!
//! ```text
//! defaults ◄─ file ◄─ environment ◄─ --set      the right one is stronger
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Value;

use super::assign::Assignment;
use super::key::{ENV_PREFIX, Kind, env_name};
use super::problem::{Origin, Problem, SettingsError};
use super::{Settings, check, env, file};

/// The settings file that is read when none is named, if there is one.
const DEFAULT_FILE: &str = "lake-writer.toml";

/// Where to look for settings.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file; `None` reads none.
    pub file: Option<PathBuf>,
    /// Environment variables; those of others are passed over.
    pub env: Vec<(OsString, OsString)>,
    /// `key=value` from the command line.
    pub flags: Vec<String>,
}

impl Sources {
    /// The file named, or else `lake-writer.toml` in the working folder if it is there; and the
    /// process's own environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<String>) -> Self {
        let default = PathBuf::from(DEFAULT_FILE);
        Self {
            file: file.or_else(|| default.exists().then_some(default)),
            env: std::env::vars_os().collect(),
            flags,
        }
    }
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values, checked.
    pub settings: Settings,
    /// The file that was read.
    pub file: Option<PathBuf>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of a key, or of a property (`source.kafka.client.sasl.password`), comes
    /// from.
    pub fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }
}

/// Reads and checks settings. Nothing is opened but the settings file and files of secrets.
///
/// # Errors
/// All problems at once, each naming its key, its place and its remedy.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let (assignments, mut problems) = read(sources);
    let mut stronger = BTreeMap::new();
    for assignment in assignments {
        stronger.insert(
            (assignment.key.path, assignment.property.clone()),
            assignment,
        );
    }
    let assignments = secrets_read(stronger.into_values().collect(), &mut problems);

    let mut origins = BTreeMap::new();
    let mut table = toml::Table::new();
    for assignment in assignments {
        origins.insert(full_path(&assignment), assignment.origin.clone());
        place(&mut table, assignment);
    }
    let settings: Settings = match table.try_into() {
        Ok(settings) => settings,
        Err(error) => {
            problems.push(Problem {
                key: None,
                origin: Origin::Default,
                what: format!("do not fit together: {}", error.message()),
                remedy: "correct the values named".into(),
            });
            return Err(SettingsError { problems });
        }
    };

    let loaded = Loaded {
        settings,
        file: sources.file.clone(),
        origins,
    };
    for mut problem in check::check(&loaded.settings) {
        let key = problem.key.clone().unwrap_or_default();
        if !problems.iter().any(|earlier| is_about(earlier, &key)) {
            problem.origin = loaded.origin(&key);
            problems.push(problem);
        }
    }
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => usize::MAX,
    });
    if problems.is_empty() {
        Ok(loaded)
    } else {
        Err(SettingsError { problems })
    }
}

/// All assignments, the weaker first.
fn read(sources: &Sources) -> (Vec<Assignment>, Vec<Problem>) {
    let (mut assignments, mut problems) = match &sources.file {
        None => (Vec::new(), Vec::new()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => file::parse(path, &text),
            Err(error) => (Vec::new(), vec![unreadable(path, None, &error)]),
        },
    };
    let mut spoken = Vec::new();
    for (name, text) in &sources.env {
        match (name.to_str(), text.to_str()) {
            (Some(name), Some(text)) => spoken.extend(env::variable(name, text)),
            (Some(name), None) if name.starts_with(ENV_PREFIX) => spoken.push(Err(Problem {
                key: Some(name.to_owned()),
                origin: Origin::Default,
                what: "is not UTF-8".into(),
                remedy: "write it in UTF-8".into(),
            })),
            _ => {}
        }
    }
    spoken.extend(sources.flags.iter().flat_map(|flag| env::flag(flag)));
    for taken in spoken {
        match taken {
            Ok(assignment) => assignments.push(assignment),
            Err(problem) => problems.push(problem),
        }
    }
    for assignment in &mut assignments {
        from_file_folder(assignment);
    }
    (assignments, problems)
}

/// A relative path in a file counts from that file's folder, so that the file can be used from
/// anywhere.
fn from_file_folder(assignment: &mut Assignment) {
    let is_path = assignment.key.kind == Kind::Path
        || assignment
            .property
            .as_deref()
            .is_some_and(|name| name.ends_with(FROM_FILE));
    if let (true, Origin::File { path, .. }, Value::String(value)) =
        (is_path, &assignment.origin, &mut assignment.value)
    {
        let folder = path.parent().unwrap_or(Path::new(""));
        *value = folder.join(&*value).to_string_lossy().into_owned();
    }
}

/// At the end of a property's name: the value stands in the file named.
const FROM_FILE: &str = "_file";

/// Replaces `name_file` properties by `name` with the file's content.
fn secrets_read(assignments: Vec<Assignment>, problems: &mut Vec<Problem>) -> Vec<Assignment> {
    let given: Vec<String> = assignments.iter().map(full_path).collect();
    let mut read = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        let named = full_path(&assignment);
        let target = assignment
            .property
            .as_deref()
            .and_then(|name| name.strip_suffix(FROM_FILE));
        let (Some(target), Some(path)) = (target, assignment.value.as_str()) else {
            read.push(assignment);
            continue;
        };
        let target_path = format!("{}.{target}", assignment.key.path);
        if given.contains(&target_path) {
            problems.push(Problem {
                what: format!("is set beside `{target_path}`"),
                remedy: "remove one of them".into(),
                key: Some(named),
                origin: assignment.origin,
            });
            continue;
        }
        match std::fs::read_to_string(path) {
            Ok(secret) => read.push(Assignment {
                key: assignment.key,
                property: Some(target.to_owned()),
                value: Value::String(secret.trim_end_matches(['\r', '\n']).to_owned()),
                origin: Origin::SecretFile(path.into()),
            }),
            Err(error) => problems.push(Problem {
                origin: assignment.origin.clone(),
                ..unreadable(Path::new(path), Some(named), &error)
            }),
        }
    }
    read
}

fn unreadable(path: &Path, key: Option<String>, error: &std::io::Error) -> Problem {
    Problem {
        key,
        origin: Origin::Default,
        what: format!("cannot be read: `{}`: {error}", path.display()),
        remedy: "name a readable text file".into(),
    }
}

fn full_path(assignment: &Assignment) -> String {
    match &assignment.property {
        Some(property) => format!("{}.{property}", assignment.key.path),
        None => assignment.key.path.to_owned(),
    }
}

/// Puts a value where the struct expects it.
fn place(table: &mut toml::Table, assignment: Assignment) {
    let mut at = table;
    let mut names: Vec<&str> = assignment.key.path.split('.').collect();
    if let Some(property) = &assignment.property {
        names.push(property);
    }
    let Some(last) = names.pop() else { return };
    for name in names {
        let inner = at
            .entry(name)
            .or_insert_with(|| Value::Table(toml::Table::new()));
        let Value::Table(inner) = inner else { return };
        at = inner;
    }
    at.insert(last.to_owned(), assignment.value);
}

fn is_about(problem: &Problem, key: &str) -> bool {
    problem
        .key
        .as_deref()
        .is_some_and(|named| named == key || named == env_name(key))
}
