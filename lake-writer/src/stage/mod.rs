//! Arrow to Parquet, durably stored, not yet visible.
//!
//! ```text
//! slices of one lake partition ─► RowGroupEncoder ─► OpenFile ─► Upload (store) ─► StagedFile ─► commit
//! ```
//!
//! Owns: Parquet's properties, row groups, open files, bytes on their way to the store.
//! Does not own: which rows are written when (`batch`, `writer`), names of folders (`partition`),
//! making files visible (`commit`).

mod sorting;
mod dictionary;
mod properties;
mod row_group;
mod file;
mod upload;
mod dead;

use serde::{Deserialize, Serialize};

use crate::store::{Staged, StoreError, StoreErrorKind, TablePath};

pub use dead::{DEAD_LETTERS, DeadLetters, dead_letter_schema};
pub use dictionary::Dictionaries;
pub use file::{ClosedFile, FileName, OpenFile};
pub use properties::{BloomFilterError, FileMetadata, RowGroupProperties, check_bloom_filters};
pub use row_group::{RowGroup, RowGroupEncoder};
pub use sorting::{SortByError, Sorting};
pub(crate) use upload::discard;
pub use upload::{Uploader, Uploads};

/// A durable file that no reader sees yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// The name it will be published under.
    pub target: TablePath,
    /// Where it waits.
    pub staged: Staged,
    /// Size in bytes.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// XXH3 (64 bits, seed 0) over all of its bytes, 16 hexadecimal digits.
    pub xxh3: String,
    /// Names and values of its lake partition, outermost first; null is `None`.
    pub partition: Vec<(String, Option<String>)>,
    /// Which offsets its rows lie between, by source partition.
    pub sources: Vec<SourceBounds>,
}

/// The rows of one source partition in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceBounds {
    /// Number of the source partition.
    pub partition: i32,
    /// Offset of the first row.
    pub min_offset: i64,
    /// Offset of the last row, inclusive.
    pub max_offset: i64,
    /// Rows; others between the two offsets lie in other files.
    pub rows: u64,
}

/// Rows that Parquet's encoder did not take: a fault of this program or of its libraries, not of
/// the store.
pub(crate) fn encode_failed(
    path: &TablePath,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "encode", path.as_str(), source)
}

#[cfg(test)]
mod tests;
