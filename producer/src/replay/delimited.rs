//! Delimited text: CSV and its relatives, quoted as RFC 4180 has it, with a header line.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::binding::Columns;
use super::{Cell, CellError, Records, ReplayError};

/// Records of a delimited file.
#[derive(Debug)]
pub(super) struct Delimited {
    path: PathBuf,
    reader: csv::Reader<File>,
    header: Vec<String>,
    /// Index of the column, index of the cell.
    wanted: Vec<(usize, usize)>,
    record: csv::StringRecord,
}

impl Delimited {
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<Self, ReplayError> {
        let file = File::open(path).map_err(|source| ReplayError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .from_reader(file);
        let header = reader.headers().map_err(|error| malformed(path, &error))?;
        let header = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim().to_owned())
            .collect();
        let (path, record) = (path.to_owned(), csv::StringRecord::new());
        Ok(Self {
            path,
            reader,
            header,
            wanted: Vec::new(),
            record,
        })
    }
}

impl Records for Delimited {
    fn columns(&self) -> Columns {
        Columns {
            names: self.header.clone(),
            complete: true,
        }
    }

    fn bind(&mut self, wanted: Vec<(String, usize)>) -> Result<(), ReplayError> {
        self.wanted = wanted
            .into_iter()
            .filter_map(|(name, cell)| {
                self.header
                    .iter()
                    .position(|column| *column == name)
                    .map(|at| (at, cell))
            })
            .collect();
        Ok(())
    }

    fn read(&mut self, cells: &mut [Cell]) -> Result<Option<u64>, ReplayError> {
        let more = self.reader.read_record(&mut self.record);
        if !more.map_err(|error| malformed(&self.path, &error))? {
            return Ok(None);
        }
        for &(column, cell) in &self.wanted {
            match self.record.get(column) {
                Some(text) => cells[cell].set(text),
                None => cells[cell].clear(),
            }
        }
        Ok(Some(self.record.position().map_or(0, csv::Position::line)))
    }
}

/// A line that cannot be taken apart leaves the lines after it readable; anything else does not.
fn malformed(path: &Path, error: &csv::Error) -> ReplayError {
    let path = path.to_owned();
    match (error.kind(), error.position().map(csv::Position::line)) {
        (
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            },
            Some(line),
        ) => {
            let reason = format!("has {len} values, but the header has {expected_len}");
            ReplayError::Line {
                path,
                line,
                error: CellError::Unreadable { reason },
            }
        }
        (csv::ErrorKind::Utf8 { .. }, Some(line)) => {
            let reason = "is not UTF-8; convert the file first, as with iconv".to_owned();
            ReplayError::Line {
                path,
                line,
                error: CellError::Unreadable { reason },
            }
        }
        _ => ReplayError::Malformed {
            path,
            format: "CSV",
            reason: error.to_string(),
        },
    }
}
