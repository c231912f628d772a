//! The lake at one moment: files that can be read, and the offsets that they reach.
//!
//! ```text
//! commit log ─► Follower ─► commits whose files are all in their places ─► Moment
//! ```
//!
//! Owns: which of the last commits count: one is recorded before its files are published.
//! Does not own: what the log says (`lake_writer::commit`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use lake_writer::commit::record::FileChange;
use lake_writer::commit::segment::LiveFile;
use lake_writer::commit::{CommitError, Follower, State};
use lake_writer::source::SourcePartition;
use lake_writer::store::{Store, StoreError, TablePath};
use tokio::sync::Mutex;

/// Files asked for at once.
const LOOKS: usize = 16;
/// How often a replacement that is half done is looked at again, and how long after.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Why the lake cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The log.
    #[error("the commit log of {url} cannot be read")]
    Log {
        /// The table.
        url: String,
        /// Why.
        #[source]
        source: CommitError,
    },
    /// The store.
    #[error("a file of {url} cannot be looked at")]
    Store {
        /// The table.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Old files are gone, and new ones are not all there yet.
    #[error(
        "record {number} of {url} replaces files and is not carried out yet: run the query again, or \
         start a lake-writer, which finishes it"
    )]
    HalfReplaced {
        /// The table.
        url: String,
        /// The record.
        number: u64,
    },
}

/// The lake as one query sees it.
#[derive(Debug)]
pub(crate) struct Moment {
    /// Last record of the log.
    pub(crate) head: Option<u64>,
    /// Files below `data/`, by name.
    pub(crate) files: Vec<(TablePath, LiveFile)>,
    /// First offset of each source partition that is not in these files.
    pub(crate) next: BTreeMap<SourcePartition, i64>,
    /// Where partitions begin that no writer has claimed yet, as far as the log says.
    pub(crate) begins: BTreeMap<SourcePartition, i64>,
}

/// The lake, followed from query to query.
#[derive(Debug)]
pub(crate) struct Lake {
    store: Arc<dyn Store>,
    followed: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    follower: Follower,
    /// Records whose files were all seen in their places.
    carried_out: BTreeSet<u64>,
    last: Option<(BTreeSet<u64>, Arc<Moment>)>,
}

impl Lake {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            followed: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The lake as it stands now.
    ///
    /// # Errors
    /// See [`LakeError`].
    pub(crate) async fn now(&self) -> Result<Arc<Moment>, LakeError> {
        let mut half_done = 0;
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut followed = self.followed.lock().await;
            let looked = followed.follower.catch_up(self.store.as_ref()).await;
            looked.map_err(|source| LakeError::Log {
                url: self.store.url(),
                source,
            })?;
            match followed.look(self.store.as_ref()).await {
                Ok(Look::Readable(missing)) => return Ok(followed.moment(&missing)),
                Ok(Look::HalfReplaced(number)) => half_done = number,
                Err(source) => {
                    let url = self.store.url();
                    return Err(LakeError::Store { url, source });
                }
            }
        }
        Err(LakeError::HalfReplaced {
            url: self.store.url(),
            number: half_done,
        })
    }
}

enum Look {
    /// All but the files of these commits is there.
    Readable(BTreeSet<u64>),
    HalfReplaced(u64),
}

impl Followed {
    /// Looks for the files of records that nobody has said to be published.
    async fn look(&mut self, store: &dyn Store) -> Result<Look, StoreError> {
        let unpublished = &self.follower.state().unpublished;
        self.carried_out
            .retain(|number| unpublished.contains_key(number));
        let mut missing = BTreeSet::new();
        for (number, change) in unpublished {
            if self.carried_out.contains(number) {
                continue;
            }
            // A file that gave way meanwhile was lost or replaced, and is not waited for.
            let live = self.follower.files();
            let added = change.added().map(|file| &file.path);
            let wanted = added.filter(|path| is_data(path) && live.contains_key(path));
            let sizes: Vec<_> = wanted.map(|path| store.size(path)).collect();
            let sizes: Vec<_> = stream::iter(sizes).buffered(LOOKS).try_collect().await?;
            match (sizes.iter().all(Option::is_some), change) {
                (true, _) => {
                    self.carried_out.insert(*number);
                }
                (false, FileChange::Commit(_)) => {
                    missing.insert(*number);
                }
                (false, FileChange::Replace(_)) => return Ok(Look::HalfReplaced(*number)),
            }
        }
        Ok(Look::Readable(missing))
    }

    /// The moment without these commits; the one before, if nothing has happened since.
    fn moment(&mut self, missing: &BTreeSet<u64>) -> Arc<Moment> {
        let state = self.follower.state();
        if let Some((without, last)) = &self.last
            && last.head == state.head
            && without == missing
        {
            return last.clone();
        }
        let (hidden, next) = readable(state, missing);
        let files = self.follower.files().iter();
        let files = files.filter(|(path, file)| is_data(path) && !hidden.contains(&file.number));
        let moment = Arc::new(Moment {
            head: state.head,
            files: files
                .map(|(path, file)| (path.clone(), file.clone()))
                .collect(),
            next,
            begins: state.begins.clone(),
        });
        self.last = Some((missing.clone(), moment.clone()));
        moment
    }
}

fn is_data(path: &TablePath) -> bool {
    path.as_str().starts_with("data/")
}

/// Commits that do not count, and the offsets that the others reach. What follows a missing commit in
/// the same source partition does not count either: offsets of what is read have no gap.
fn readable(
    state: &State,
    missing: &BTreeSet<u64>,
) -> (BTreeSet<u64>, BTreeMap<SourcePartition, i64>) {
    let sources = state.sources.iter();
    let mut next: BTreeMap<_, _> = sources
        .map(|(source, held)| (source.clone(), held.next))
        .collect();
    let mut hidden = BTreeSet::new();
    let mut lowered: BTreeMap<SourcePartition, i64> = BTreeMap::new();
    for (number, change) in &state.unpublished {
        let FileChange::Commit(commit) = change else {
            continue;
        };
        let follows = |range: &lake_writer::commit::record::CommittedRange| {
            let from = lowered.get(&range.source);
            from.is_some_and(|from| range.range.start() >= *from)
        };
        if !missing.contains(number) && !commit.ranges.iter().any(follows) {
            continue;
        }
        hidden.insert(*number);
        for range in &commit.ranges {
            let from = lowered
                .entry(range.source.clone())
                .or_insert(range.range.start());
            *from = range.range.start().min(*from);
        }
    }
    next.extend(lowered);
    (hidden, next)
}

#[cfg(test)]
mod tests {
    use lake_writer::commit::record::{Commit, CommittedRange};
    use lake_writer::commit::state::SourceState;
    use lake_writer::source::OffsetRange;

    use super::*;

    fn source(partition: i32) -> SourcePartition {
        SourcePartition {
            topic_id: "topic".into(),
            partition,
        }
    }

    fn commit(ranges: &[(i32, i64, i64)]) -> FileChange {
        let range = |&(partition, start, next): &(i32, i64, i64)| CommittedRange {
            source: source(partition),
            range: OffsetRange::new(start, next),
            epoch: 1,
            rows: 1,
            dead_letters: 0,
            tombstones: 0,
            lost: 0,
        };
        FileChange::Commit(Commit {
            ranges: ranges.iter().map(range).collect(),
            files: Vec::new(),
            dead: Vec::new(),
        })
    }

    #[test]
    fn what_follows_a_commit_that_is_not_there_yet_does_not_count() {
        // GIVEN three commits that are not said to be published, of which the first is not there
        let mut state = State::default();
        for (partition, next) in [(0, 30), (1, 20), (2, 50)] {
            let held = SourceState {
                topic: "sales".into(),
                next,
                epoch: 1,
                session: "writer".into(),
                tally: Default::default(),
            };
            state.sources.insert(source(partition), held);
        }
        state.unpublished.insert(7, commit(&[(0, 10, 20)]));
        state
            .unpublished
            .insert(8, commit(&[(0, 20, 30), (1, 10, 20)]));
        state.unpublished.insert(9, commit(&[(2, 40, 50)]));
        // WHEN it is left out
        let (hidden, next) = readable(&state, &BTreeSet::from([7]));
        // THEN so is what follows it, with all that it holds, and offsets reach no further than that
        assert_eq!(hidden, BTreeSet::from([7, 8]));
        let next: Vec<i64> = next.into_values().collect();
        assert_eq!(next, [10, 10, 50]);
    }
}
