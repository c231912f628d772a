//! CSV: each record becomes a JSON object by the names in the first line.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::table::{Kind, Schema};

use super::spelling::{push_name, push_string, push_value};
use super::{FileError, FileOptions, FileRows, io_error, malformed};

/// A field of the schema and where its text stands.
#[derive(Debug)]
struct Cell {
    at: usize,
    name: String,
    kind: Kind,
    nullable: bool,
    has_default: bool,
}

/// Records of a CSV file.
#[derive(Debug)]
pub(super) struct Delimited {
    path: PathBuf,
    reader: Reader<File>,
    record: ByteRecord,
    cells: Vec<Cell>,
    unknown: Vec<String>,
}

impl Delimited {
    pub(super) fn open(
        path: &Path,
        options: &FileOptions,
        schema: &Schema,
    ) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        let mut reader = ReaderBuilder::new()
            .delimiter(options.delimiter)
            .buffer_capacity(1 << 18)
            .from_reader(file);
        let header = reader
            .headers()
            .map_err(|error| malformed(path, "CSV", &error))?;
        let name = |text: &str| text.trim_start_matches('\u{feff}').trim().to_owned();
        let columns: Vec<String> = header.iter().map(name).collect();
        let mapping = options.map.decide(path, &columns, schema)?;
        let cell = |(at, field): (usize, Option<usize>)| {
            let column = &schema.columns[field?];
            Some(Cell {
                at,
                name: column.name.clone(),
                kind: column.kind.clone(),
                nullable: column.nullable,
                has_default: column.default.is_some(),
            })
        };
        Ok(Self {
            cells: mapping
                .fields
                .into_iter()
                .enumerate()
                .filter_map(cell)
                .collect(),
            unknown: mapping.unknown,
            path: path.to_owned(),
            reader,
            record: ByteRecord::new(),
        })
    }
}

impl Cell {
    /// An empty cell has no value, but for text, where the empty one is a value and null may be none.
    fn push(&self, text: &[u8], document: &mut Vec<u8>) {
        if !text.is_empty() {
            push_name(document, &self.name);
            push_value(document, &self.kind, text);
        } else if self.nullable {
            push_name(document, &self.name);
            document.extend(b"null");
        } else if !self.has_default {
            push_name(document, &self.name);
            push_string(document, b"");
        }
    }
}

impl FileRows for Delimited {
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        document.clear();
        let read = self.reader.read_byte_record(&mut self.record);
        // A record of another length is a damaged file: which value is missing cannot be known.
        if !read.map_err(|error| malformed(&self.path, "CSV", &error))? {
            return Ok(false);
        }
        document.push(b'{');
        for cell in &self.cells {
            cell.push(self.record.get(cell.at).unwrap_or_default(), document);
        }
        document.push(b'}');
        Ok(true)
    }

    fn unknown_columns(&self) -> &[String] {
        &self.unknown
    }
}
