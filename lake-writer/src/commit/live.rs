//! The live files of a table, and the ranges that they were made from.
//!
//! ```text
//! segments of the newest checkpoint + records behind it ─► Snapshot ─► files, verify, replacements
//! ```
//!
//! Owns: putting them together, at one instant of the log.
//! Does not own: which files are visible already: the last commit may still be on its way.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::store::{Store, TablePath};

use super::CommitError;
use super::boundary::Boundary;
use super::fold::{READ_AHEAD, read_on};
use super::segment::{LiveFile, NumberedRange, Segment, SegmentRef};
use super::state::State;

/// How often segments may vanish while they are read before the log counts as broken. Each time
/// somebody has to have written a checkpoint in between.
const MOST_TRIES: usize = 16;

/// A table at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The state up to the last record.
    pub state: State,
    /// Live files below `data/` and `dead/`.
    pub files: BTreeMap<TablePath, LiveFile>,
    /// The ranges of every commit, in order.
    pub ranges: Vec<NumberedRange>,
}

/// The table as it stands now. Reads every segment: time and memory are those of the whole list of
/// files.
///
/// # Errors
/// As [`super::fold`]; [`CommitError::BrokenDocument`] when a segment is missing or damaged.
pub async fn snapshot(store: &dyn Store) -> Result<Snapshot, CommitError> {
    let mut boundary = Boundary::default();
    boundary.look(store).await?;
    loop {
        let mut whole = newest_segments(store, &mut boundary).await?;
        let mut state = boundary.state();
        let generation = boundary.generation();
        let read = read_on(store, &mut state, |number, record| {
            whole.add(number, &record.body);
        });
        let read = read.await;
        boundary.look(store).await?;
        if boundary.generation() == generation {
            read?;
            return Ok(Snapshot {
                state,
                files: whole.files,
                ranges: whole.ranges,
            });
        }
    }
}

/// All segments of the newest checkpoint as one.
pub(super) async fn newest_segments(
    store: &dyn Store,
    boundary: &mut Boundary,
) -> Result<Segment, CommitError> {
    for _ in 0..MOST_TRIES {
        let named = boundary.checkpoint().map(|newest| newest.segments.clone());
        let generation = boundary.generation();
        match read_segments(store, &named.unwrap_or_default()).await {
            Err(vanished @ CommitError::BrokenDocument { .. }) => {
                // Whoever wrote a newer checkpoint removes the segments that it does not name.
                boundary.look(store).await?;
                if boundary.generation() == generation {
                    return Err(vanished);
                }
            }
            read => return read,
        }
    }
    Err(CommitError::BrokenDocument {
        path: super::segment::segments_folder(),
        problem: "segments vanish faster than they can be read".into(),
    })
}

/// Reads neighbouring segments and makes one of them.
pub(super) async fn read_segments(
    store: &dyn Store,
    named: &[SegmentRef],
) -> Result<Segment, CommitError> {
    let from = named.first().map_or(0, |first| first.from);
    let reads: Vec<_> = named
        .iter()
        .map(|named| read_segment(store, named))
        .collect();
    let mut reads = stream::iter(reads).buffered(READ_AHEAD as usize);
    let mut whole = Segment::beginning(from);
    while let Some(segment) = reads.try_next().await? {
        whole.append(segment);
    }
    Ok(whole)
}

async fn read_segment(store: &dyn Store, named: &SegmentRef) -> Result<Segment, CommitError> {
    let path = named.path();
    match store.read(&path).await? {
        Some(bytes) => Segment::decode(named, &bytes),
        None => Err(CommitError::BrokenDocument {
            path,
            problem: "it is missing".into(),
        }),
    }
}
