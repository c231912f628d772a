//! Running a pipeline inside a query's plan.
//!
//! ```text
//! Pipeline ─► cursor ─► batches of the session's size, one at a time
//! ```
//!
//! Owns: how much is in memory: one batch of the server's and one of ours.
//! Does not own: what is asked for (`pipeline`).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, StreamExt};
use mongodb::bson::Document;
use mongodb::options::ReadConcern;
use mongodb::{ClientSession, SessionCursor};

use super::database::{Mirror, Seen};
use super::decode::{DecodeError, Decoder};
use super::pipeline::Pipeline;

/// Reads what a pipeline gives, in one stream.
#[derive(Debug)]
pub(super) struct MirrorExec {
    mirror: Mirror,
    pipeline: Pipeline,
    seen: Seen,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MirrorExec {
    pub(super) fn new(mirror: Mirror, pipeline: Pipeline, seen: Seen) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(pipeline.schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            mirror,
            pipeline,
            seen,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for MirrorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MirrorExec: {}", self.pipeline)?;
        match self.seen {
            Seen::At(time) => write!(f, ", at={}.{}", time.time, time.increment),
            Seen::Majority => f.write_str(", at=majority"),
        }
    }
}

impl ExecutionPlan for MirrorExec {
    fn name(&self) -> &'static str {
        "MirrorExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("a read of MongoDB has no inputs")
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let begin = Begin {
            mirror: self.mirror.clone(),
            pipeline: self.pipeline.clone(),
            seen: self.seen,
            rows: context.session_config().batch_size(),
        };
        let batches = stream::once(begin.open()).flat_map(|opened| match opened {
            Ok(reading) => stream::try_unfold(reading, Reading::next).left_stream(),
            Err(error) => stream::once(async { Err(error) }).right_stream(),
        });
        let batches = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                metrics.record_output(batch.num_rows());
            }
        });
        let schema: SchemaRef = self.pipeline.schema.clone();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A read that has not begun.
struct Begin {
    mirror: Mirror,
    pipeline: Pipeline,
    seen: Seen,
    rows: usize,
}

impl Begin {
    async fn open(self) -> Result<Reading> {
        let mut session = self.mirror.session(self.seen).await?;
        let collection = self.mirror.collection(&self.pipeline.collection);
        let aggregate = collection
            .aggregate(self.pipeline.stages())
            .allow_disk_use(true);
        let aggregate = match self.seen {
            // The session says it already.
            Seen::At(_) => aggregate,
            Seen::Majority => aggregate.read_concern(ReadConcern::majority()),
        };
        let cursor = aggregate.session(&mut session).await;
        let cursor = cursor.map_err(|error| self.mirror.failed(error))?;
        Ok(Reading {
            decoder: Decoder::new(self.pipeline.schema.clone()).map_err(external)?,
            of_nothing: self.pipeline.of_nothing,
            mirror: self.mirror,
            session,
            cursor,
            rows: self.rows,
        })
    }
}

/// A read under way.
struct Reading {
    mirror: Mirror,
    session: ClientSession,
    cursor: SessionCursor<Document>,
    decoder: Decoder,
    rows: usize,
    /// Given when no document comes at all.
    of_nothing: Option<Vec<datafusion::common::ScalarValue>>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while self.decoder.rows() < self.rows {
            let more = self.cursor.advance(&mut self.session).await;
            if !more.map_err(|error| self.mirror.failed(error))? {
                break;
            }
            let document = self.cursor.current();
            self.decoder.append(document).map_err(external)?;
        }
        let row = self.of_nothing.take();
        if self.decoder.rows() > 0 {
            let batch = self.decoder.finish().map_err(external)?;
            return Ok(Some((batch, self)));
        }
        let Some(row) = row else { return Ok(None) };
        let arrays = row.iter().map(|value| value.to_array_of_size(1));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let schema = self.decoder.schema();
        let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        Ok(Some((batch, self)))
    }
}

fn external(error: DecodeError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
