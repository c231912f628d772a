//! The log's I/O: fold it, append to it, finish what it promises.
//!
//! Owns: one writer's view of the log, and its session's records.
//! Does not own: the decision whether a record may be appended (`state`, `append`).

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::clock::{Chance, Clock};
use crate::source::SourcePartition;
use crate::store::{Prepared, Put, Store, StoreErrorKind, TablePath};

use super::CommitError;
use super::append::{Append, Ask, PutSeen};
use super::publish;
use super::record::{Body, Claim, Commit, Definition, FORMAT, Record, record_number, record_path};
use super::state::{SourceState, State};

/// Records read at once while the log is folded: hides the round trips of a remote store.
const READ_AHEAD: u64 = 16;

/// One writer's view of a table's log, and the hand that appends to it.
#[derive(Debug)]
pub struct Log {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Chance,
    session: String,
    state: State,
    /// Commits whose files this writer has seen published, not yet said in a record.
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

/// The state of a table's log as it stands now.
///
/// # Errors
/// [`CommitError::Broken`] when a record is missing or does not fit; store errors.
pub async fn fold(store: &dyn Store) -> Result<State, CommitError> {
    fold_showing(store, |_, _| {}).await
}

/// The same, with every record shown on the way, in order and with its number.
///
/// # Errors
/// As [`fold`].
pub async fn fold_showing(
    store: &dyn Store,
    seen: impl FnMut(u64, Record),
) -> Result<State, CommitError> {
    let mut state = State::default();
    fold_tail(store, &mut state, seen).await?;
    refuse_holes(store, &state).await?;
    Ok(state)
}

/// Every record of the log in order, with its number.
///
/// # Errors
/// As [`fold`].
pub async fn records(store: &dyn Store) -> Result<Vec<(u64, Record)>, CommitError> {
    let mut records = Vec::new();
    fold_showing(store, |number, record| records.push((number, record))).await?;
    Ok(records)
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
        let state = fold(store.as_ref()).await?;
        let session = chance.hex_id();
        let mut log = Self {
            store,
            clock,
            chance,
            session,
            state,
            published: Vec::new(),
            lost_races: 0,
        };
        if log.state.definition.is_none() {
            log.append(Body::Table(definition.clone())).await?;
        }
        log.refuse_other_table(&definition)?;
        Ok(log)
    }

    /// This writer's name in the log.
    pub fn session(&self) -> &str {
        &self.session
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// The fold of every record this writer has seen.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Folds what others have appended since.
    ///
    /// # Errors
    /// As [`fold`].
    pub async fn catch_up(&mut self) -> Result<&State, CommitError> {
        fold_tail(self.store.as_ref(), &mut self.state, |_, _| {}).await?;
        Ok(&self.state)
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
            let state = self.state.sources[&source].clone();
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

    /// Gives the files of a commit their final names. Can be repeated, by any writer.
    ///
    /// # Errors
    /// [`CommitError::LostFile`] when a file is neither staged nor published.
    pub async fn publish(&mut self, number: u64, commit: &Commit) -> Result<(), CommitError> {
        publish::publish(self.store.as_ref(), number, commit).await?;
        self.state.unpublished.remove(&number);
        self.published.push(number);
        Ok(())
    }

    /// Finishes every commit whose files may not all be published, whoever appended it. Returns
    /// how many there were.
    ///
    /// # Errors
    /// As [`Log::publish`].
    pub async fn roll_forward(&mut self) -> Result<usize, CommitError> {
        let unpublished = self.state.unpublished.clone();
        for (number, commit) in &unpublished {
            self.publish(*number, commit).await?;
        }
        Ok(unpublished.len())
    }

    /// Publishes every commit of source partitions that were just claimed. No further one can be
    /// appended by an earlier holder, so nothing of theirs is left behind.
    async fn finish_predecessors(
        &mut self,
        claimed: &[SourcePartition],
    ) -> Result<(), CommitError> {
        let of_claimed = |commit: &Commit| {
            let mut ranges = commit.ranges.iter();
            ranges.any(|range| claimed.contains(&range.source))
        };
        let mut unpublished = self.state.unpublished.clone();
        unpublished.retain(|_, commit| of_claimed(commit));
        for (number, commit) in &unpublished {
            self.publish(*number, commit).await?;
        }
        Ok(())
    }

    /// Records of other writers that got a number which one of ours was offered at, so far.
    pub fn lost_races(&self) -> u64 {
        self.lost_races
    }

    async fn append(&mut self, body: Body) -> Result<Appended, CommitError> {
        let record = self.record(body);
        let name = TablePath::new(format!("stage/{}/log-{}", self.session, record.nonce))
            .expect("hexadecimal ids make a legal name");
        let mut offer = Offer::prepare(self.store.as_ref(), name, record.encode().into()).await?;
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
        let (mut append, mut ask) = Append::begin(record, &self.state);
        let mut put_error = None;
        loop {
            ask = match ask {
                Ask::Read(number) => {
                    let found = read_record(self.store.as_ref(), number).await?;
                    if let (None, Some(error)) = (&found, put_error.take()) {
                        // The put failed and left nothing: the store has to recover first.
                        return Err(CommitError::Store(error));
                    }
                    append.read(&mut self.state, found.as_ref())?
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
                    append.put(&mut self.state, seen)?
                }
                Ask::Done(number) => {
                    self.published.drain(..said);
                    return Ok(Appended {
                        number,
                        lost_races: append.lost_races(),
                    });
                }
            };
        }
    }

    fn record(&mut self, body: Body) -> Record {
        let at = chrono::DateTime::from_timestamp_micros(self.clock.wall_micros())
            .unwrap_or(chrono::DateTime::UNIX_EPOCH);
        Record {
            format: FORMAT,
            session: self.session.clone(),
            nonce: self.chance.hex_id(),
            checked: self.state.head,
            at: at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            published: self.published.clone(),
            body,
        }
    }

    fn refuse_other_table(&self, wanted: &Definition) -> Result<(), CommitError> {
        let Some(found) = &self.state.definition else {
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

/// How often a record is prepared before its loss counts as the store's fault.
const MOST_PREPARED: u32 = 8;

/// The bytes of a record, waiting below `stage/` for the number that they get.
#[derive(Debug)]
struct Offer {
    name: TablePath,
    bytes: Bytes,
    prepared: Prepared,
    times: u32,
}

impl Offer {
    async fn prepare(
        store: &dyn Store,
        name: TablePath,
        bytes: Bytes,
    ) -> Result<Self, CommitError> {
        let prepared = store.prepare(&name, bytes.clone()).await?;
        Ok(Self {
            name,
            bytes,
            prepared,
            times: 1,
        })
    }

    /// Whether losing it once more is still a sweep's doing.
    fn may_be_prepared_again(&self) -> bool {
        self.times < MOST_PREPARED
    }

    /// A sweep of another writer took the prepared bytes: it cannot tell a session that is about to
    /// claim from one that died before it could. Nothing was put, and without its bytes nothing of
    /// an earlier put can take effect any more.
    async fn prepare_again(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        self.prepared = store.prepare(&self.name, self.bytes.clone()).await?;
        self.times += 1;
        Ok(())
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

/// Folds records behind the state's head until there is none.
async fn fold_tail(
    store: &dyn Store,
    state: &mut State,
    mut seen: impl FnMut(u64, Record),
) -> Result<(), CommitError> {
    // One read alone first: mostly there is nothing new, and then one round trip is enough.
    let mut ahead = 1;
    loop {
        let from = state.next_number();
        let reads: Vec<_> = (from..from + ahead)
            .map(|number| read_record(store, number))
            .collect();
        let reads: Vec<Option<Record>> = stream::iter(reads)
            .buffered(READ_AHEAD as usize)
            .try_collect()
            .await?;
        for (number, record) in (from..).zip(reads) {
            let Some(record) = record else { return Ok(()) };
            state.apply(&record)?;
            seen(number, record);
        }
        ahead = READ_AHEAD;
    }
}

async fn read_record(store: &dyn Store, number: u64) -> Result<Option<Record>, CommitError> {
    match store.read(&record_path(number)).await? {
        Some(bytes) => Ok(Some(Record::decode(number, &bytes)?)),
        None => Ok(None),
    }
}

/// Refuses a log that goes on behind its end: someone removed a record.
async fn refuse_holes(store: &dyn Store, state: &State) -> Result<(), CommitError> {
    let next = state.next_number();
    let folder = TablePath::new("log").expect("a legal name");
    let last_read = record_path(next);
    let behind = store.list_after(&folder, last_read.file_name()).await?;
    let stray = behind
        .iter()
        .find_map(|entry| record_number(entry.path.file_name()));
    // Another writer may append while we list: only what is still missing then is a hole.
    match stray {
        Some(stray) if store.read(&last_read).await?.is_none() => Err(CommitError::Broken {
            number: next,
            problem: format!(
                "it is missing, while record {stray} is there; restore it from a backup"
            ),
        }),
        _ => Ok(()),
    }
}
