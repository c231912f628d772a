//! NDJSON: every line is a document already.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{FileError, FileOptions, FileRows, io_error};

/// Longest line: as the largest message that a broker takes with usual settings, many times over.
const MAX_LINE: usize = 64 << 20;

/// Lines that are not blank.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path, options: &FileOptions) -> Result<Self, FileError> {
        if let Some((column, field)) = options.map.0.first() {
            return Err(FileError::Map {
                column: column.clone(),
                field: field.clone(),
                problem: "members of NDJSON cannot be renamed; rename them with another tool"
                    .into(),
            });
        }
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 18, file),
            number: 0,
        })
    }

    /// Takes a line without its end; false at the end of the file.
    fn line(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        loop {
            let failed = |source| io_error(&self.path, source);
            let there = self.reader.fill_buf().map_err(failed)?;
            if there.is_empty() {
                return Ok(!document.is_empty());
            }
            let end = memchr::memchr(b'\n', there);
            let taken = end.unwrap_or(there.len());
            document.extend_from_slice(&there[..taken]);
            self.reader.consume(end.map_or(taken, |end| end + 1));
            if document.len() > MAX_LINE {
                let reason = format!("line {} is longer than 64 MiB", self.number + 1);
                return Err(super::malformed(&self.path, "NDJSON", &reason));
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl FileRows for Lines {
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        loop {
            document.clear();
            if !self.line(document)? {
                return Ok(false);
            }
            self.number += 1;
            if self.number == 1 && document.starts_with(b"\xEF\xBB\xBF") {
                document.drain(..3);
            }
            if !document.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}
