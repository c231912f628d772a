//! Keeping the log short: checkpoints, and dropping what they hold.
//!
//! ```text
//! newest checkpoint + records behind it ─► segment ─► checkpoint (put if absent) ─► older records go
//! ```
//!
//! Owns: the order of these steps. Runs beside commits and shares nothing with them but the store:
//! what it writes follows from the log alone.
//! Does not own: when it is done (`writer`), the formats (`checkpoint`, `segment`).
//!
//! A crash at any moment leaves a checkpoint that stands or none, and at most a segment that nobody
//! names, which a later checkpoint removes.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::clock::Chance;
use crate::store::{Put, Store, TablePath};

use super::CommitError;
use super::boundary::Boundary;
use super::checkpoint::{
    Checkpoint, checkpoint_generation, checkpoint_path, checkpoints_folder, merged_with,
};
use super::fold::{read_on, records_folder};
use super::live::read_segments;
use super::offer::{prepared_name, put_document};
use super::record::record_number;
use super::segment::{Segment, SegmentRef, last_record_of, segments_folder};

/// Files removed at once: enough to hide round trips, few enough not to crowd a name node.
const CONCURRENCY: usize = 16;

/// Writes checkpoints in the name of a session.
#[derive(Debug)]
pub struct Checkpointer {
    pub(super) store: Arc<dyn Store>,
    pub(super) chance: Chance,
    pub(super) session: String,
    pub(super) at: String,
}

/// A checkpoint that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// Its generation.
    pub generation: u64,
    /// Last record in it.
    pub head: u64,
    /// Bytes of the checkpoint and of the segment that was written for it.
    pub bytes: u64,
}

impl Checkpointer {
    /// Writes a checkpoint at the log's end. `None` when nothing is new, or when another writer was
    /// faster.
    ///
    /// # Errors
    /// Store errors, after which it may stand; as [`super::fold`].
    pub async fn write(mut self) -> Result<Option<Checkpointed>, CommitError> {
        let store = self.store.clone();
        let mut boundary = Boundary::default();
        boundary.look(store.as_ref()).await?;
        let (base, mut state) = (boundary.generation(), boundary.state());
        let mut new = Segment::beginning(state.next_number());
        let read = read_on(store.as_ref(), &mut state, |number, record| {
            new.add(number, &record.body);
        });
        let read = read.await;
        let segments = boundary.checkpoint().map(|newest| newest.segments.clone());
        let before = boundary.head();
        boundary.look(store.as_ref()).await?;
        if boundary.generation() != base {
            // What was read may have stood in the place of dropped records.
            return Ok(None);
        }
        read?;
        if state.head == before {
            return Ok(None);
        }
        let mut bytes = 0;
        let segments = self
            .add_segment(segments.unwrap_or_default(), new, &mut bytes)
            .await?;
        let at = std::mem::take(&mut self.at);
        let Some(checkpoint) = Checkpoint::of(&state, segments, &self.session, at) else {
            return Ok(None);
        };
        let generation = base.map_or(0, |base| base + 1);
        let encoded = checkpoint.encode();
        bytes += encoded.len() as u64;
        match self.put(&checkpoint_path(generation), encoded).await? {
            Put::Exists => Ok(None),
            Put::Created => Ok(Some(Checkpointed {
                generation,
                head: checkpoint.head,
                bytes,
            })),
        }
    }

    /// Writes what is new as a segment, merged with the last ones where these are small.
    async fn add_segment(
        &mut self,
        mut segments: Vec<SegmentRef>,
        new: Segment,
        written: &mut u64,
    ) -> Result<Vec<SegmentRef>, CommitError> {
        if new.entries() == 0 {
            return Ok(segments);
        }
        let merged = merged_with(&segments, new.entries());
        let merged = segments.split_off(segments.len() - merged);
        let mut segment = new;
        if !merged.is_empty() {
            let mut whole = read_segments(self.store.as_ref(), &merged).await?;
            whole.append(segment);
            segment = whole;
        }
        let bytes = segment.encode();
        *written += bytes.len() as u64;
        let named = SegmentRef::new(&segment, &bytes, &self.chance.hex_id());
        self.put(&named.path(), bytes).await?;
        segments.push(named);
        Ok(segments)
    }

    async fn put(&mut self, path: &TablePath, bytes: Vec<u8>) -> Result<Put, CommitError> {
        let waiting = prepared_name(&self.session, &self.chance.hex_id());
        Ok(put_document(self.store.as_ref(), &waiting, path, bytes.into()).await?)
    }
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Records.
    pub records: usize,
    /// Checkpoints before the newest.
    pub checkpoints: usize,
    /// Segments that the newest checkpoint does not name.
    pub segments: usize,
}

/// Drops what the newest checkpoint makes needless: all records in it but the last `keep`, older
/// checkpoints, and segments that it does not name.
///
/// A segment that ends behind the checkpoint is spared: it may be of the next one, which is being
/// written. One that ends before it and is not named can be named by no later checkpoint either.
///
/// # Errors
/// Store errors; it can be repeated at any time.
pub async fn drop_needless(store: &dyn Store, keep: u64) -> Result<Dropped, CommitError> {
    let mut boundary = Boundary::default();
    boundary.look(store).await?;
    let (Some(newest), Some(generation)) = (boundary.checkpoint(), boundary.generation()) else {
        return Ok(Dropped::default());
    };
    let records = paths_of(store, records_folder(), |name| {
        record_number(name).is_some_and(|number| number.saturating_add(keep) <= newest.head)
    })
    .await?;
    let checkpoints = paths_of(store, checkpoints_folder(), |name| {
        checkpoint_generation(name).is_some_and(|older| older < generation)
    })
    .await?;
    let segments = paths_of(store, segments_folder(), |name| {
        let named = newest.segments.iter().any(|segment| segment.name == name);
        !named && last_record_of(name).is_some_and(|last| last <= newest.head)
    })
    .await?;
    for paths in [&records, &checkpoints, &segments] {
        delete_all(store, paths).await?;
    }
    Ok(Dropped {
        records: records.len(),
        checkpoints: checkpoints.len(),
        segments: segments.len(),
    })
}

async fn paths_of(
    store: &dyn Store,
    folder: TablePath,
    needless: impl Fn(&str) -> bool,
) -> Result<Vec<TablePath>, CommitError> {
    let listed = store.list_after(&folder, "").await?;
    let paths = listed.into_iter().map(|entry| entry.path);
    Ok(paths.filter(|path| needless(path.file_name())).collect())
}

async fn delete_all(store: &dyn Store, paths: &[TablePath]) -> Result<(), CommitError> {
    let deleting: Vec<_> = paths.iter().map(|path| store.delete(path)).collect();
    stream::iter(deleting)
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    Ok(())
}
