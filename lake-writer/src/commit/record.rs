//! The format of a record: JSON, one record a file, its number in the file's name alone.
//!
//! A writer that loses the race for one number offers the same bytes at the next, so nothing in a
//! record may depend on its own number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::source::{OffsetRange, SourcePartition};
use crate::store::{Staged, TablePath};

use super::CommitError;

/// Newest format that this code reads, and the one that it writes: of records, checkpoints and
/// segments alike.
pub const FORMAT: u32 = 1;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Format of this record.
    pub format: u32,
    /// The writer: 16 hexadecimal characters, new at every start.
    pub session: String,
    /// Drawn anew for every record, so that a writer knows its own after a lost reply.
    pub nonce: String,
    /// Head of the log that the writer had folded when it made this record; `None` when empty.
    pub checked: Option<u64>,
    /// When it was made, RFC 3339 in UTC; for people, nothing is decided by it.
    pub at: String,
    /// Earlier commits whose files the writer has seen published, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<u64>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The table's definition: the first record of every log.
    Table(Definition),
    /// A writer takes source partitions; the record's number is their new epoch.
    Claim(Claim),
    /// Offset ranges became files.
    Commit(Commit),
    /// Live files give way to others.
    Replace(Replace),
}

impl Body {
    /// What the record does to files, if anything.
    pub fn change(&self) -> Option<FileChange> {
        match self {
            Self::Table(_) | Self::Claim(_) => None,
            Self::Commit(commit) => Some(FileChange::Commit(commit.clone())),
            Self::Replace(replace) => Some(FileChange::Replace(replace.clone())),
        }
    }
}

/// What a record does to files, and what has to be carried out once the record stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileChange {
    /// Files come.
    Commit(Commit),
    /// Files go, and others come in their place.
    Replace(Replace),
}

impl FileChange {
    /// Files that come, below `data/` and `dead/` alike.
    pub fn added(&self) -> impl Iterator<Item = &DataFile> {
        let (files, dead) = match self {
            Self::Commit(commit) => (&commit.files, &commit.dead),
            Self::Replace(replace) => (&replace.files, &replace.dead),
        };
        files.iter().chain(dead)
    }

    /// Files that go, before the others come.
    pub fn taken(&self) -> &[TakenFile] {
        match self {
            Self::Commit(_) => &[],
            Self::Replace(replace) => &replace.taken,
        }
    }

    /// What it is about, for people: offset ranges, or why files are replaced.
    pub fn about(&self) -> String {
        match self {
            Self::Commit(commit) => commit.ranges_text(),
            Self::Replace(replace) => format!("the replacement `{}`", replace.reason),
        }
    }

    /// Whether it was made under claims of one of these source partitions.
    pub fn concerns(&self, sources: &[SourcePartition]) -> bool {
        match self {
            Self::Commit(commit) => {
                let mut ranges = commit.ranges.iter();
                ranges.any(|range| sources.contains(&range.source))
            }
            Self::Replace(replace) => sources.contains(&replace.source),
        }
    }
}

/// What must not change between two starts, since readers rely on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Definition {
    /// The partition spec.
    pub partition_by: Vec<String>,
    /// Zone in which `date(…)` and `hour(…)` are taken.
    pub time_zone: String,
    /// Name and Arrow type of each column.
    pub columns: Vec<(String, String)>,
}

/// A writer takes source partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Name of the topic, for people.
    pub topic: String,
    /// The source partitions.
    pub sources: Vec<ClaimedSource>,
    /// Where partitions begin that nobody has claimed yet, when a table's first start is not at
    /// the earliest messages: the moment of the first start counts for all of them, whoever
    /// claims them later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begins: Vec<ClaimedSource>,
}

/// One source partition of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClaimedSource {
    /// Which.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Offset at which the table begins; counts only when the log has none yet.
    pub first: i64,
}

/// Offset ranges became files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Commit {
    /// The ranges, one a source partition.
    pub ranges: Vec<CommittedRange>,
    /// Files below `data/`.
    #[serde(default)]
    pub files: Vec<DataFile>,
    /// Files below `dead/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<DataFile>,
}

/// Live files give way to others that hold the same messages: a repair, a backfill done anew, a
/// compaction.
///
/// Whoever replaces files claims a source partition for it, one that is no topic's where there is
/// none: under a claim what it stages is safe from sweeps, and of two that claim the same one only
/// the later can go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Replace {
    /// The source partition that was claimed for it.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Number of that claim.
    pub epoch: u64,
    /// Why, for people.
    pub reason: String,
    /// Files that go. Each of them has to be live, or the record is not admitted.
    pub taken: Vec<TakenFile>,
    /// Files that come below `data/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<DataFile>,
    /// Files that come below `dead/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead: Vec<DataFile>,
}

/// A file that a replacement takes out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TakenFile {
    /// Its name.
    pub path: TablePath,
    /// Its size, so that sums can be kept without knowing every file.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

impl TakenFile {
    /// Whether it lies below `data/`, and not below `dead/`.
    pub fn is_data(&self) -> bool {
        self.path.as_str().starts_with("data/")
    }
}

/// A range of offsets of one source partition, and what became of its messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommittedRange {
    /// Which source partition.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Offsets, half-open.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// The claim under which it was read.
    pub epoch: u64,
    /// Messages that became rows.
    pub rows: u64,
    /// Messages that became dead letters.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
    /// Offsets at the start of the range that retention had taken before they were read, which the
    /// settings accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DataFile {
    /// Its final name.
    pub path: TablePath,
    /// Where it waits for its publication.
    pub staged: Staged,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// XXH3 of its bytes, hexadecimal.
    pub xxh3: String,
    /// Partition values by name of the partition column; `None` is null.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition: BTreeMap<String, Option<String>>,
    /// Offsets inside, by source partition.
    pub sources: Vec<FileSource>,
}

/// Rows of one source partition in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileSource {
    /// Number of the source partition.
    pub partition: i32,
    /// Lowest offset.
    pub min: i64,
    /// Highest offset, inclusive.
    pub max: i64,
    /// Rows.
    pub rows: u64,
}

impl Record {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record holds nothing that JSON cannot")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`CommitError::Newer`] for a format that this code does not know,
    /// [`CommitError::Broken`] for anything else that is not a record.
    pub fn decode(number: u64, bytes: &[u8]) -> Result<Self, CommitError> {
        decode(bytes, &format!("record {number}"), |error| {
            CommitError::Broken {
                number,
                problem: format!("not a record: {error}"),
            }
        })
    }
}

/// Reads a document of the log, which `name` names to people, whatever its kind.
///
/// # Errors
/// [`CommitError::Newer`] for a format that this code does not know, what `broken` makes of
/// anything else.
pub(super) fn decode<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    name: &str,
    broken: impl Fn(serde_json::Error) -> CommitError,
) -> Result<T, CommitError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    // The format comes first: a newer document need not make sense to this code.
    let Format { format } = serde_json::from_slice(bytes).map_err(&broken)?;
    if format > FORMAT {
        return Err(CommitError::Newer {
            name: name.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    serde_json::from_slice(bytes).map_err(broken)
}

impl Commit {
    /// All files, rows and dead letters alike.
    pub fn all_files(&self) -> impl Iterator<Item = &DataFile> {
        self.files.iter().chain(&self.dead)
    }

    /// The ranges as text, such as `partition 0: 0..500, partition 1: 0..480`.
    pub fn ranges_text(&self) -> String {
        let texts: Vec<String> = self
            .ranges
            .iter()
            .map(|r| {
                format!(
                    "partition {}: {}..{}",
                    r.source.partition,
                    r.range.start(),
                    r.range.next()
                )
            })
            .collect();
        texts.join(", ")
    }
}

/// Name of the record with this number.
pub fn record_path(number: u64) -> TablePath {
    TablePath::new(format!("log/{number:020}.json")).expect("a number makes a legal name")
}

/// Number of the record with this file name; `None` when it is not one.
pub fn record_number(file_name: &str) -> Option<u64> {
    padded_number(file_name.strip_suffix(".json")?)
}

/// A number as names of the log hold it: twenty digits, so that byte order is numeric order.
pub(super) fn padded_number(digits: &str) -> Option<u64> {
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}
