//! What the writer says about itself while it runs: metrics, health, logs, a line on a terminal.
//!
//! ```text
//! writer ─► Metrics ─┬─► /metrics, /livez, /readyz
//!                    └─► the progress line
//! ```
//!
//! Owns: the figures and their names.
//! Does not own: the events behind them. Every stage tells what happened through `Metrics`, once a
//! poll or once a commit and never once a row.

pub mod event;
pub mod metrics;
pub mod process;
pub mod figures;
mod exposition;
pub mod health;
pub mod http;
pub mod terminal;
pub mod logs;
pub mod progress;

pub use event::{Away, CommitReport, EngineState, Phase};
pub use metrics::{Metrics, Snapshot};
