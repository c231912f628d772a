//! One writer's hand on the log: append to it, finish what it promises.
//!
//! Owns: one writer's view of the log, and its session's records.
//! Does not own: the decision whether a record may be appended (`state`, `append`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Chance, Clock};
use crate::source::SourcePartition;
use crate::store::{Put, Store, StoreErrorKind};

use super::CommitError;
use super::append::{Append, Ask, PutSeen};
use super::fold::{Tail, read_record};
use super::live;
use super::offer::{Offer, prepared_name};
use super::publish;
use super::record::{
    Body, Claim, Commit, Definition, FORMAT, FileChange, Record, Replace, TakenFile, record_path,
};
use super::state::{SourceState, State};
use super::upkeep::Checkpointer;

/// Longest wait after the first lost race for a number; twice as long after each further one, up to
/// [`LONGEST_STAND_BACK`].
const STAND_BACK: Duration = Duration::from_millis(10);
const LONGEST_STAND_BACK: Duration = Duration::from_millis(320);

/// One writer's view of a table's log, and the hand that appends to it.
#[derive(Debug)]
pub struct Log {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Chance,
    session: String,
    tail: Tail,
    /// Records whose files this writer has seen published, not yet said in a record.
    published: Vec<u64>,
    lost_races: u64,
}

/// A record that was appended.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Its number.
    pub number: u64,
    /// Records of other writers that got a number this one was offered at.
    pub lost_races: u32,
}

impl Log {
    /// Folds the log of a table, and begins it with `definition` when it is empty.
    ///
    /// # Errors
    /// [`CommitError::OtherTable`] when the table was begun with another definition.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        mut chance: Chance,
        definition: Definition,
    ) -> Result<Self, CommitError> {
        let tail = Tail::open(store.as_ref()).await?;
        let session = chance.hex_id();
        let mut log = Self {
            store,
            clock,
            chance,
            session,
            tail,
            published: Vec::new(),
            lost_races: 0,
        };
        if log.tail.state.definition.is_none() {
            log.append(Body::Table(definition.clone())).await?;
        }
        log.refuse_other_table(&definition)?;
        Ok(log)
    }

    /// This writer's name in the log.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The store that the table lies in.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// The fold of every record this writer has seen.
    pub fn state(&self) -> &State {
        &self.tail.state
    }

    /// Folds what others have appended since, and begins again at a checkpoint that has passed.
    ///
    /// # Errors
    /// As [`super::fold`].
    pub async fn catch_up(&mut self) -> Result<&State, CommitError> {
        self.tail.catch_up(self.store.as_ref()).await?;
        self.forget_published();
        Ok(&self.tail.state)
    }

    /// A state that was read anew does not know what this writer has published and not said yet.
    fn forget_published(&mut self) {
        for number in &self.published {
            self.tail.state.unpublished.remove(number);
        }
    }

    /// Records behind the newest checkpoint that this writer has seen.
    pub fn records_since_checkpoint(&self) -> u64 {
        let first = self.tail.boundary.head().map_or(0, |head| head + 1);
        self.tail.state.next_number().saturating_sub(first)
    }

    /// Who writes the next checkpoint beside this writer's work.
    pub fn checkpointer(&mut self) -> Checkpointer {
        Checkpointer {
            store: self.store.clone(),
            chance: self.chance.split(),
            session: self.session.clone(),
            at: self.now(),
        }
    }

    /// Takes source partitions: afterwards no commit of an earlier claim can be appended. What
    /// earlier holders have committed is published, since they may be dead and no other writer
    /// need ever start. Returns where each stands.
    ///
    /// # Errors
    /// As [`Log::publish`]; the claim may have been appended all the same.
    pub async fn claim(
        &mut self,
        claim: Claim,
    ) -> Result<Vec<(SourcePartition, SourceState)>, CommitError> {
        let sources: Vec<_> = claim
            .sources
            .iter()
            .map(|claimed| claimed.source.clone())
            .collect();
        self.append(Body::Claim(claim)).await?;
        self.finish_predecessors(&sources).await?;
        let held = |source: SourcePartition| {
            let state = self.tail.state.sources[&source].clone();
            (source, state)
        };
        Ok(sources.into_iter().map(held).collect())
    }

    /// Appends a commit whose files are all durably staged.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when a range is no longer this writer's: nothing was appended.
    /// A store error leaves open whether it was: fold the log to know.
    pub async fn commit(&mut self, commit: Commit) -> Result<Appended, CommitError> {
        self.append(Body::Commit(commit)).await
    }

    /// Takes files out and puts others in their place, in one record, and carries it out: the old
    /// files go first, so that a reader who globs misses some rows for a moment and never sees one
    /// twice. Commits whose files are taken out are published before, but for those of the files that
    /// are lost or damaged: a file that is neither staged nor published can be replaced.
    ///
    /// Holds the names of all live files in memory while it lasts.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when the claim that it was made under is no longer this writer's,
    /// [`CommitError::NotLive`] when a file is not live any more, by another replacement for example:
    /// nothing was appended. After a store error the replacement may stand: fold the log to know.
    pub async fn replace(&mut self, replace: Replace) -> Result<Appended, CommitError> {
        let appended = self.append_replace(&replace).await;
        self.tail.state.live = None;
        let appended = appended?;
        self.carry_out(appended.number, &FileChange::Replace(replace), &[])
            .await?;
        Ok(appended)
    }

    async fn append_replace(&mut self, replace: &Replace) -> Result<Appended, CommitError> {
        self.tail.boundary.look(self.store.as_ref()).await?;
        self.tail.load_live(self.store.as_ref()).await?;
        self.catch_up().await?;
        let taken = |change: &FileChange| {
            let mut added = change.added();
            added.any(|file| replace.taken.iter().any(|taken| taken.path == file.path))
        };
        // Nobody can bring such a file back, so what is given up counts as published.
        self.finish(taken, &replace.taken).await?;
        self.append(Body::Replace(replace.clone())).await
    }

    /// Gives the files of a commit their final names. Can be repeated, by any writer.
    ///
    /// # Errors
    /// [`CommitError::LostFile`] when a file is neither staged nor published, and no replacement has
    /// taken it out.
    pub async fn publish(&mut self, number: u64, commit: &Commit) -> Result<(), CommitError> {
        self.carry_out(number, &FileChange::Commit(commit.clone()), &[])
            .await
    }

    /// Finishes every commit and replacement whose files may not all be in their places, whoever
    /// appended it. Returns how many there were.
    ///
    /// # Errors
    /// As [`Log::publish`].
    pub async fn roll_forward(&mut self) -> Result<usize, CommitError> {
        self.finish(|_| true, &[]).await
    }

    /// Finishes what concerns source partitions that were just claimed. No further record can be
    /// appended by an earlier holder, so nothing of theirs is left behind.
    async fn finish_predecessors(
        &mut self,
        claimed: &[SourcePartition],
    ) -> Result<usize, CommitError> {
        self.finish(|change| change.concerns(claimed), &[]).await
    }

    async fn finish(
        &mut self,
        which: impl Fn(&FileChange) -> bool,
        given_up: &[TakenFile],
    ) -> Result<usize, CommitError> {
        let mut left: BTreeMap<u64, FileChange> = self.tail.state.unpublished.clone();
        left.retain(|_, change| which(change));
        for (number, change) in &left {
            self.carry_out(*number, change, given_up).await?;
        }
        Ok(left.len())
    }

    async fn carry_out(
        &mut self,
        number: u64,
        change: &FileChange,
        given_up: &[TakenFile],
    ) -> Result<(), CommitError> {
        let missing = publish::carry_out(self.store.as_ref(), change, given_up).await?;
        if !missing.is_empty() {
            // Before a file counts as lost: a later record may have taken it out while this writer
            // slept. To bring it back then would double its rows.
            let snapshot = live::snapshot(self.store.as_ref()).await?;
            let mut missing = missing.into_iter();
            if let Some(path) = missing.find(|path| snapshot.files.contains_key(path)) {
                return Err(CommitError::LostFile {
                    number,
                    path,
                    about: change.about(),
                });
            }
        }
        self.tail.state.unpublished.remove(&number);
        self.published.push(number);
        Ok(())
    }

    /// Records of other writers that got a number which one of ours was offered at, so far.
    pub fn lost_races(&self) -> u64 {
        self.lost_races
    }

    async fn append(&mut self, body: Body) -> Result<Appended, CommitError> {
        if !self.tail.is_sure() {
            self.catch_up().await?;
        }
        let record = self.record(body);
        let name = prepared_name(&self.session, &record.nonce);
        let bytes = record.encode().into();
        let mut offer = Offer::prepare(self.store.as_ref(), name, bytes).await?;
        let appended = self.append_prepared(record, &mut offer).await;
        // The name of the record and the prepared file are links to the same bytes, or a copy; a
        // put whose reply is still out can only fail without it, which a fold will show.
        if let Err(error) = self.store.drop_prepared(offer.prepared).await {
            tracing::debug!(%error, "a prepared log record stays behind");
        }
        let appended = appended?;
        self.lost_races += u64::from(appended.lost_races);
        Ok(appended)
    }

    async fn append_prepared(
        &mut self,
        record: Record,
        offer: &mut Offer,
    ) -> Result<Appended, CommitError> {
        let said = record.published.len();
        let (mut append, mut ask) = Append::begin(record, &self.tail.state);
        let mut put_error = None;
        loop {
            ask = match ask {
                Ask::Read(number) => {
                    let found = read_record(self.store.as_ref(), number).await?;
                    if let (None, Some(error)) = (&found, put_error.take()) {
                        // The put failed and left nothing: the store has to recover first.
                        return Err(CommitError::Store(error));
                    }
                    append.read(&mut self.tail.state, found.as_ref())?
                }
                Ask::Look => {
                    self.tail.boundary.look(self.store.as_ref()).await?;
                    append.looked(&self.tail.state, self.tail.boundary.head())?
                }
                Ask::Refold => {
                    self.tail.begin_at_checkpoint(self.store.as_ref()).await?;
                    self.forget_published();
                    append.refolded(&self.tail.state)
                }
                Ask::Put(number) => {
                    let path = record_path(number);
                    let put = self.store.put_if_absent(&offer.prepared, &path).await;
                    let seen = match put {
                        Ok(Put::Created) => PutSeen::Created,
                        Ok(Put::Exists) => PutSeen::Exists,
                        Err(error) if error.kind == StoreErrorKind::Transient => {
                            put_error = Some(error);
                            PutSeen::Unknown
                        }
                        Err(error)
                            if error.kind == StoreErrorKind::Corrupt
                                && offer.may_be_prepared_again() =>
                        {
                            offer.prepare_again(self.store.as_ref()).await?;
                            PutSeen::Unknown
                        }
                        Err(error) => return Err(CommitError::Store(error)),
                    };
                    if seen == PutSeen::Exists {
                        self.stand_back(append.lost_races()).await;
                    }
                    append.put(&mut self.tail.state, seen)?
                }
                Ask::Done(number) => {
                    self.tail.settle();
                    self.published.drain(..said);
                    return Ok(Appended {
                        number,
                        lost_races: append.lost_races(),
                    });
                }
            };
        }
    }

    /// Waits for a moment after a lost race: writers that offer again at once meet again, and each
    /// meeting costs all of them a read and a put.
    async fn stand_back(&mut self, lost_before: u32) {
        let longest = STAND_BACK.saturating_mul(1 << lost_before.min(8));
        let wait = self.chance.jitter(longest.min(LONGEST_STAND_BACK));
        self.clock.pass(wait).await;
    }

    fn record(&mut self, body: Body) -> Record {
        Record {
            format: FORMAT,
            session: self.session.clone(),
            nonce: self.chance.hex_id(),
            checked: self.tail.state.head,
            at: self.now(),
            published: self.published.clone(),
            body,
        }
    }

    fn now(&self) -> String {
        let at = chrono::DateTime::from_timestamp_micros(self.clock.wall_micros());
        let at = at.unwrap_or(chrono::DateTime::UNIX_EPOCH);
        at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    }

    fn refuse_other_table(&self, wanted: &Definition) -> Result<(), CommitError> {
        let Some(found) = &self.tail.state.definition else {
            return Ok(());
        };
        if found == wanted {
            return Ok(());
        }
        let what = if found.partition_by != wanted.partition_by {
            format!(
                "is partitioned by {:?}, the settings say {:?}",
                found.partition_by, wanted.partition_by
            )
        } else if found.time_zone != wanted.time_zone {
            format!(
                "has the time zone {}, the settings say {}",
                found.time_zone, wanted.time_zone
            )
        } else {
            format!(
                "has {}",
                columns_difference(&found.columns, &wanted.columns)
            )
        };
        Err(CommitError::OtherTable(format!(
            "the table at {} {what}: set it as it was, or give another table.url for a new table",
            self.store.url()
        )))
    }
}

/// Names the first column in which two definitions differ.
fn columns_difference(found: &[(String, String)], wanted: &[(String, String)]) -> String {
    let missing = found.iter().find(|column| !wanted.contains(column));
    let added = wanted.iter().find(|column| !found.contains(column));
    match (missing, added) {
        (Some((name, kind)), _) => {
            format!("a column `{name}` of type {kind}, which the schema does not have so")
        }
        (None, Some((name, kind))) => {
            format!("no column `{name}` of type {kind}, which the schema has")
        }
        (None, None) => "its columns in another order than the schema".into(),
    }
}
