//! What can be wrong with a file that is replayed.

use std::path::PathBuf;

/// A file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened or read.
    #[error("failed to read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The ending of the name says nothing.
    #[error("{path} is neither .csv nor .ndjson nor .parquet; say which with --file-format")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what its format wants.
    #[error("{path} is not readable as {format}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// CSV, NDJSON or Parquet.
        format: &'static str,
        /// What is wrong, and in which line if that is known.
        reason: String,
    },
    /// A mapping names a field that sales do not have.
    #[error("--{option} names the field `{field}`, which sales do not have; {hint}")]
    NoSuchField {
        /// map or set.
        option: &'static str,
        /// As given.
        field: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// A mapping names a column that the file does not have.
    #[error("--map names the column `{column}`, which {path} does not have; {hint}")]
    NoSuchColumn {
        /// As given.
        column: String,
        /// The file.
        path: PathBuf,
        /// The nearest one, or all.
        hint: String,
    },
    /// A field is given twice.
    #[error("the field `{field}` is given twice; leave one --map or --set out")]
    Twice {
        /// Its name.
        field: &'static str,
    },
    /// Fields have neither column nor value.
    #[error(
        "{path} has no column for {fields}; add --map COLUMN=FIELD or --set FIELD=VALUE for each \
         (columns: {columns})"
    )]
    Unbound {
        /// The file.
        path: PathBuf,
        /// Names of the fields.
        fields: String,
        /// Names of the columns.
        columns: String,
    },
    /// One line or row is not a sale.
    #[error("{path}, line {line}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line of a text file or row of a Parquet file, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        error: CellError,
    },
}

/// A value is not what its field wants.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CellError {
    /// The line as a whole cannot be taken apart.
    #[error("the line {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// There is none.
    #[error("`{column}` is missing, but `{field}` needs a value")]
    Missing {
        /// Field of the sale.
        field: &'static str,
        /// Column of the file.
        column: String,
    },
    /// It cannot be converted.
    #[error("`{column}` for `{field}` {reason}")]
    Value {
        /// Field of the sale.
        field: &'static str,
        /// Column of the file.
        column: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}
