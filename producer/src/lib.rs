//! Sales as a company makes them, or as a real file has them, sent to Kafka.
//!
//! company | replay ──► stream (keys, faults) ──► encode ──► deliver ──► totals ──► summary
//!
//! The modules stand in the order in which a sale passes. Nothing here reads a clock or draws
//! chance by itself: both are injected, so that a seed stands for the same bytes everywhere.

pub mod cli;
pub mod exit;
pub mod clock;
pub mod chance;
pub mod stop;
pub mod sale;
pub mod company;
pub mod replay;
pub mod encode;
pub mod stream;
pub mod pace;
pub mod deliver;
pub mod run;
pub mod progress;
pub mod totals;
pub mod summary;
