//! Whether MongoDB holds what the topic says, offset by offset, and whether rollups are the sums of
//! documents.
//!
//! ```text
//! checkpoints ─► ranges ─┬─► topic ─► Prepared (as the mirror makes them) ─┐
//!                        └─► documents and dead letters ──────────────────┴─► MirrorReport
//! documents grouped and summed by the server ─ rollups summed by the server ─┘
//! ```
//!
//! Owns: what is compared and what follows from it; it only reads.
//! Does not own: decoding and making documents: those are the mirror's, so that both sides mean the
//! same. Documents are compared as whole BSON, by a hash of 128 bits.

mod topic;
mod offsets;
mod keys;
pub(super) mod rollups;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::source::{RangeReader, SourceError, Watermarks};
use crate::verify::VerifyError;

use super::checkpoint::{self, Checkpoint};
use super::database::Mongo;
use super::failure::DatabaseError;
use super::plan::{Id, Plan};

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MirrorFindingKind {
    /// In the topic, not in MongoDB.
    Missing,
    /// A document and a dead letter for one message.
    Doubled,
    /// In both, with other content.
    Differing,
    /// In MongoDB, where the topic has no message for it.
    Unexpected,
    /// A rollup is not the sum of its documents.
    WrongRollup,
}

impl MirrorFindingKind {
    /// The name in JSON, such as `wrong_rollup`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Differing => "differing",
            Self::Unexpected => "unexpected",
            Self::WrongRollup => "wrong_rollup",
        }
    }
}

/// One difference. What does not apply is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MirrorFinding {
    /// What kind.
    pub kind: MirrorFindingKind,
    /// Number of the source partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// The message's offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The rest, for people; never a value.
    pub detail: String,
}

/// One source partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MirrorPartition {
    /// Its number.
    pub partition: i32,
    /// First offset that was compared.
    pub from: i64,
    /// First offset that is not mirrored.
    pub next: i64,
    /// Messages that make documents.
    pub documents: u64,
    /// Messages that make dead letters, or were refused by the server.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
    /// Offsets without a message.
    pub gaps: u64,
    /// Documents that have expired by `ttl_seconds`.
    pub expired: u64,
    /// Mirrored offsets that the topic does not have any more.
    pub unproved: u64,
    /// Offsets between the mirrored ones and the high watermark.
    pub not_yet_mirrored: u64,
}

/// The outcome, the shape of `verify --mirror --output json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MirrorReport {
    /// Hosts, database and collection, without credentials.
    pub mirror: String,
    /// Name of the topic.
    pub topic: String,
    /// Whether nothing was found.
    pub clean: bool,
    /// Source partitions.
    pub partitions: Vec<MirrorPartition>,
    /// What was found; not more than was asked for.
    pub findings: Vec<MirrorFinding>,
    /// Findings that are not listed.
    pub findings_left_out: u64,
    /// What could not be proved, in words.
    pub unproved: Vec<String>,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum MirrorVerifyError {
    /// Brokers or topic.
    #[error("failed to read the topic: {0}")]
    Source(#[from] SourceError),
    /// The database.
    #[error("failed to read the mirror: {0}")]
    Database(#[from] DatabaseError),
    /// A column that cannot be compared.
    #[error("failed to compare: {0}")]
    Other(VerifyError),
}

impl From<VerifyError> for MirrorVerifyError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Source(error) => Self::Source(error),
            other => Self::Other(other),
        }
    }
}

/// What verifying a mirror works with.
#[derive(Debug)]
pub struct MirrorVerifyParts<'a> {
    /// The database.
    pub mongo: &'a Mongo,
    /// What is mirrored, and how.
    pub plan: &'a Plan,
    /// Where the database is asked.
    pub runtime: &'a tokio::runtime::Runtime,
    /// The time, milliseconds since the epoch: tells what has expired.
    pub now_ms: i64,
    /// How many findings are listed.
    pub most_findings: usize,
}

/// Offsets of one partition that both sides should have.
#[derive(Clone, Copy, Debug)]
struct Range {
    partition: i32,
    from: i64,
    next: i64,
}

/// Findings up to a number; the rest is counted.
struct Findings {
    list: Vec<MirrorFinding>,
    most: usize,
    left_out: u64,
}

impl Findings {
    fn add(
        &mut self,
        kind: MirrorFindingKind,
        place: Option<(i32, i64)>,
        detail: impl Into<String>,
    ) {
        if self.list.len() >= self.most {
            self.left_out += 1;
            return;
        }
        self.list.push(MirrorFinding {
            kind,
            partition: place.map(|(partition, _)| partition),
            offset: place.map(|(_, offset)| offset),
            detail: detail.into(),
        });
    }
}

/// Compares the mirror with the topic. Tells `watch` how many messages were read.
///
/// # Errors
/// When the database or the brokers cannot be read; what differs is no error.
pub fn verify(
    parts: &MirrorVerifyParts<'_>,
    reader: &mut dyn RangeReader,
    watch: &mut dyn FnMut(u64),
) -> Result<MirrorReport, MirrorVerifyError> {
    let topic = reader.identify()?;
    let checkpoints = parts.runtime.block_on(checkpoint::read(parts.mongo))?;
    checkpoint::refuse_recreated(checkpoints.values(), &topic)?;
    let mut report = MirrorReport {
        mirror: parts.mongo.place().to_owned(),
        topic: topic.name,
        ..MirrorReport::default()
    };
    let mut ranges = Vec::new();
    for (partition, checkpoint) in &checkpoints {
        let marks = reader.watermarks(*partition)?;
        let (range, partition) = range(*partition, checkpoint, marks);
        ranges.push(range);
        report.partitions.push(partition);
    }
    let mut findings = Findings {
        list: Vec::new(),
        most: parts.most_findings,
        left_out: 0,
    };
    let mut sides = Sides {
        parts,
        reader,
        watch,
        findings: &mut findings,
    };
    match parts.plan.id {
        Id::Offset => offsets::compare(&mut sides, &ranges, &checkpoints, &mut report.partitions)?,
        Id::Field(_) => keys::compare(&mut sides, &ranges, &mut report.partitions)?,
    }
    parts
        .runtime
        .block_on(rollups::compare(parts, &mut findings))?;
    say_what_is_unproved(parts, &mut report);
    report.clean = findings.list.is_empty() && findings.left_out == 0;
    report.findings = findings.list;
    report.findings_left_out = findings.left_out;
    Ok(report)
}

/// Both sides, and where differences go.
struct Sides<'a> {
    parts: &'a MirrorVerifyParts<'a>,
    reader: &'a mut dyn RangeReader,
    watch: &'a mut dyn FnMut(u64),
    findings: &'a mut Findings,
}

fn range(partition: i32, checkpoint: &Checkpoint, marks: Watermarks) -> (Range, MirrorPartition) {
    let count = |from: i64, to: i64| u64::try_from(to - from).unwrap_or(0);
    let from = checkpoint.first.max(marks.low).min(checkpoint.next);
    let range = Range {
        partition,
        from,
        next: checkpoint.next,
    };
    let report = MirrorPartition {
        partition,
        from,
        next: checkpoint.next,
        unproved: count(checkpoint.first, from),
        not_yet_mirrored: count(checkpoint.next, marks.high),
        ..MirrorPartition::default()
    };
    (range, report)
}

fn say_what_is_unproved(parts: &MirrorVerifyParts<'_>, report: &mut MirrorReport) {
    for partition in &report.partitions {
        if partition.unproved > 0 {
            report.unproved.push(format!(
                "{} offsets of partition {}: the topic does not have them any more",
                partition.unproved, partition.partition
            ));
        }
    }
    let looked_up = &parts.plan.looked_up;
    if !looked_up.is_empty() {
        report.unproved.push(format!(
            "{}: looked up in reference tables, which may have changed since",
            looked_up.join(", ")
        ));
    }
    if parts.plan.ttl_seconds.is_some() && parts.plan.rollup.is_some() {
        let limit = "rollups of days whose documents have begun to expire";
        report.unproved.push(limit.into());
    }
}

/// Checkpoints as they are now.
fn next_offsets(checkpoints: &BTreeMap<i32, Checkpoint>) -> BTreeMap<i32, i64> {
    let next = checkpoints.iter();
    next.map(|(partition, checkpoint)| (*partition, checkpoint.next))
        .collect()
}
