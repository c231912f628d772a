//! Rows to lake partitions.
//!
//! ```text
//! the row appended last ─► Router ─► partition id ─┐
//! columns of 65,536 rows ──────────────────────────┴─► split ─► one run of rows a lake partition
//! ```
//!
//! Owns: partition values, calendars and clocks, the order of rows inside a batch.
//! Does not own: the spec's syntax and the spelling of paths (`table`), who holds the rows
//! (`batch`).

mod zone;
mod calendar;
mod router;
mod split;

pub use router::{LakePartition, Refusal, Router, SKIP};
pub use split::{Run, Split, Splitter};
pub(crate) use zone::OffsetCache;
