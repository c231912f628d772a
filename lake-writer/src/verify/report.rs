//! What a verification says: figures that are exact, and findings that are named.
//!
//! The shape is that of `verify --output json`, documented in docs/verify.md; fields are only ever
//! added.

use serde::Serialize;

use crate::source::OffsetRange;
use crate::store::TablePath;

/// The outcome of a verification.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// URL of the table, without credentials.
    pub table: String,
    /// Name of the topic; empty with `quick`.
    pub topic: String,
    /// Number of the last record that was looked at; null for a table that was never written.
    pub head: Option<u64>,
    /// Whether the log and listings alone were looked at.
    pub quick: bool,
    /// Which part of the commits was asked for.
    pub sample: Option<f64>,
    /// Whether nothing was found.
    pub clean: bool,
    /// Commits.
    pub commits: Commits,
    /// Files.
    pub files: Files,
    /// Source partitions, by topic id and number.
    pub partitions: Vec<PartitionReport>,
    /// What was found, files first; not more than was asked for.
    pub findings: Vec<Finding>,
    /// Findings that are not listed; they are in the figures.
    pub findings_left_out: u64,
    /// What could not be proved, in words.
    pub unproved: Vec<String>,
}

/// How many commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Commits {
    /// In the log.
    pub in_log: u64,
    /// Of which something was looked at.
    pub chosen: u64,
}

/// How many files, and what was looked at of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Named by the log.
    pub named: u64,
    /// Bytes of those, by the log.
    pub bytes: u64,
    /// Whose bytes were compared with the log's checksum.
    pub checksummed: u64,
    /// Whose rows were compared with the topic.
    pub compared: u64,
    /// That nobody committed.
    pub foreign: u64,
}

/// One source partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The incarnation of the topic.
    pub topic_id: String,
    /// Its number.
    pub partition: i32,
    /// First offset that the table has.
    pub from: i64,
    /// First offset that is not committed.
    pub next: i64,
    /// Low watermark; null when the topic was not asked, or is gone.
    pub low: Option<i64>,
    /// High watermark.
    pub high: Option<i64>,
    /// Offsets that were compared with the topic.
    pub compared: u64,
    /// Messages there that make rows.
    pub rows: u64,
    /// Messages there that make dead letters.
    pub dead_letters: u64,
    /// Messages there without a value.
    pub tombstones: u64,
    /// Offsets there without a message: ends of transactions, aborted ones, compacted ones, and
    /// offsets accepted as lost.
    pub gaps: u64,
    /// Rows and dead letters whose message the topic has lost since they were written, while the
    /// log's counts say that they belong there.
    pub compacted: u64,
    /// Committed offsets in the scope that the topic does not have any more: for them stand the
    /// files' checksums alone.
    pub unproved: u64,
    /// Offsets between the committed ones and the high watermark.
    pub not_yet_committed: u64,
    /// In the topic, not in the lake.
    pub missing: u64,
    /// More than once in the lake.
    pub doubled: u64,
    /// Once in both, with other content.
    pub differing: u64,
    /// Once in both, in another folder than its values say.
    pub misplaced: u64,
    /// In the lake, where the topic has no message, and not explained by compaction.
    pub unexpected: u64,
}

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The log names a file that is not there.
    MissingFile,
    /// A commit's file is still staged: readers do not see it until a writer publishes it.
    UnpublishedFile,
    /// A file has another size than the log says.
    WrongSize,
    /// A file has other bytes than were written.
    WrongChecksum,
    /// A file cannot be read as rows of the table.
    UnreadableFile,
    /// A file holds other offsets, or another number of rows, than the log says.
    WrongFacts,
    /// A file that nobody committed.
    ForeignFile,
    /// The log's counts do not add up with its files, with the topic or with the lake.
    WrongCounts,
    /// The topic ends before what was committed.
    ShortTopic,
    /// Offsets that are in the topic and not in the lake.
    Missing,
    /// Offsets that are more than once in the lake.
    Doubled,
    /// Offsets whose content differs.
    Differing,
    /// Offsets that lie in another folder than their values say.
    Misplaced,
    /// Offsets that are in the lake and not in the topic.
    Unexpected,
}

/// One difference. What does not apply is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// Path of the file below the table's URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Number of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// Number of the source partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Offsets, all of them concerned.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<OffsetRange>,
    /// The rest, for people.
    pub detail: String,
}

impl Finding {
    /// A finding about nothing in particular yet.
    pub(super) fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            path: None,
            commit: None,
            partition: None,
            offsets: None,
            detail: detail.into(),
        }
    }

    pub(super) fn at_path(mut self, path: &TablePath) -> Self {
        self.path = Some(path.to_string());
        self
    }

    pub(super) fn of_commit(mut self, commit: u64) -> Self {
        self.commit = Some(commit);
        self
    }

    pub(super) fn at(mut self, partition: i32, offsets: Option<OffsetRange>) -> Self {
        self.partition = Some(partition);
        self.offsets = offsets;
        self
    }
}

impl FindingKind {
    /// The name in JSON, such as `missing_file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFile => "missing_file",
            Self::UnpublishedFile => "unpublished_file",
            Self::WrongSize => "wrong_size",
            Self::WrongChecksum => "wrong_checksum",
            Self::UnreadableFile => "unreadable_file",
            Self::WrongFacts => "wrong_facts",
            Self::ForeignFile => "foreign_file",
            Self::WrongCounts => "wrong_counts",
            Self::ShortTopic => "short_topic",
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Differing => "differing",
            Self::Misplaced => "misplaced",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Findings up to a number; the rest is counted.
#[derive(Debug)]
pub(super) struct Findings {
    list: Vec<Finding>,
    most: usize,
    left_out: u64,
}

impl Findings {
    pub(super) fn new(most: usize) -> Self {
        Self {
            list: Vec::new(),
            most,
            left_out: 0,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.list.len() < self.most {
            self.list.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// Puts all into the report, and says whether there were none.
    pub(super) fn finish(self, report: &mut Report) {
        report.clean = self.list.is_empty() && self.left_out == 0;
        report.findings = self.list;
        report.findings_left_out = self.left_out;
    }
}
