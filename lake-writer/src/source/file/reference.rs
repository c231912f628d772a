//! A reference table: rows of a CSV file by a key, read again when the file has changed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use csv::ReaderBuilder;

/// Rows of a reference table as they were at one moment.
#[derive(Debug, Default)]
pub struct ReferenceRows {
    columns: Vec<String>,
    by_key: HashMap<String, Vec<String>>,
}

/// By what a changed file is told: when it was written, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// A reference table that follows its file.
#[derive(Debug)]
pub struct ReferenceTable {
    file: PathBuf,
    key: String,
    now: Mutex<(Stamp, Arc<ReferenceRows>)>,
}

impl ReferenceTable {
    /// Reads the file.
    ///
    /// # Errors
    /// In words: when it cannot be read, has no such key, or has a key twice.
    pub fn open(file: &Path, key: &str) -> Result<Self, String> {
        // The stamp first: a change while the file is read is seen next time.
        let stamp = stamp(file);
        let rows = Arc::new(ReferenceRows::read(file, key)?);
        Ok(Self {
            file: file.to_owned(),
            key: key.to_owned(),
            now: Mutex::new((stamp, rows)),
        })
    }

    /// The rows of now. A file that was changed and cannot be read is said once, and the rows before
    /// go on to count: what was written already was written by them as well.
    pub fn rows(&self) -> Arc<ReferenceRows> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.file);
        if stamp != now.0 {
            now.0 = stamp;
            match ReferenceRows::read(&self.file, &self.key) {
                Ok(rows) => {
                    let keys = rows.by_key.len();
                    tracing::info!(file = %self.file.display(), keys, "a reference table was read again");
                    now.1 = Arc::new(rows);
                }
                Err(problem) => tracing::warn!(
                    file = %self.file.display(), problem,
                    "a reference table has changed and cannot be read; what it held before is used on"
                ),
            }
        }
        now.1.clone()
    }
}

impl ReferenceRows {
    fn read(file: &Path, key: &str) -> Result<Self, String> {
        let failed = |error: csv::Error| format!("{}: {error}", file.display());
        let mut reader = ReaderBuilder::new().from_path(file).map_err(failed)?;
        let header = reader.headers().map_err(failed)?;
        let name = |text: &str| text.trim_start_matches('\u{feff}').trim().to_owned();
        let columns: Vec<String> = header.iter().map(name).collect();
        let at = columns
            .iter()
            .position(|column| column == key)
            .ok_or_else(|| {
                let there = columns.join(", ");
                format!(
                    "{} has no column `{key}`; there are {there}",
                    file.display()
                )
            })?;
        let mut by_key = HashMap::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(failed)?;
            let row: Vec<String> = record.iter().map(str::to_owned).collect();
            let key = row[at].clone();
            if by_key.insert(key, row).is_some() {
                return Err(format!(
                    "{}: record {line} has a key that another has too",
                    file.display()
                ));
            }
        }
        Ok(Self { columns, by_key })
    }

    /// Index of a column; in words which there are, when it is not one of them.
    ///
    /// # Errors
    /// As said.
    pub fn column(&self, name: &str) -> Result<usize, String> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| {
            format!(
                "it has no column `{name}`; there are {}",
                self.columns.join(", ")
            )
        })
    }

    /// The value of a column in the row of a key; an empty one is none.
    pub fn value(&self, key: &str, column: usize) -> Option<&str> {
        let value = self.by_key.get(key)?.get(column)?;
        (!value.is_empty()).then_some(value)
    }
}

fn stamp(file: &Path) -> Stamp {
    let facts = fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}
