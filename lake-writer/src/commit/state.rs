//! What the records of a log add up to. Pure: no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::source::SourcePartition;
use crate::store::TablePath;

use super::CommitError;
use super::record::{
    Body, Claim, Commit, CommittedRange, DataFile, Definition, FileChange, Record, Replace,
};

/// The fold of all records up to `head`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Number of the last record folded; `None` for an empty log.
    pub head: Option<u64>,
    /// The table's definition.
    pub definition: Option<Definition>,
    /// Each source partition that was ever claimed.
    pub sources: BTreeMap<SourcePartition, SourceState>,
    /// Where source partitions begin that were not claimed yet but have a beginning.
    pub begins: BTreeMap<SourcePartition, i64>,
    /// Commits and replacements that no record says are published, by number.
    pub unpublished: BTreeMap<u64, FileChange>,
    /// Sums over all commits.
    pub totals: Totals,
    /// Time of the last commit as its writer wrote it.
    pub last_commit_at: Option<String>,
    /// Names of all live files. Kept only by who replaces files: `None` for everybody else, whose
    /// memory must not grow with the table.
    pub live: Option<BTreeSet<TablePath>>,
}

/// Where a source partition stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceState {
    /// Name of the topic when it was claimed last.
    pub topic: String,
    /// First offset that is not committed.
    pub next: i64,
    /// Number of the claim that holds it.
    pub epoch: u64,
    /// The writer that holds it.
    pub session: String,
    /// Sums over its commits.
    pub tally: Tally,
}

/// What became of the messages of a source partition, over all commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// Messages that became rows.
    pub rows: u64,
    /// Messages that became dead letters.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
    /// Offsets that retention had taken and that the settings accepted as lost.
    pub lost: u64,
}

impl Tally {
    fn add(&mut self, range: &CommittedRange) {
        self.rows += range.rows;
        self.dead_letters += range.dead_letters;
        self.tombstones += range.tombstones;
        self.lost += range.lost;
    }
}

/// Sums over the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Totals {
    /// Commits.
    pub commits: u64,
    /// Rows of live files below `data/`.
    pub rows: u64,
    /// Live files below `data/`.
    pub files: u64,
    /// Bytes of live files below `data/`.
    pub bytes: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Tombstones.
    pub tombstones: u64,
}

/// A commit came too late: its source partition belongs to another claim, or moved on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "partition {source_partition} is no longer this writer's: read from offset {start} under claim \
     {epoch}, but the log stands at offset {next} under claim {held} of writer {session}"
)]
pub struct Fenced {
    /// Number of the source partition.
    pub source_partition: i32,
    /// Start of the range that was offered.
    pub start: i64,
    /// Epoch under which it was read.
    pub epoch: u64,
    /// The state's next offset.
    pub next: i64,
    /// The state's epoch.
    pub held: u64,
    /// The writer that holds it.
    pub session: String,
}

impl State {
    /// Number that the next record gets.
    pub fn next_number(&self) -> u64 {
        self.head.map_or(0, |head| head + 1)
    }

    /// Whether a commit could be appended now: each range starts where the state ends, under the
    /// claim that holds the source partition, and the claim is `session`'s.
    ///
    /// # Errors
    /// [`Fenced`] names the first range that could not.
    pub fn admits(&self, session: &str, commit: &Commit) -> Result<(), Fenced> {
        for range in &commit.ranges {
            let held = self.sources.get(&range.source);
            let fits = held.is_some_and(|held| {
                held.next == range.range.start()
                    && held.epoch == range.epoch
                    && held.session == session
            });
            if !fits {
                return Err(Fenced {
                    source_partition: range.source.partition,
                    start: range.range.start(),
                    epoch: range.epoch,
                    next: held.map_or(-1, |held| held.next),
                    held: held.map_or(0, |held| held.epoch),
                    session: held.map_or_else(|| "nobody".into(), |held| held.session.clone()),
                });
            }
        }
        Ok(())
    }

    /// Whether a replacement could be appended now: the record's session holds the claim that it was
    /// made under, and each file that it takes out is live and published, as the log says or the
    /// record itself.
    ///
    /// A file that is not published must not be taken out: whoever finishes its commit later would
    /// make it visible beside its replacement.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] for the claim, [`CommitError::NotLive`] naming the first file.
    pub fn admits_replace(&self, record: &Record, replace: &Replace) -> Result<(), CommitError> {
        let session = &record.session;
        let held = self.sources.get(&replace.source);
        if !held.is_some_and(|held| held.epoch == replace.epoch && held.session == *session) {
            let next = held.map_or(-1, |held| held.next);
            return Err(CommitError::Fenced(Fenced {
                source_partition: replace.source.partition,
                start: next,
                epoch: replace.epoch,
                next,
                held: held.map_or(0, |held| held.epoch),
                session: held.map_or_else(|| "nobody".into(), |held| held.session.clone()),
            }));
        }
        for taken in &replace.taken {
            let refused = |problem| {
                let path = taken.path.clone();
                Err(CommitError::NotLive { path, problem })
            };
            if self
                .live
                .as_ref()
                .is_some_and(|live| !live.contains(&taken.path))
            {
                return refused("no commit has added it, or it was replaced already");
            }
            let unpublished = self.unpublished.iter();
            let unpublished = unpublished.filter(|(number, _)| !record.published.contains(number));
            let mut files = unpublished.flat_map(|(_, change)| change.added());
            if files.any(|file| file.path == taken.path) {
                return refused("it is not published yet");
            }
        }
        Ok(())
    }

    /// Folds the record with the next number.
    ///
    /// # Errors
    /// [`CommitError::Broken`] when the record could not have been appended by a correct writer.
    pub fn apply(&mut self, record: &Record) -> Result<(), CommitError> {
        let number = self.next_number();
        let broken = |problem: String| CommitError::Broken { number, problem };
        match &record.body {
            Body::Table(_) if number != 0 => {
                return Err(broken("a second table definition".into()));
            }
            Body::Table(definition) => self.definition = Some(definition.clone()),
            _ if number == 0 => return Err(broken("the first record defines no table".into())),
            Body::Claim(claim) => self.claim(number, &record.session, claim),
            Body::Commit(commit) => {
                self.admits(&record.session, commit)
                    .map_err(|fenced| broken(fenced.to_string()))?;
                self.commit(number, commit);
                self.last_commit_at = Some(record.at.clone());
            }
            Body::Replace(replace) => {
                self.admits_replace(record, replace)
                    .map_err(|refused| broken(refused.to_string()))?;
                self.replace(number, replace);
            }
        }
        for published in &record.published {
            self.unpublished.remove(published);
        }
        self.head = Some(number);
        Ok(())
    }

    fn claim(&mut self, number: u64, session: &str, claim: &Claim) {
        for begin in &claim.begins {
            if !self.sources.contains_key(&begin.source) {
                self.begins
                    .entry(begin.source.clone())
                    .or_insert(begin.first);
            }
        }
        for claimed in &claim.sources {
            let begin = self.begins.remove(&claimed.source).unwrap_or(claimed.first);
            let known = self.sources.get(&claimed.source);
            let held = SourceState {
                topic: claim.topic.clone(),
                next: known.map_or(begin, |known| known.next),
                epoch: number,
                session: session.to_owned(),
                tally: known.map_or_else(Tally::default, |known| known.tally),
            };
            self.sources.insert(claimed.source.clone(), held);
        }
    }

    fn commit(&mut self, number: u64, commit: &Commit) {
        for range in &commit.ranges {
            if let Some(held) = self.sources.get_mut(&range.source) {
                held.next = range.range.next();
                held.tally.add(range);
            }
            self.totals.dead_letters += range.dead_letters;
            self.totals.tombstones += range.tombstones;
        }
        self.totals.commits += 1;
        self.add_files(&commit.files, &commit.dead);
        if !(commit.files.is_empty() && commit.dead.is_empty()) {
            let change = FileChange::Commit(commit.clone());
            self.unpublished.insert(number, change);
        }
    }

    fn replace(&mut self, number: u64, replace: &Replace) {
        for taken in &replace.taken {
            if taken.is_data() {
                // What a record says of a file is not checked against what another said: sums are
                // for people.
                self.totals.files = self.totals.files.saturating_sub(1);
                self.totals.rows = self.totals.rows.saturating_sub(taken.rows);
                self.totals.bytes = self.totals.bytes.saturating_sub(taken.bytes);
            }
            if let Some(live) = &mut self.live {
                live.remove(&taken.path);
            }
        }
        self.add_files(&replace.files, &replace.dead);
        let change = FileChange::Replace(replace.clone());
        self.unpublished.insert(number, change);
    }

    fn add_files(&mut self, files: &[DataFile], dead: &[DataFile]) {
        self.totals.files += files.len() as u64;
        self.totals.rows += files.iter().map(|file| file.rows).sum::<u64>();
        self.totals.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        if let Some(live) = &mut self.live {
            live.extend(files.iter().chain(dead).map(|file| file.path.clone()));
        }
    }
}
