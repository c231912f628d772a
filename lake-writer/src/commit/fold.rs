//! Reading the log: its newest checkpoint, and the records behind it.
//!
//! ```text
//! newest checkpoint ─► records behind it ─► look for a newer checkpoint ─► State
//!        ▲                                              │ it has passed what was read
//!        └──────────────────────────────────────────────┘
//! ```
//!
//! Owns: the order of these reads, by which what was read is the log's and not a leftover.
//! Does not own: what records add up to (`state`).

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::store::{Store, TablePath};

use super::CommitError;
use super::boundary::Boundary;
use super::live;
use super::record::{Record, record_number, record_path};
use super::state::State;

/// Records read at once while the log is folded: hides the round trips of a remote store.
pub(super) const READ_AHEAD: u64 = 16;

/// The state of a table's log as it stands now: the newest checkpoint and the records behind it.
///
/// # Errors
/// [`CommitError::Broken`] when a record is missing or does not fit, and others for what cannot be
/// read; store errors.
pub async fn fold(store: &dyn Store) -> Result<State, CommitError> {
    Ok(Tail::open(store).await?.state)
}

/// Every record that was not dropped yet and counts, in order, with its number. For people and
/// tests: what is dropped, and when, is no promise.
///
/// # Errors
/// Store errors, and those of records that cannot be read.
pub async fn records(store: &dyn Store) -> Result<Vec<(u64, Record)>, CommitError> {
    let mut records = Vec::new();
    for number in record_numbers(store, None).await? {
        // One that is gone was dropped since it was listed.
        if let Some(record) = read_record(store, number).await? {
            records.push((number, record));
        }
    }
    Ok(records)
}

/// Numbers of the records behind `after` that were not dropped yet, ascending. The very first may be
/// a leftover that does not count: one that was put where the last dropped record had been.
///
/// # Errors
/// [`CommitError::Broken`] when a record is missing behind the newest checkpoint; store errors.
pub async fn record_numbers(
    store: &dyn Store,
    after: Option<u64>,
) -> Result<Vec<u64>, CommitError> {
    let last = after.map(record_path);
    let name = last.as_ref().map_or("", |path| path.file_name());
    let listed = store.list_after(&records_folder(), name).await?;
    let names = listed.iter().map(|entry| entry.path.file_name());
    let mut numbers: Vec<u64> = names.filter_map(record_number).collect();
    let before = after.into_iter().chain(numbers.iter().copied());
    let pairs = before.zip(numbers.iter().skip(usize::from(after.is_none())));
    let gap = pairs
        .filter(|(before, number)| before + 1 != **number)
        .last();
    let Some((before, behind)) = gap.map(|(before, behind)| (before, *behind)) else {
        return Ok(numbers);
    };
    let mut boundary = Boundary::default();
    boundary.look(store).await?;
    if boundary.head() <= Some(before) {
        return Err(missing(before + 1, behind));
    }
    // What lies before the gap was put where records had been dropped, or is being dropped.
    numbers.retain(|number| *number >= behind);
    Ok(numbers)
}

/// A log as far as it was read, and the newest checkpoint that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) state: State,
    pub(super) boundary: Boundary,
    /// Head up to which the state is known to be the log's: a checkpoint's, or one that no newer
    /// checkpoint had passed after it was read. What was read or put behind it may be a leftover.
    sure: Option<u64>,
}

impl Tail {
    /// Reads a log to its end.
    pub(super) async fn open(store: &dyn Store) -> Result<Self, CommitError> {
        let mut tail = Self::default();
        tail.boundary.look(store).await?;
        tail.begin_at_checkpoint(store).await?;
        tail.catch_up(store).await?;
        refuse_holes(store, &tail.state).await?;
        Ok(tail)
    }

    /// Reads on to the end. Looks for a newer checkpoint even when there was nothing to read: the
    /// record behind the head may be missing because it was dropped.
    pub(super) async fn catch_up(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        loop {
            let sure = self.sure;
            let read = match read_on(store, &mut self.state, |_, _| {}).await {
                Err(error) if !matches!(error, CommitError::Broken { .. }) => return Err(error),
                read => read,
            };
            self.boundary.look(store).await?;
            if self.boundary.head() <= sure {
                self.settle();
                return read;
            }
            // Whatever was read, even what does not fit, may have been put where records had been
            // dropped.
            self.begin_at_checkpoint(store).await?;
        }
    }

    /// Whether all of the state is known to be the log's. It is not after an append that failed, or that
    /// was given up: what it had read or put by then may be a leftover.
    pub(super) fn is_sure(&self) -> bool {
        self.sure == self.state.head
    }

    /// It was looked: no checkpoint has passed what was read.
    pub(super) fn settle(&mut self) {
        self.sure = self.state.head;
    }

    /// Puts the newest checkpoint's state in the place of the state. The names of live files are
    /// kept on if they were kept before.
    pub(super) async fn begin_at_checkpoint(
        &mut self,
        store: &dyn Store,
    ) -> Result<(), CommitError> {
        let keeps_live = self.state.live.is_some();
        self.state = self.boundary.state();
        self.settle();
        if keeps_live {
            self.load_live(store).await?;
        }
        Ok(())
    }

    /// Begins to keep the names of live files; the state is that of the newest checkpoint then.
    pub(super) async fn load_live(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        let segment = live::newest_segments(store, &mut self.boundary).await?;
        self.state = self.boundary.state();
        self.settle();
        self.state.live = Some(segment.files.into_keys().collect());
        Ok(())
    }
}

/// Folds records behind the state's head until there is none, and shows each. Whether they are the
/// log's is for the caller to look up afterwards.
pub(super) async fn read_on(
    store: &dyn Store,
    state: &mut State,
    mut seen: impl FnMut(u64, &Record),
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
            seen(number, &record);
        }
        ahead = READ_AHEAD;
    }
}

/// One record.
///
/// # Errors
/// Store errors; as [`Record::decode`].
pub async fn read_record(store: &dyn Store, number: u64) -> Result<Option<Record>, CommitError> {
    match store.read(&record_path(number)).await? {
        Some(bytes) => Ok(Some(Record::decode(number, &bytes)?)),
        None => Ok(None),
    }
}

/// Refuses a log that goes on behind its end: someone removed a record.
async fn refuse_holes(store: &dyn Store, state: &State) -> Result<(), CommitError> {
    let next = state.next_number();
    let last_read = record_path(next);
    let behind = store
        .list_after(&records_folder(), last_read.file_name())
        .await?;
    let stray = behind
        .iter()
        .find_map(|entry| record_number(entry.path.file_name()));
    // Another writer may append while we list, and drop what it has checkpointed: only what is still
    // missing then, with no checkpoint behind it, is a hole.
    let Some(stray) = stray else { return Ok(()) };
    if store.read(&last_read).await?.is_some() {
        return Ok(());
    }
    let mut boundary = Boundary::default();
    boundary.look(store).await?;
    if boundary.head() >= Some(next) {
        return Ok(());
    }
    Err(missing(next, stray))
}

fn missing(number: u64, stray: u64) -> CommitError {
    CommitError::Broken {
        number,
        problem: format!("it is missing, while record {stray} is there; restore it from a backup"),
    }
}

pub(super) fn records_folder() -> TablePath {
    TablePath::new("log").expect("a legal name")
}
