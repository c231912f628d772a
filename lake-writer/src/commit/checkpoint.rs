//! Checkpoints: the state up to a record, so that the records before need not be read again.
//!
//! ```text
//! records …, N ─► Checkpoint ─► log/checkpoints/<generation>.json (put if absent) ─► records dropped
//! ```
//!
//! Owns: the format, and which segments a new checkpoint merges.
//! Does not own: when one is written and what is dropped afterwards (`upkeep`).
//!
//! Checkpoints are numbered by generation: each is built on the one before and put under the next
//! number, so of two that are built on the same one only one ever stands, and the segments that a
//! checkpoint names are those of its predecessor, merged ones apart. The head of the newest
//! checkpoint is the log's *boundary*: a record at or below it does not count any more, whether it
//! is still there or not.

use serde::{Deserialize, Serialize};

use crate::source::SourcePartition;
use crate::store::TablePath;

use super::CommitError;
use super::record::{self, ClaimedSource, Definition, FileChange};
use super::segment::SegmentRef;
use super::state::{SourceState, State, Totals};

/// Entries from which on a segment is full and is not merged any more, so that no checkpoint ever
/// writes much more than what is new: a file takes about 300 bytes, so this is some 3 MB.
pub const FULL_SEGMENT: u64 = 10_000;

/// The state of a log up to `head`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Format of this document.
    pub format: u32,
    /// The writer that made it.
    pub session: String,
    /// When it was made, RFC 3339 in UTC; for people.
    pub at: String,
    /// Number of the last record in it.
    pub head: u64,
    /// The table's definition.
    pub definition: Definition,
    /// Each source partition that was ever claimed.
    pub sources: Vec<CheckpointSource>,
    /// Where source partitions begin that were not claimed yet but have a beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begins: Vec<ClaimedSource>,
    /// Commits and replacements that no record says are published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished: Vec<NumberedChange>,
    /// Sums over the table.
    pub totals: Totals,
    /// Time of the last commit as its writer wrote it.
    pub last_commit_at: Option<String>,
    /// The segments that hold the files and ranges of all records in it, in their order.
    pub segments: Vec<SegmentRef>,
}

/// A source partition and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSource {
    /// Which.
    #[serde(flatten)]
    pub source: SourcePartition,
    /// Where it stands.
    #[serde(flatten)]
    pub state: SourceState,
}

/// A change of files with its record's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedChange {
    /// The record's number.
    pub number: u64,
    /// The change.
    #[serde(flatten)]
    pub change: FileChange,
}

impl Checkpoint {
    /// The checkpoint of a state. `None` for an empty log, of which there is none.
    pub fn of(state: &State, segments: Vec<SegmentRef>, session: &str, at: String) -> Option<Self> {
        let sources = state
            .sources
            .iter()
            .map(|(source, state)| CheckpointSource {
                source: source.clone(),
                state: state.clone(),
            });
        let begins = state.begins.iter().map(|(source, first)| ClaimedSource {
            source: source.clone(),
            first: *first,
        });
        let unpublished = state
            .unpublished
            .iter()
            .map(|(number, change)| NumberedChange {
                number: *number,
                change: change.clone(),
            });
        Some(Self {
            format: record::FORMAT,
            session: session.to_owned(),
            at,
            head: state.head?,
            definition: state.definition.clone()?,
            sources: sources.collect(),
            begins: begins.collect(),
            unpublished: unpublished.collect(),
            totals: state.totals,
            last_commit_at: state.last_commit_at.clone(),
            segments,
        })
    }

    /// The state that it holds, without the names of live files.
    pub fn state(&self) -> State {
        let sources = self.sources.iter().cloned();
        let begins = self.begins.iter().cloned();
        let unpublished = self.unpublished.iter().cloned();
        State {
            head: Some(self.head),
            definition: Some(self.definition.clone()),
            sources: sources.map(|it| (it.source, it.state)).collect(),
            begins: begins.map(|it| (it.source, it.first)).collect(),
            unpublished: unpublished.map(|it| (it.number, it.change)).collect(),
            totals: self.totals,
            last_commit_at: self.last_commit_at.clone(),
            live: None,
        }
    }

    /// The checkpoint's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a checkpoint holds nothing that JSON cannot")
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`CommitError::Newer`] for a format that this code does not know,
    /// [`CommitError::BrokenDocument`] for anything else that is not a checkpoint.
    pub fn decode(generation: u64, bytes: &[u8]) -> Result<Self, CommitError> {
        record::decode(bytes, &format!("checkpoint {generation}"), |error| {
            CommitError::BrokenDocument {
                path: checkpoint_path(generation),
                problem: format!("not a checkpoint: {error}"),
            }
        })
    }
}

/// How many of the last segments are merged with a new one of so many entries: those that are not
/// full and not much larger than what is merged already. Sizes then at least double from the last
/// segment to the first that is not full, so there are few of them, and an entry is written again
/// only as often as its segment can double.
pub(super) fn merged_with(segments: &[SegmentRef], mut entries: u64) -> usize {
    let mut merged = 0;
    for last in segments.iter().rev() {
        if last.entries >= FULL_SEGMENT || last.entries >= 2 * entries {
            break;
        }
        entries += last.entries;
        merged += 1;
    }
    merged
}

/// Name of the checkpoint of this generation.
pub fn checkpoint_path(generation: u64) -> TablePath {
    TablePath::new(format!("log/checkpoints/{generation:020}.json"))
        .expect("a number makes a legal name")
}

/// Generation of the checkpoint with this file name; `None` when it is not one.
pub fn checkpoint_generation(file_name: &str) -> Option<u64> {
    record::padded_number(file_name.strip_suffix(".json")?)
}

/// The folder of checkpoints.
pub(super) fn checkpoints_folder() -> TablePath {
    TablePath::new("log/checkpoints").expect("a legal name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(entries: &[u64]) -> Vec<SegmentRef> {
        let named = |entries: &u64| SegmentRef {
            name: String::new(),
            from: 0,
            to: 0,
            entries: *entries,
            xxh3: String::new(),
        };
        entries.iter().map(named).collect()
    }

    #[test]
    fn segments_grow_geometrically_and_full_ones_stay() {
        // GIVEN a table to which every checkpoint adds a hundred entries
        let (mut sizes, mut written, mut most) = (Vec::new(), 0, 0);
        for _ in 0..10_000 {
            // WHEN each merges what it must
            let merged = merged_with(&segments(&sizes), 100);
            let new: u64 = 100 + sizes.drain(sizes.len() - merged..).sum::<u64>();
            sizes.push(new);
            written += new;
            most = most.max(new);
        }
        // THEN none is lost, no checkpoint writes much, and few segments are left beside full ones
        assert_eq!(sizes.iter().sum::<u64>(), 1_000_000);
        assert!(most <= 2 * FULL_SEGMENT, "{most}");
        assert!(written <= 10 * 1_000_000, "{written}");
        let small = sizes.iter().filter(|size| **size < FULL_SEGMENT).count();
        assert!(small <= 8, "{sizes:?}");
    }

    #[test]
    fn names_go_there_and_back() {
        let path = checkpoint_path(42);
        assert_eq!(path.as_str(), "log/checkpoints/00000000000000000042.json");
        assert_eq!(checkpoint_generation(path.file_name()), Some(42));
        assert_eq!(checkpoint_generation("42.json"), None);
    }
}
