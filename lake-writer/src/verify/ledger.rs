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

use crate::commit::record::{Definition, FileChange};
use crate::commit::segment::{LiveFile, NumberedRange};
use crate::commit::{CommitError, Snapshot, snapshot};
use crate::source::{OffsetRange, SourcePartition};
use crate::store::{Staged, Store, TablePath};

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
    /// Its final name.
    pub(crate) path: TablePath,
    /// Number of the record that put it there.
    pub(crate) commit: u64,
    /// The incarnation of the topic that its offsets belong to, or the file that was read instead.
    pub(crate) topic_id: Arc<str>,
    /// Whether it lies below `dead/`.
    pub(crate) is_dead: bool,
    /// Where it was staged, while no record says that it was published: it may be on its way.
    pub(crate) on_its_way: Option<Staged>,
    /// Size, rows, hash and offsets.
    pub(crate) facts: LiveFile,
}

/// Reads the log.
///
/// # Errors
/// As [`snapshot`].
pub(crate) async fn ledger(store: &dyn Store) -> Result<Ledger, CommitError> {
    let Snapshot {
        state,
        files,
        ranges,
    } = snapshot(store).await?;
    let topics = Topics::of(&ranges, state.sources.keys());
    let unpublished = state.unpublished.values();
    let mut staged: BTreeMap<TablePath, Staged> = unpublished
        .flat_map(FileChange::added)
        .map(|file| (file.path.clone(), file.staged.clone()))
        .collect();
    let files = files.into_iter().map(|(path, facts)| {
        let file = LedgerFile {
            commit: facts.number,
            topic_id: topics.of_file(&facts),
            is_dead: path.as_str().starts_with("dead/"),
            on_its_way: staged.remove(&path),
            path: path.clone(),
            facts,
        };
        (path, file)
    });
    let next =
        |(source, held): (SourcePartition, crate::commit::state::SourceState)| (source, held.next);
    Ok(Ledger {
        head: state.head,
        files: files.collect(),
        commits: state.totals.commits,
        definition: state.definition,
        next: state.sources.into_iter().map(next).collect(),
        ranges: ranges.into_iter().map(LedgerRange::from).collect(),
    })
}

impl From<NumberedRange> for LedgerRange {
    fn from(NumberedRange { number, range }: NumberedRange) -> Self {
        Self {
            commit: number,
            source: range.source,
            range: range.range,
            rows: range.rows,
            dead_letters: range.dead_letters,
            tombstones: range.tombstones,
            lost: range.lost,
        }
    }
}

/// Which incarnation of its topic each commit has read: one, since a commit is one session's.
struct Topics<'a> {
    of_commit: BTreeMap<u64, Arc<str>>,
    ranges: &'a [NumberedRange],
    /// Files by their numbers, which are negative.
    of_number: BTreeMap<i32, Arc<str>>,
}

impl<'a> Topics<'a> {
    fn of<'s>(
        ranges: &'a [NumberedRange],
        claimed: impl Iterator<Item = &'s SourcePartition>,
    ) -> Self {
        let files = claimed.filter(|source| source.partition < 0);
        let of_number = files.map(|source| (source.partition, source.topic_id.as_str().into()));
        let mut of_commit: BTreeMap<u64, Arc<str>> = BTreeMap::new();
        let mut last: Arc<str> = "".into();
        for NumberedRange { number, range } in ranges {
            if *last != *range.source.topic_id {
                last = range.source.topic_id.as_str().into();
            }
            of_commit.entry(*number).or_insert_with(|| last.clone());
        }
        Self {
            of_commit,
            ranges,
            of_number: of_number.collect(),
        }
    }

    /// Of a commit's file by the commit; of one that a replacement has put there by the last commit
    /// that holds its offsets.
    fn of_file(&self, facts: &LiveFile) -> Arc<str> {
        if let Some(topic) = self.of_commit.get(&facts.number) {
            return topic.clone();
        }
        let first = facts.sources.first();
        if let Some(file) = first.and_then(|first| self.of_number.get(&first.partition)) {
            return file.clone();
        }
        let holds = |NumberedRange { range, .. }: &&NumberedRange| {
            first.is_some_and(|first| {
                range.source.partition == first.partition
                    && range.range.start() <= first.min
                    && first.min < range.range.next()
            })
        };
        let commit = self.ranges.iter().rfind(holds);
        let topic = commit.and_then(|commit| self.of_commit.get(&commit.number));
        topic.cloned().unwrap_or_else(|| "".into())
    }
}

impl LedgerFile {
    /// Set and name of the file that its rows were read from, if they are not a topic's.
    pub(crate) fn origin(&self) -> Option<(String, String)> {
        let source = SourcePartition {
            topic_id: self.topic_id.to_string(),
            partition: self.facts.sources.first()?.partition,
        };
        let (set, name, _) = source.as_file()?;
        Some((set.to_owned(), name.to_owned()))
    }
}

impl Ledger {
    /// From which offset up to which, exclusive, a source partition is committed. Ranges join
    /// without a gap, so nothing between the two is not.
    pub(crate) fn committed(&self, source: &SourcePartition) -> Option<OffsetRange> {
        let mut of_source = self.ranges.iter().filter(|range| range.source == *source);
        let first = of_source.next()?;
        let last = of_source.next_back().unwrap_or(first);
        Some(OffsetRange::new(first.range.start(), last.range.next()))
    }
}
