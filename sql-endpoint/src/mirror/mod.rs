//! The mirror in MongoDB as tables, read only. The one room that knows the driver's calls.
//!
//! ```text
//! SQL ─► predicate, aggregate ─► one pipeline ─► MongoDB ─► decode ─► record batches
//! ```
//!
//! Owns: which part of a query the server answers, and what one query sees of the mirror.
//! Does not own: what is written there (`lake_writer::mirror`); what the server does not answer.

mod checkpoint;
mod decode;
mod literal;
mod predicate;
mod times;
mod shape;
mod pipeline;
mod exec;
mod database;
mod table;
mod groups;
mod aggregate;
mod push_down;

pub(crate) use checkpoint::{Checkpoint, LetterBehind};
pub use database::MirrorError;
pub(crate) use database::{Mirror, Seen};
pub(crate) use push_down::PushDownAggregate;
pub(crate) use shape::Shape;
pub(crate) use table::MirrorTable;
