//! What lives from one failure to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::mirror::checkpoint::{Checkpoint, Claim};
use crate::mirror::failure::DatabaseError;
use crate::mirror::lane::Lanes;
use crate::source::Watermarks;

/// One stretch between two failures.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) lanes: Lanes,
    pub(super) claiming: Option<Claiming>,
    pub(super) looking: Option<JoinHandle<Result<BTreeMap<i32, Checkpoint>, DatabaseError>>>,
    /// First offset not written, by partition, as far as is known.
    pub(super) written: BTreeMap<i32, i64>,
    pub(super) looked_at: Duration,
}

pub(super) struct Claiming {
    pub(super) watermarks: BTreeMap<i32, Watermarks>,
    /// Each with the lane that it is to join.
    pub(super) task: JoinHandle<Result<Vec<(usize, Claim)>, DatabaseError>>,
}

impl Session {
    /// Stops what is under way. The checkpoint tells the next session what of it was committed.
    pub(super) fn drop_work(&mut self) {
        for lane in &mut self.lanes.all {
            lane.in_flight = None;
        }
        if let Some(claiming) = &self.claiming {
            claiming.task.abort();
        }
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

/// Offsets not written yet, by partition.
pub(super) fn next_offsets(checkpoints: &BTreeMap<i32, Checkpoint>) -> BTreeMap<i32, i64> {
    let next = checkpoints.iter();
    next.map(|(partition, checkpoint)| (*partition, checkpoint.next))
        .collect()
}
