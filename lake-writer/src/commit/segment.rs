//! Segments: what a stretch of the log says about files and offset ranges, without the records.
//!
//! ```text
//! records 101…200 ─► Segment ─► log/segments/00…101-00…200-<nonce>.json ◄─ named by a checkpoint
//! ```
//!
//! Owns: the format, and how two neighbouring segments become one.
//! Does not own: when that is done (`checkpoint`), or what is live in the end (`live`).
//!
//! A segment holds everything that verification needs of the records in it, so that these can be
//! dropped: each live file with its facts, the files that were taken out of *earlier* segments, and
//! each commit's ranges. It is written once under a name of its own and never changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::store::TablePath;

use super::CommitError;
use super::record::{self, Body, CommittedRange, DataFile, FORMAT, FileSource};

/// Facts about a file that some commit or replacement has added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveFile {
    /// Number of the record that added it.
    pub number: u64,
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

impl LiveFile {
    fn of(number: u64, file: &DataFile) -> Self {
        Self {
            number,
            bytes: file.bytes,
            rows: file.rows,
            xxh3: file.xxh3.clone(),
            partition: file.partition.clone(),
            sources: file.sources.clone(),
        }
    }
}

/// A range of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedRange {
    /// Number of the commit.
    pub number: u64,
    /// The range, and what became of its messages.
    #[serde(flatten)]
    pub range: CommittedRange,
}

/// What the records `from..=to` say about files and ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Format of this document.
    pub format: u32,
    /// First record.
    pub from: u64,
    /// Last record.
    pub to: u64,
    /// Files that these records added and did not take out again.
    pub files: BTreeMap<TablePath, LiveFile>,
    /// Files that these records took out and earlier ones had added.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub taken: BTreeSet<TablePath>,
    /// Ranges of these commits, in their order.
    pub ranges: Vec<NumberedRange>,
}

impl Segment {
    /// The segment of no record yet, beginning with record `from`.
    pub fn beginning(from: u64) -> Self {
        Self {
            format: FORMAT,
            from,
            to: from,
            files: BTreeMap::new(),
            taken: BTreeSet::new(),
            ranges: Vec::new(),
        }
    }

    /// Adds the next record.
    pub fn add(&mut self, number: u64, body: &Body) {
        self.to = number;
        let Some(change) = body.change() else { return };
        for taken in change.taken() {
            self.take(&taken.path);
        }
        for file in change.added() {
            let live = LiveFile::of(number, file);
            self.files.insert(file.path.clone(), live);
        }
        if let Body::Commit(commit) = body {
            let ranges = commit.ranges.iter().cloned();
            self.ranges
                .extend(ranges.map(|range| NumberedRange { number, range }));
        }
    }

    /// Adds the segment of the records that follow.
    pub fn append(&mut self, later: Self) {
        for path in &later.taken {
            self.take(path);
        }
        self.to = later.to;
        self.files.extend(later.files);
        self.ranges.extend(later.ranges);
    }

    fn take(&mut self, path: &TablePath) {
        if self.files.remove(path).is_none() {
            self.taken.insert(path.clone());
        }
    }

    /// What its size is measured in: files, names of files, ranges.
    pub fn entries(&self) -> u64 {
        (self.files.len() + self.taken.len() + self.ranges.len()) as u64
    }

    /// The segment's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a segment holds nothing that JSON cannot")
    }

    /// Reads a segment.
    ///
    /// # Errors
    /// [`CommitError::Newer`] for a format that this code does not know,
    /// [`CommitError::BrokenDocument`] for anything else that is not the segment that was written.
    pub fn decode(named: &SegmentRef, bytes: &[u8]) -> Result<Self, CommitError> {
        let broken = |problem: String| CommitError::BrokenDocument {
            path: named.path(),
            problem,
        };
        if hash(bytes) != named.xxh3 {
            return Err(broken("it holds other bytes than were written".into()));
        }
        record::decode(bytes, &format!("segment {}", named.name), |error| {
            broken(format!("not a segment: {error}"))
        })
    }
}

/// A segment as a checkpoint names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Its file name in `log/segments/`.
    pub name: String,
    /// First record in it.
    pub from: u64,
    /// Last record in it.
    pub to: u64,
    /// Its size in entries.
    pub entries: u64,
    /// XXH3 of its bytes, hexadecimal.
    pub xxh3: String,
}

impl SegmentRef {
    /// Names a segment and its bytes; `nonce` is new for every segment that is written.
    pub fn new(segment: &Segment, bytes: &[u8], nonce: &str) -> Self {
        Self {
            name: format!("{:020}-{:020}-{nonce}.json", segment.from, segment.to),
            from: segment.from,
            to: segment.to,
            entries: segment.entries(),
            xxh3: hash(bytes),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> TablePath {
        segments_folder_and(&self.name)
    }
}

/// Last record of the segment with this file name; `None` when it is not one.
pub(super) fn last_record_of(file_name: &str) -> Option<u64> {
    let mut parts = file_name.strip_suffix(".json")?.splitn(3, '-');
    record::padded_number(parts.next()?)?;
    let to = record::padded_number(parts.next()?)?;
    parts.next().map(|_nonce| to)
}

/// The folder of segments.
pub(super) fn segments_folder() -> TablePath {
    TablePath::new("log/segments").expect("a legal name")
}

fn segments_folder_and(name: &str) -> TablePath {
    TablePath::new(format!("log/segments/{name}")).expect("digits and a nonce make a legal name")
}

fn hash(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}
