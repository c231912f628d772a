//! lake-writer: a Kafka topic as partitioned Parquet, every row exactly once.
//!
//! The modules stand in the order in which a sale passes:
//!
//! ```text
//! source ─► decode ─► partition ─► batch ─► stage ─► commit ─► a reader that globs data/**/*.parquet
//!                                                      │
//!                                       store (local disk, HDFS, S3)
//! ```
//!
//! `mirror` is a second consumer of the same topic, which writes to MongoDB; both are a `member` of their
//! group.
//!
//! `writer` is the one place that wires the stages. No stage knows another: each knows the model
//! (`table`, `source`'s offset ranges) and the ports (`source`, `store`, `clock`).

pub mod settings;
pub mod table;
pub mod source;
pub mod decode;
pub mod partition;
pub mod batch;
pub mod stage;
pub mod commit;
pub mod store;
pub mod member;
pub mod writer;
#[cfg(feature = "mongodb")]
pub mod mirror;
pub mod verify;
pub mod rewrite;
pub mod telemetry;
pub mod clock;
pub mod error_chain;
#[cfg(any(test, feature = "simulation"))]
pub mod failpoint;
pub mod cli;
