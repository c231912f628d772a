//! What the records of a log add up to. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use crate::source::SourcePartition;

use super::CommitError;
use super::record::{Body, Claim, Commit, Definition, Record};

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
    /// Commits that no record says are published, by number.
    pub unpublished: BTreeMap<u64, Commit>,
    /// Sums over all commits.
    pub totals: Totals,
    /// Time of the last commit as its writer wrote it.
    pub last_commit_at: Option<String>,
}

/// Where a source partition stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceState {
    /// Name of the topic when it was claimed last.
    pub topic: String,
    /// First offset that is not committed.
    pub next: i64,
    /// Number of the claim that holds it.
    pub epoch: u64,
    /// The writer that holds it.
    pub session: String,
}

/// Sums over all commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Commits.
    pub commits: u64,
    /// Rows below `data/`.
    pub rows: u64,
    /// Files below `data/`.
    pub files: u64,
    /// Bytes below `data/`.
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
            let next = self
                .sources
                .get(&claimed.source)
                .map_or(begin, |known| known.next);
            let held = SourceState {
                topic: claim.topic.clone(),
                next,
                epoch: number,
                session: session.to_owned(),
            };
            self.sources.insert(claimed.source.clone(), held);
        }
    }

    fn commit(&mut self, number: u64, commit: &Commit) {
        for range in &commit.ranges {
            if let Some(held) = self.sources.get_mut(&range.source) {
                held.next = range.range.next();
            }
            self.totals.dead_letters += range.dead_letters;
            self.totals.tombstones += range.tombstones;
        }
        self.totals.commits += 1;
        self.totals.files += commit.files.len() as u64;
        self.totals.rows += commit.files.iter().map(|file| file.rows).sum::<u64>();
        self.totals.bytes += commit.files.iter().map(|file| file.bytes).sum::<u64>();
        if commit.all_files().next().is_some() {
            self.unpublished.insert(number, commit.clone());
        }
    }
}
