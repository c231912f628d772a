//! Rows by lake partition, as slices of the batches they came in.
//!
//! ```text
//! Split (one batch, many runs) ─► Held ─┬─► take(partition) ─► slices, to be encoded
//!                                       └─► compact(): what stays lets its batches go
//! ```
//!
//! A slice is a few numbers and a reference: thousands of lake partitions cost no memory of their
//! own. In return a batch lives until the last of its slices is gone, and so does its reservation;
//! that is why rows that stay while others are encoded are copied together.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;

use crate::partition::Split;

use super::{MemoryBudget, MemoryUse, Reservation};

/// Rows that one compacted batch may have, as many as a fresh one.
const COMPACTED_ROWS: usize = 65_536;

/// Bytes that a slice and its place in a list take, counted with the batch.
const SLICE_BYTES: usize = 32;

/// A batch and the budget it takes.
#[derive(Debug)]
struct Parent {
    batch: RecordBatch,
    row_bytes: usize,
    _reservation: Reservation,
}

/// Consecutive rows of a batch that is kept alive by them.
#[derive(Clone, Debug)]
pub struct Slice {
    parent: Arc<Parent>,
    start: u32,
    rows: u32,
}

impl Slice {
    /// The rows; no copy.
    pub fn batch(&self) -> RecordBatch {
        self.parent
            .batch
            .slice(self.start as usize, self.rows as usize)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Bytes of the rows, by the average of their batch.
    pub fn bytes(&self) -> usize {
        self.rows() * self.parent.row_bytes
    }
}

/// The rows of one lake partition.
#[derive(Debug, Default)]
struct Lane {
    slices: Vec<Slice>,
    bytes: usize,
}

/// The rows held, by id of the lake partition.
#[derive(Debug)]
pub struct Held {
    budget: Arc<MemoryBudget>,
    lanes: Vec<Lane>,
    rows: u64,
    bytes: usize,
}

impl Held {
    /// Holds nothing.
    pub fn new(budget: Arc<MemoryBudget>) -> Self {
        Self {
            budget,
            lanes: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Takes the rows of a batch.
    pub fn push(&mut self, split: Split) {
        let Split { rows, runs } = split;
        if runs.is_empty() {
            return;
        }
        let bytes = rows.get_array_memory_size();
        let parent = self.parent(rows, bytes + runs.len() * SLICE_BYTES);
        for run in runs {
            self.push_slice(
                run.partition,
                Slice {
                    parent: Arc::clone(&parent),
                    start: run.start,
                    rows: run.rows,
                },
            );
        }
    }

    fn parent(&self, batch: RecordBatch, bytes: usize) -> Arc<Parent> {
        Arc::new(Parent {
            row_bytes: bytes.div_ceil(batch.num_rows().max(1)),
            batch,
            _reservation: self.budget.reserve(MemoryUse::Rows, bytes),
        })
    }

    fn push_slice(&mut self, partition: u32, slice: Slice) {
        let at = partition as usize;
        if self.lanes.len() <= at {
            self.lanes.resize_with(at + 1, Lane::default);
        }
        self.rows += u64::from(slice.rows);
        self.bytes += slice.bytes();
        let lane = &mut self.lanes[at];
        lane.bytes += slice.bytes();
        lane.slices.push(slice);
    }

    /// Rows held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the rows held. The budget may count more, for batches of which a part is gone.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ids of the lake partitions that hold rows, those with the most bytes first.
    pub fn largest_first(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..)
            .zip(&self.lanes)
            .filter(|(_, lane)| !lane.slices.is_empty())
            .map(|(id, _)| id)
            .collect();
        ids.sort_by_key(|&id| std::cmp::Reverse(self.lanes[id as usize].bytes));
        ids
    }

    /// Hands out the rows of a lake partition, in the order in which they came.
    pub fn take(&mut self, partition: u32) -> Vec<Slice> {
        let Some(lane) = self.lanes.get_mut(partition as usize) else {
            return Vec::new();
        };
        let lane = std::mem::take(lane);
        self.bytes -= lane.bytes;
        self.rows -= lane
            .slices
            .iter()
            .map(|slice| slice.rows() as u64)
            .sum::<u64>();
        lane.slices
    }

    /// Copies what is held together, so that batches of which most rows are gone are let go.
    ///
    /// # Errors
    /// When the rows do not fit an Arrow array, which no batch of ours reaches.
    pub fn compact(&mut self) -> Result<(), ArrowError> {
        let mut lanes = std::mem::take(&mut self.lanes);
        (self.rows, self.bytes) = (0, 0);
        let mut gathered: Vec<(u32, Slice)> = Vec::new();
        let mut rows = 0;
        for (partition, lane) in (0..).zip(&mut lanes) {
            for slice in lane.slices.drain(..) {
                if rows > 0 && rows + slice.rows() > COMPACTED_ROWS {
                    self.push_gathered(&gathered)?;
                    gathered.clear();
                    rows = 0;
                }
                rows += slice.rows();
                gathered.push((partition, slice));
            }
        }
        self.push_gathered(&gathered)
    }

    /// Copies slices into a batch of their own; neighbours of one lake partition become one slice.
    fn push_gathered(&mut self, gathered: &[(u32, Slice)]) -> Result<(), ArrowError> {
        let Some((_, first)) = gathered.first() else {
            return Ok(());
        };
        let schema = first.parent.batch.schema();
        let batches: Vec<RecordBatch> = gathered.iter().map(|(_, slice)| slice.batch()).collect();
        let batch = concat_batches(&schema, &batches)?;
        let bytes = batch.get_array_memory_size() + gathered.len() * SLICE_BYTES;
        let parent = self.parent(batch, bytes);
        let mut start = 0;
        for same in gathered.chunk_by(|one, next| one.0 == next.0) {
            let rows = same.iter().map(|(_, slice)| slice.rows).sum();
            self.push_slice(
                same[0].0,
                Slice {
                    parent: Arc::clone(&parent),
                    start,
                    rows,
                },
            );
            start += rows;
        }
        Ok(())
    }

    /// Lets everything go.
    pub fn clear(&mut self) {
        self.lanes.clear();
        (self.rows, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};

    use crate::partition::Splitter;

    use super::*;

    fn push(held: &mut Held, splitter: &mut Splitter, first: i64, ids: &[u32]) {
        let values = Int64Array::from_iter_values(first..first + ids.len() as i64);
        let batch = RecordBatch::try_from_iter([("row", Arc::new(values) as _)]).expect("a batch");
        held.push(splitter.split(batch, ids).expect("rows fit"));
    }

    fn values(slices: &[Slice]) -> Vec<i64> {
        slices
            .iter()
            .flat_map(|slice| {
                let batch = slice.batch();
                batch
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec()
            })
            .collect()
    }

    #[test]
    fn a_batch_is_counted_until_its_last_slice_is_gone() {
        // GIVEN two batches over three lake partitions.
        let budget = MemoryBudget::new(1 << 20);
        let mut held = Held::new(Arc::clone(&budget));
        let mut splitter = Splitter::default();
        push(&mut held, &mut splitter, 0, &[1, 0, 1, 2]);
        push(&mut held, &mut splitter, 10, &[1, 1, 1, 0]);
        let all = budget.used_for(MemoryUse::Rows);
        assert_eq!((held.rows(), held.largest_first()), (8, vec![1, 0, 2]));
        // WHEN the largest is taken THEN its rows come in order, and both batches still count.
        let slices = held.take(1);
        assert_eq!(values(&slices), [0, 2, 10, 11, 12]);
        drop(slices);
        assert_eq!(budget.used_for(MemoryUse::Rows), all);
        // WHEN the rest is copied together THEN less is counted, and no row is lost.
        held.compact().expect("rows fit");
        assert!(budget.used_for(MemoryUse::Rows) < all);
        assert_eq!(held.rows(), 3);
        assert_eq!(values(&held.take(0)), [1, 13]);
        assert_eq!(values(&held.take(2)), [3]);
        // THEN nothing is counted once all are gone.
        assert_eq!((held.rows(), held.bytes(), budget.used()), (0, 0, 0));
    }

    #[test]
    fn compaction_keeps_batches_to_a_size() {
        // GIVEN more rows of two lake partitions than one batch may have.
        let budget = MemoryBudget::new(1 << 30);
        let mut held = Held::new(budget);
        let mut splitter = Splitter::default();
        let ids: Vec<u32> = (0..40_000).map(|row| row % 2).collect();
        for batch in 0..5 {
            push(&mut held, &mut splitter, batch * 40_000, &ids);
        }
        // WHEN copied together THEN rows are all there, in order, in a few slices.
        held.compact().expect("rows fit");
        for partition in 0..2 {
            let slices = held.take(partition);
            assert!(slices.len() <= 3, "{} slices", slices.len());
            let expected: Vec<i64> = (0..200_000)
                .filter(|row| row % 2 == i64::from(partition))
                .collect();
            assert_eq!(values(&slices), expected);
        }
    }
}
