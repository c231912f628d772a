//! What goes with the rows that the decoder holds, until they make a batch.
//!
//! ```text
//! row + partition id + offset ─► OpenBatch ─► columns of offsets, ids for the split
//! ```

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array};

use crate::batch::{MemoryBudget, MemoryUse, Reservation};
use crate::source::Message;

/// Rows of a batch. Small batches cost at thousands of lake partitions (slices of a few rows),
/// large ones cost nothing at a dozen.
const BATCH_ROWS: usize = 65_536;

/// Bytes that a batch has at most, whatever the budget.
const MAX_BATCH_BYTES: usize = 32 << 20;

/// Bytes of a row's partition id, source partition and offset.
const ROW_BYTES: usize = 16;

/// One entry for each row in the decoder, in the same order.
#[derive(Debug)]
pub(super) struct OpenBatch {
    ids: Vec<u32>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    value_bytes: usize,
    max_bytes: usize,
    reservation: Reservation,
}

impl OpenBatch {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            ids: Vec::new(),
            partitions: Vec::new(),
            offsets: Vec::new(),
            value_bytes: 0,
            // A batch is in memory twice while it is split.
            max_bytes: (budget.limit_bytes() / 16).min(MAX_BATCH_BYTES),
            reservation: budget.reserve(MemoryUse::Rows, 0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= BATCH_ROWS || self.value_bytes >= self.max_bytes
    }

    /// Bytes of messages that a batch may have.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Partition ids of the rows.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    #[inline]
    pub(super) fn push(&mut self, message: &Message<'_>, value_bytes: usize, id: u32) {
        self.ids.push(id);
        self.partitions.push(message.partition);
        self.offsets.push(message.offset);
        self.value_bytes += value_bytes;
    }

    /// Counts what is in memory: the decoder's columns, and this.
    pub(super) fn count(&mut self, decoded_bytes: usize) {
        self.reservation
            .resize(decoded_bytes + self.ids.len() * ROW_BYTES);
    }

    /// Source partition and offset of each row, as the last two columns of the batch.
    pub(super) fn take_offsets(&mut self) -> [ArrayRef; 2] {
        let rows = self.ids.len();
        let partitions = std::mem::replace(&mut self.partitions, Vec::with_capacity(rows));
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(rows));
        [
            Arc::new(Int32Array::from(partitions)),
            Arc::new(Int64Array::from(offsets)),
        ]
    }

    /// The rows have gone elsewhere.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.partitions.clear();
        self.offsets.clear();
        self.value_bytes = 0;
        self.reservation.resize(0);
    }
}
