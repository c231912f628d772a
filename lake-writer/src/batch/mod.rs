//! Rows held in memory by lake partition, under one budget, until they are encoded.
//!
//! ```text
//! split batches ─► Held ─► (rotation, or the budget) ─► slices of one lake partition ─► stage
//! ```
//!
//! Owns: the memory budget and its guards, which rows are held, when a commit is due.
//! Does not own: where rows belong (`partition`), how they are written (`stage`).

mod allocator;
mod budget;
mod held;
mod rotation;

pub use allocator::tune_allocator;
pub use budget::{MemoryBudget, MemoryUse, Reservation};
pub use held::{Held, Slice};
pub use rotation::{Contents, Rotation, RotationReason};
