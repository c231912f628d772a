//! An aggregate that the server computes, as a table of its groups.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::exec::MirrorExec;
use super::pipeline::Pipeline;
use super::table::MirrorTable;

/// Groups of a collection.
#[derive(Debug)]
pub(super) struct Groups {
    table: MirrorTable,
    pub(super) pipeline: Pipeline,
}

impl Groups {
    pub(super) fn new(table: MirrorTable, pipeline: Pipeline) -> Self {
        Self { table, pipeline }
    }
}

#[async_trait]
impl TableProvider for Groups {
    fn schema(&self) -> SchemaRef {
        self.pipeline.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let seen = self.table.seen(state).await?;
        let pipeline = self.pipeline.clone().project(projection).limit(limit);
        let mirror = self.table.mirror().clone();
        Ok(Arc::new(MirrorExec::new(mirror, pipeline, seen)))
    }
}
