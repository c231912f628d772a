//! Files instead of a topic: every row as the JSON document that a message would hold.
//!
//! ```text
//! .csv ─► Delimited ─┐
//! .ndjson ─► Lines  ─┼─► FileRows::next (one JSON object) ─► decode, as from a topic
//! .parquet ─► Columnar ┘
//! ```
//!
//! Owns: reading the three formats, which column is which field, how a value is spelled in JSON so
//! that nothing is rounded or guessed.
//! Does not own: what a value has to be (`decode`): a row that does not fit becomes a dead letter
//! there, like a message.

mod columnar;
mod delimited;
mod lines;
mod mapping;
pub mod reference;
mod spelling;
mod stamp;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::table::Schema;

pub use mapping::ColumnMap;
pub use stamp::Stamp;

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Text with a delimiter, UTF-8, the first line names the columns.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// By the end of the name; `None` for an end that is not known.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Its format.
    pub format: FileFormat,
    /// Which column is which field.
    pub map: ColumnMap,
    /// Between the values of a CSV line.
    pub delimiter: u8,
}

/// Why a file cannot be read. Nothing of it was written, or what was written stands and the same
/// command goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It is not what it was when it was opened.
    #[error(
        "`{0}` was changed while it was read, and no more of it is written: run the command again \
         once it is complete, which takes the new file in place of what the old one became"
    )]
    Changed(PathBuf),
    /// Not a file of its format.
    #[error("`{path}` is no {format} file, or is damaged: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A field that must have a value has no column.
    #[error(
        "`{path}` has no column for {fields}; its columns are {columns}: name one with \
         --map COLUMN=FIELD"
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// Fields of the schema.
        fields: String,
        /// Columns of the file.
        columns: String,
    },
    /// `--map` names something that is not there.
    #[error("--map {column}={field}: {problem}")]
    Map {
        /// The column.
        column: String,
        /// The field.
        field: String,
        /// What is wrong, and what there is.
        problem: String,
    },
    /// A column whose values could be read in more than one way.
    #[error("column `{column}` of `{path}` {problem}")]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Why, and the remedy.
        problem: String,
    },
}

/// Rows of a file, in its order.
pub trait FileRows {
    /// Puts the next row into `document`, as a JSON object; false at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError>;

    /// Columns that the schema does not have, which are left out.
    fn unknown_columns(&self) -> &[String] {
        &[]
    }

    /// Whether all rows so far are of one state of the file; asked before they are written.
    ///
    /// # Errors
    /// [`FileError::Changed`].
    fn check(&self) -> Result<(), FileError> {
        Ok(())
    }
}

/// Rows of a file that is looked after while it is read.
struct Stamped {
    rows: Box<dyn FileRows>,
    stamp: Stamp,
}

impl FileRows for Stamped {
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        self.rows.next(document)
    }

    fn unknown_columns(&self) -> &[String] {
        self.rows.unknown_columns()
    }

    fn check(&self) -> Result<(), FileError> {
        self.stamp.check()
    }
}

/// Opens a file for a table, as it was when it was stamped.
///
/// # Errors
/// When it is not of its format, or a field has no column.
pub fn open(
    stamp: &Stamp,
    options: &FileOptions,
    schema: &Schema,
) -> Result<Box<dyn FileRows>, FileError> {
    let path = stamp.path();
    let rows: Box<dyn FileRows> = match options.format {
        FileFormat::Csv => Box::new(delimited::Delimited::open(path, options, schema)?),
        FileFormat::Ndjson => Box::new(lines::Lines::open(path, options)?),
        FileFormat::Parquet => Box::new(columnar::Columnar::open(path, options, schema)?),
    };
    let stamp = stamp.clone();
    Ok(Box::new(Stamped { rows, stamp }))
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn malformed(path: &Path, format: &'static str, reason: &dyn std::fmt::Display) -> FileError {
    FileError::Malformed {
        path: path.to_owned(),
        format,
        reason: reason.to_string(),
    }
}
