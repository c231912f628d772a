//! One JSON object a line.
//!
//! line ──► serde_json says whether it is JSON ──► spans of the members ──► cells
//!
//! Owns finding the members. Values are taken as they are written: a number's digits reach the
//! conversion without passing through a float, which serde_json's own numbers would do.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::binding::Columns;
use super::{Cell, CellError, Records, ReplayError};

/// Lines at the beginning of a file that are searched for an object.
const LINES_LOOKED_AT: usize = 100;

/// Records of a file of JSON lines.
#[derive(Debug)]
pub(super) struct Ndjson {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    first_members: Vec<String>,
    wanted: Vec<(String, usize)>,
}

impl Ndjson {
    pub(super) fn open(path: &Path) -> Result<Self, ReplayError> {
        let first_members = first_members(open(path)?);
        Ok(Self {
            path: path.to_owned(),
            reader: open(path)?,
            line: Vec::new(),
            number: 0,
            first_members,
            wanted: Vec::new(),
        })
    }

    fn unreadable(&self, reason: impl Into<String>) -> ReplayError {
        let (path, line) = (self.path.clone(), self.number);
        ReplayError::Line {
            path,
            line,
            error: CellError::Unreadable {
                reason: reason.into(),
            },
        }
    }
}

fn open(path: &Path) -> Result<BufReader<File>, ReplayError> {
    let file = File::open(path).map_err(|source| ReplayError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// Names of the members of the first line that is an object, looked for in a few lines. What is
/// wrong with the others is said when they are read.
fn first_members(reader: BufReader<File>) -> Vec<String> {
    for line in reader
        .split(b'\n')
        .take(LINES_LOOKED_AT)
        .map_while(Result::ok)
    {
        let Ok(text) = std::str::from_utf8(&line) else {
            continue;
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        if serde_json::from_str::<IgnoredAny>(text).is_ok()
            && let Some(inside) = text.strip_prefix('{')
        {
            return (Members { rest: inside }).map(|(name, _)| name).collect();
        }
    }
    Vec::new()
}

impl Records for Ndjson {
    fn columns(&self) -> Columns {
        Columns {
            names: self.first_members.clone(),
            complete: false,
        }
    }

    fn bind(&mut self, wanted: Vec<(String, usize)>) -> Result<(), ReplayError> {
        self.wanted = wanted;
        Ok(())
    }

    fn read(&mut self, cells: &mut [Cell]) -> Result<Option<u64>, ReplayError> {
        let text = loop {
            self.line.clear();
            let read = self.reader.read_until(b'\n', &mut self.line);
            let path = || self.path.clone();
            if read.map_err(|source| ReplayError::Io {
                path: path(),
                source,
            })? == 0
            {
                return Ok(None);
            }
            self.number += 1;
            match std::str::from_utf8(&self.line) {
                Err(_) => return Err(self.unreadable("is not UTF-8")),
                Ok(text) => {
                    let text = text.trim_start_matches('\u{feff}').trim();
                    if !text.is_empty() {
                        break text;
                    }
                }
            }
        };
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            return Err(self.unreadable(format!("is not JSON: {error}")));
        }
        for (_, cell) in &self.wanted {
            cells[*cell].clear();
        }
        let Some(inside) = text.strip_prefix('{') else {
            return Err(self.unreadable("is not a JSON object"));
        };
        for (key, value) in (Members { rest: inside }) {
            for (_, cell) in self.wanted.iter().filter(|(name, _)| *name == key) {
                fill(&mut cells[*cell], value);
            }
        }
        Ok(Some(self.number))
    }
}

/// Strings without their quotes and escapes, null as nothing, everything else as it stands there.
fn fill(cell: &mut Cell, value: &str) {
    match value.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<String>(value) {
            Ok(text) => cell.set(&text),
            Err(_) => cell.clear(),
        },
        Some(b'n') => cell.clear(),
        _ => cell.set(value),
    }
}

/// Keys and values of an object that is known to be valid JSON. On anything else it ends early.
struct Members<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Members<'a> {
    type Item = (String, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let at_key = self.rest.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        let key_length = value_length(at_key)?;
        let key = serde_json::from_str(at_key.get(..key_length)?).ok()?;
        let after_key = at_key.get(key_length..)?.trim_start();
        let at_value = after_key.strip_prefix(':')?.trim_start();
        let length = value_length(at_value)?;
        self.rest = at_value.get(length..)?;
        Some((key, at_value.get(..length)?.trim_end()))
    }
}

/// Length in bytes of the value that a valid text begins with; `None` at the end of the object.
/// Nested values are passed over by counting brackets, not by recursion.
fn value_length(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return (at > 0).then_some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<(String, &str)> {
        Members {
            rest: text.strip_prefix('{').unwrap(),
        }
        .collect()
    }

    #[test]
    fn members_are_found_whatever_stands_around_them() {
        let text = r#"{ "a" : 12.30 , "b\"}":"x,\"y}\\", "c":{"d":[1,{"e":"]"}]},"f":null,"\u00e9":-1e5 }"#;
        let expected = [
            ("a", "12.30"),
            ("b\"}", r#""x,\"y}\\""#),
            ("c", r#"{"d":[1,{"e":"]"}]}"#),
            ("f", "null"),
            ("é", "-1e5"),
        ];
        let expected: Vec<(String, &str)> = expected
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect();
        assert_eq!(members(text), expected);
        assert_eq!(members("{}"), []);
        assert_eq!(members("{ }"), []);
    }

    #[test]
    fn nothing_panics_on_what_is_no_json() {
        for text in [
            "{",
            "{,",
            "{\"",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":\"é",
            "{]",
            "{é",
            "{\"a\":}",
        ] {
            assert!(members(text).is_empty(), "{text}");
        }
    }
}
