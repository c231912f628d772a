//! The table provider of the union.
//!
//! Owns: what is pushed down to both sides.
//! Does not own: which offsets come from which (`cut`).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::cut::{Cut, CutError};
use crate::lake::{LakeTable, Moment, Wanted};
use crate::mirror::{MirrorTable, Seen};

/// `<collection>`.
#[derive(Debug)]
pub(crate) struct BothTable {
    lake: Arc<LakeTable>,
    live: Arc<MirrorTable>,
    /// Columns that both have.
    schema: SchemaRef,
    /// Their places in the lake.
    in_lake: Vec<usize>,
    ttl_seconds: Option<u64>,
    names: (String, String),
}

impl BothTable {
    /// The union of two tables of these names.
    ///
    /// # Errors
    /// When the mirror has a column that the lake does not have.
    pub(crate) fn new(
        (lake_name, lake): (&str, Arc<LakeTable>),
        (live_name, live): (&str, Arc<MirrorTable>),
        ttl_seconds: Option<u64>,
    ) -> Result<Self> {
        let schema = live.schema();
        let whole = lake.schema();
        let fields = schema.fields().iter();
        let in_lake: Vec<usize> = fields
            .map(|field| whole.index_of(field.name()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            lake,
            live,
            schema,
            in_lake,
            ttl_seconds,
            names: (lake_name.to_owned(), live_name.to_owned()),
        })
    }

    /// What the mirror adds. The lake's moment is older: what it commits meanwhile is read from the
    /// mirror all the same.
    async fn cut(&self, moment: &Moment, seen: Seen) -> Result<Cut> {
        let mirror = self.live.mirror();
        let checkpoints = mirror.checkpoints(seen).await?;
        let names = (self.names.0.as_str(), self.names.1.as_str());
        let cut = Cut::new(moment, &checkpoints, names).map_err(external)?;
        if cut.is_empty() {
            return Ok(cut);
        }
        if let Some(letter) = mirror.letter_behind(seen, cut.ranges()).await? {
            return Err(external(letter.into()));
        }
        if let Some(ttl_seconds) = self.ttl_seconds {
            let counted = mirror.counted(seen, &cut.ranges()).await?;
            let refused = cut.refuse_expired(&counted, ttl_seconds);
            refused.map_err(external)?;
        }
        Ok(cut)
    }
}

fn external(error: CutError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[async_trait]
impl TableProvider for BothTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let moment = self.lake.moment(state).await?;
        let seen = self.live.seen(state).await?;
        let cut = self.cut(&moment, seen).await?;
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.iter().map(|at| self.in_lake[*at]).collect(),
            None => self.in_lake.clone(),
        };
        let wanted = Wanted {
            projection: Some(&columns),
            filters,
            limit,
        };
        let old = self.lake.scan_moment(state, &moment, &wanted)?;
        if cut.is_empty() {
            return Ok(old);
        }
        let new = self
            .live
            .scan_some(seen, cut.ranges(), projection, filters, limit);
        UnionExec::try_new(vec![old, new])
    }

    /// Both sides read less by them; a filter above sees to the rest.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
