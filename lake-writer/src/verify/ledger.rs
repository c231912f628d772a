//! What the commit log says that a table holds: all that this room needs of it.
//!
//! ```text
//! Store ─► ledger ─► Ledger { definition, ranges, files, next offsets, head }
//! ```
//!
//! Owns: the one look at the log.
//! Does not own: the log's format and its fold (`commit`).
//!
//! A ledger grows with the commits and files of a table, by a few hundred bytes each, and not with
//! its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commit::record::{Body, Commit, DataFile, Definition};
use crate::commit::{CommitError, fold_showing};
use crate::source::{OffsetRange, SourcePartition};
use crate::store::{Store, TablePath};

/// The table by its log, as of one moment.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Number of the last record; `None` for a table that was never written.
    pub(crate) head: Option<u64>,
    /// The table's definition; `None` with `head`.
    pub(crate) definition: Option<Definition>,
    /// Every committed range, in the order of commits.
    pub(crate) ranges: Vec<LedgerRange>,
    /// Every file that readers should find, by its final name.
    pub(crate) files: BTreeMap<TablePath, LedgerFile>,
    /// First offset of each source partition that is not committed.
    pub(crate) next: BTreeMap<SourcePartition, i64>,
    /// How many commits there are.
    pub(crate) commits: u64,
}

/// Offsets of one source partition in one commit, and what became of their messages.
#[derive(Clone, Debug)]
pub(crate) struct LedgerRange {
    /// Number of the commit.
    pub(crate) commit: u64,
    pub(crate) source: SourcePartition,
    pub(crate) range: OffsetRange,
    pub(crate) rows: u64,
    pub(crate) dead_letters: u64,
    pub(crate) tombstones: u64,
    /// Offsets at its start that retention had taken before they were read.
    pub(crate) lost: u64,
}

/// A file that readers should find.
#[derive(Clone, Debug)]
pub(crate) struct LedgerFile {
    /// Number of the record that put it there.
    pub(crate) commit: u64,
    /// The incarnation of the topic that its offsets belong to.
    pub(crate) topic_id: Arc<str>,
    /// Whether it lies below `dead/`.
    pub(crate) is_dead: bool,
    /// Whether a later record says that it was published. One that does not may be on its way.
    pub(crate) is_published: bool,
    /// Name, size, rows, hash and offsets.
    pub(crate) file: DataFile,
}

/// Reads the log.
///
/// # Errors
/// As [`crate::commit::fold`].
pub(crate) async fn ledger(store: &dyn Store) -> Result<Ledger, CommitError> {
    let mut ledger = Ledger::default();
    let state = fold_showing(store, |number, record| {
        if let Body::Commit(commit) = record.body {
            ledger.commits += 1;
            ledger.enter(number, commit);
        }
    })
    .await?;
    for file in ledger.files.values_mut() {
        file.is_published = !state.unpublished.contains_key(&file.commit);
    }
    ledger.head = state.head;
    ledger.definition = state.definition;
    let next =
        |(source, held): (SourcePartition, crate::commit::state::SourceState)| (source, held.next);
    ledger.next = state.sources.into_iter().map(next).collect();
    Ok(ledger)
}

impl Ledger {
    fn enter(&mut self, commit: u64, record: Commit) {
        // A commit is one session's, and a session reads one incarnation of its topic.
        let topic_id: Arc<str> = match record.ranges.first() {
            Some(range) => range.source.topic_id.as_str().into(),
            None => "".into(),
        };
        self.ranges
            .extend(record.ranges.into_iter().map(|range| LedgerRange {
                commit,
                source: range.source,
                range: range.range,
                rows: range.rows,
                dead_letters: range.dead_letters,
                tombstones: range.tombstones,
                lost: range.lost,
            }));
        let rows = record.files.into_iter().map(|file| (false, file));
        let dead = record.dead.into_iter().map(|file| (true, file));
        for (is_dead, file) in rows.chain(dead) {
            let entry = LedgerFile {
                commit,
                topic_id: topic_id.clone(),
                is_dead,
                is_published: false,
                file,
            };
            self.files.insert(entry.file.path.clone(), entry);
        }
    }

    /// From which offset up to which, exclusive, a source partition is committed. Ranges join
    /// without a gap, so nothing between the two is not.
    pub(crate) fn committed(&self, source: &SourcePartition) -> Option<OffsetRange> {
        let mut of_source = self.ranges.iter().filter(|range| range.source == *source);
        let first = of_source.next()?;
        let last = of_source.next_back().unwrap_or(first);
        Some(OffsetRange::new(first.range.start(), last.range.next()))
    }
}
