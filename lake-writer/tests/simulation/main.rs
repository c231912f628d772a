//! A seeded simulation of whole writers: the code that runs in production, in a world where
//! everything that can go wrong does, in an order drawn from one number.
//!
//! ```text
//! seed ─► scenario ─► world: engines (threads, one moves at a time), their tasks, calls under way,
//!                     topic and group, clocks ─► oracle, at every change of the table
//! ```
//!
//! Owns: the world around writers, and the promise as a reader of the table sees it.
//! Does not own: anything of the writers. They are told the time, handed messages and given a store.

mod dice;
mod turn;
mod time;
mod trace;
mod scenario;
mod topic;
mod group;
mod source;
mod contents;
mod oracle;
mod network;
mod process;
mod command;
mod misfortune;
mod verdict;
mod world;
mod seeds;
