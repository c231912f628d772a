//! A model of the commit protocol, explored exhaustively within its bounds.
//!
//! ```text
//! scenario ─► every order of steps, crashes, late and lost calls ─► the promise, in every state
//! ```
//!
//! Owns: the world around the protocol (processes, store, misfortunes) and the promise.
//! Does not own: the protocol. Whether a record may be appended, what a log adds up to and what is
//! debris is asked of the same `State`, `Append` and `Judge` that run in production.

mod scenario;
mod names;
mod store;
mod machine;
mod writer;
mod appending;
mod truncation;
mod replacing;
mod world;
mod protocol;
mod promise;
mod explore;
mod guards;
mod proofs;
