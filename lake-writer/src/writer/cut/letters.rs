//! The dead letters of a cut.
//!
//! ```text
//! message + reason ─► DeadLetters ─► Output (dead/date=…)
//! ```

use std::sync::Arc;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

use crate::batch::MemoryBudget;
use crate::decode::{Reject, Scalar};
use crate::partition::{Router, SKIP};
use crate::settings;
use crate::source::Message;
use crate::stage::{ClosedFile, DEAD_LETTERS, DeadLetters, Sorting, Uploads, dead_letter_schema};
use crate::store::StoreError;
use crate::table::spec::{PartitionField, Spec, Transform};
use crate::table::{Column, Kind, Schema};

use super::output::{FileNames, Output};

/// Dead letters of a batch.
const BATCH_ROWS: usize = 4_096;

/// Dead letters, by the day of their message's timestamp in UTC; those without one lie together.
#[derive(Debug)]
pub(super) struct DeadOutput {
    schema: Schema,
    spec: Spec,
    router: Router,
    letters: DeadLetters,
    ids: Vec<u32>,
    output: Output,
}

impl DeadOutput {
    pub(super) fn new(
        settings: &settings::Parquet,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, ParquetError> {
        let settings = settings::Parquet {
            // These name columns of the table.
            bloom_filter_columns: Vec::new(),
            ..settings.clone()
        };
        let (arrow, sorting) = (dead_letter_schema(), Sorting::default());
        let (schema, spec) = folders();
        Ok(Self {
            router: Router::new(&spec, &schema),
            schema,
            spec,
            letters: DeadLetters::default(),
            ids: Vec::new(),
            output: Output::new(DEAD_LETTERS, arrow, sorting, settings, budget)?,
        })
    }

    /// Bytes of dead letters that are not yet in a batch.
    pub(super) fn open_bytes(&self) -> usize {
        self.letters.bytes()
    }

    /// Bytes of all dead letters that are not yet encoded.
    pub(super) fn held_bytes(&self) -> usize {
        self.letters.bytes() + self.output.held_bytes()
    }

    /// Bytes encoded in this cut.
    pub(super) fn encoded_bytes(&self) -> u64 {
        self.output.encoded_bytes()
    }

    /// Whether a file of this cut can take no further row group.
    pub(super) fn is_full(&self) -> bool {
        self.output.is_full()
    }

    pub(super) fn push(
        &mut self,
        message: &Message<'_>,
        value: &[u8],
        reject: &Reject,
        max_bytes: usize,
    ) -> Result<(), ArrowError> {
        let date = message.timestamp_ms.map_or(Scalar::Null, Scalar::Int);
        // A date that no folder can have is kept with those that have none.
        let id = self
            .router
            .route(|_| date)
            .or_else(|_| self.router.route(|_| Scalar::Null))
            .expect("null is a folder");
        self.letters.push(message, value, reject);
        self.ids.push(id);
        if self.letters.rows() >= BATCH_ROWS || self.letters.bytes() >= max_bytes {
            return self.finish_batch();
        }
        Ok(())
    }

    fn finish_batch(&mut self) -> Result<(), ArrowError> {
        debug_assert!(!self.ids.contains(&SKIP), "every dead letter has a folder");
        if self.ids.is_empty() {
            return Ok(());
        }
        let batch = self.letters.finish()?;
        let held = self.output.hold(batch, &self.ids);
        self.ids.clear();
        held
    }

    pub(super) fn encode_down_to(
        &mut self,
        bytes: usize,
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<(), StoreError> {
        self.finish_batch()
            .map_err(|error| self.output.failed(error))?;
        let partitions = self.router.partitions();
        self.output
            .encode_down_to(bytes, partitions, names, uploads)
    }

    /// Encodes the rest and closes all files.
    pub(super) fn close(
        &mut self,
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<Vec<ClosedFile>, StoreError> {
        self.finish_batch()
            .map_err(|error| self.output.failed(error))?;
        let closed = self
            .output
            .close(self.router.partitions(), names, uploads)?;
        self.router = Router::new(&self.spec, &self.schema);
        Ok(closed)
    }

    /// Lets everything go.
    pub(super) fn clear(&mut self) {
        self.letters = DeadLetters::default();
        self.ids.clear();
        self.router = Router::new(&self.spec, &self.schema);
        self.output.clear();
    }
}

/// Folders of one column, which is no column of the files: `date=2026-01-31`.
fn folders() -> (Schema, Spec) {
    let timestamp = Column {
        name: "kafka_timestamp".into(),
        kind: Kind::TimestampMillis,
        nullable: true,
        null_branch: 0,
        default: None,
    };
    let date = PartitionField {
        name: "date".into(),
        column: 0,
        transform: Transform::Date,
    };
    let schema = Schema::new(DEAD_LETTERS, vec![timestamp]);
    let spec = Spec {
        fields: vec![date],
        ..Spec::unpartitioned()
    };
    (schema, spec)
}
