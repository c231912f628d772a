//! One budget for all memory that grows with the data.
//!
//! ```text
//! bytes ─► Reservation (travels with them) ─► dropped with them
//! ```
//!
//! Owns: the count. Nothing here refuses or waits: who holds bytes asks how much is used, and
//! decides what to encode, to send, or to stop reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What bytes are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryUse {
    /// Rows in Arrow form: decoded, split, not yet encoded.
    Rows,
    /// What open files keep besides their bytes: metadata of row groups, buffers.
    OpenFiles,
    /// Encoded bytes that wait for more of their file, because the store takes larger pieces.
    Waiting,
    /// Encoded bytes on their way to the store.
    InFlight,
}

/// The bytes that may be used, and those that are.
#[derive(Debug)]
pub struct MemoryBudget {
    limit_bytes: usize,
    used: [AtomicUsize; 4],
    total: AtomicUsize,
    peak: AtomicUsize,
}

/// Some bytes of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    kept_for: MemoryUse,
    bytes: usize,
}

impl MemoryBudget {
    /// A budget of which nothing is used.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            used: Default::default(),
            total: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    /// The bytes that may be used in all.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// The bytes used for one thing.
    pub fn used_for(&self, kept_for: MemoryUse) -> usize {
        // The count guards no other memory, so no ordering is needed.
        self.used[kept_for as usize].load(Ordering::Relaxed)
    }

    /// The bytes used in all.
    pub fn used(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever used at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn add(&self, kept_for: MemoryUse, bytes: usize) {
        self.used[kept_for as usize].fetch_add(bytes, Ordering::Relaxed);
        let before = self.total.fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
    }

    fn subtract(&self, kept_for: MemoryUse, bytes: usize) {
        self.used[kept_for as usize].fetch_sub(bytes, Ordering::Relaxed);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are there; what the limit demands is the caller's to do.
    pub fn reserve(self: &Arc<Self>, kept_for: MemoryUse, bytes: usize) -> Reservation {
        self.add(kept_for, bytes);
        Reservation {
            budget: Arc::clone(self),
            kept_for,
            bytes,
        }
    }
}

impl Reservation {
    /// The bytes counted.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes have become more or fewer.
    pub fn resize(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.add(self.kept_for, bytes - self.bytes);
        } else {
            self.budget.subtract(self.kept_for, self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Cuts off a part for bytes that go another way, now kept for something else.
    ///
    /// # Panics
    /// When fewer bytes are reserved.
    pub fn split(&mut self, bytes: usize, kept_for: MemoryUse) -> Self {
        assert!(bytes <= self.bytes, "a part is not more than the whole");
        self.resize(self.bytes - bytes);
        self.budget.reserve(kept_for, bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.subtract(self.kept_for, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_counted_once() {
        // GIVEN a reservation of 100 bytes of rows.
        let budget = MemoryBudget::new(1_000);
        let mut rows = budget.reserve(MemoryUse::Rows, 100);
        // WHEN it grows, and a part goes its own way.
        rows.resize(150);
        let part = rows.split(40, MemoryUse::InFlight);
        // THEN all of it is counted where it is, and nothing once it is dropped.
        assert_eq!(budget.used_for(MemoryUse::Rows), 110);
        assert_eq!(budget.used_for(MemoryUse::InFlight), 40);
        assert_eq!(budget.used(), 150);
        drop(rows);
        assert_eq!(budget.used(), 40);
        drop(part);
        assert_eq!((budget.used(), budget.peak()), (0, 150));
    }
}
