//! Every sale once: the lake up to the offsets that it holds, and the mirror from there.
//!
//! ```text
//! lake's moment ─► Cut ◄─ mirror's checkpoints
//!                   │
//!    files of the moment  ∪  documents whose offset is in the cut ─► <collection>
//! ```
//!
//! Owns: the order in which the two are looked at, and what makes their union one.
//! Does not own: either side.

mod cut;
mod table;

pub use cut::CutError;
pub(crate) use table::BothTable;
