//! The command line.
//!
//! arguments ──► Plan (checked, complete) ──► run ──► summary, exit code
//!
//! Owns options, their defaults and their conflicts. Nothing below knows the command line.

pub mod args;
pub mod plan;
mod values;
mod start;

pub use args::Args;
pub use plan::{Plan, PlanError};
pub use start::{Surroundings, start};
