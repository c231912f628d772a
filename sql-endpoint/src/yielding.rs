//! Joins that can be interrupted.
//!
//! A statement is ended between two polls of its stream: when its time is up, or when it is cancelled. The
//! engine gives way where tables are read, and a join of everything with everything may compute for hours
//! between two reads, with or without rows to show. So such joins get their inputs in small portions, and
//! whatever comes out of them gives way after each batch.
//!
//! Owns: where a plan gives way besides its tables.
//! Does not own: the bound of a statement (`server::bound`).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, StreamExt as _};

/// Rows that are compared with all rows of the other side before a join by conditions gives way.
const PROBED: usize = 4;

/// Puts a [`Yielding`] before and behind each join.
#[derive(Debug)]
pub(crate) struct GiveWay;

impl PhysicalOptimizerRule for GiveWay {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            if plan.downcast_ref::<NestedLoopJoinExec>().is_some() {
                let [left, right] = plan.children()[..] else {
                    return internal_err!("a join has two inputs");
                };
                let right = Yielding::over(right.clone(), Some(PROBED));
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                let join = plan
                    .clone()
                    .replace_children(vec![left.clone(), right], options)?;
                return Ok(Transformed::yes(Yielding::over(join, None)));
            }
            let joins = plan.downcast_ref::<CrossJoinExec>().is_some()
                || plan.downcast_ref::<HashJoinExec>().is_some();
            Ok(match joins {
                true => Transformed::yes(Yielding::over(plan, None)),
                false => Transformed::no(plan),
            })
        });
        wrapped.map(|wrapped| wrapped.data)
    }

    fn name(&self) -> &'static str {
        "give_way"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Hands batches on, and gives way before each.
#[derive(Debug)]
struct Yielding {
    input: Arc<dyn ExecutionPlan>,
    /// Most rows of a batch; `None` for batches as they come.
    rows: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl Yielding {
    fn over(input: Arc<dyn ExecutionPlan>, rows: Option<usize>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self {
            properties: input.properties().clone(),
            input,
            rows,
        })
    }
}

impl DisplayAs for Yielding {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.rows {
            Some(rows) => write!(f, "YieldingExec: rows={rows}"),
            None => f.write_str("YieldingExec"),
        }
    }
}

impl ExecutionPlan for Yielding {
    fn name(&self) -> &'static str {
        "YieldingExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Self::over(input, self.rows)),
            Err(_) => internal_err!("one input gives way"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let rows = self.rows;
        let portions = input.flat_map(move |batch| match batch {
            Ok(batch) => stream::iter(portions(&batch, rows).map(Ok)).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        });
        let giving_way = portions.then(|batch| async {
            tokio::task::yield_now().await;
            batch
        });
        let schema = self.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, giving_way)))
    }
}

/// A batch in portions of so many rows, which share its memory.
fn portions(batch: &RecordBatch, rows: Option<usize>) -> impl Iterator<Item = RecordBatch> + use<> {
    let batch = batch.clone();
    let most = rows.unwrap_or(usize::MAX).max(1);
    let mut at = 0;
    // A batch without rows is handed on as it is.
    let mut is_begun = false;
    std::iter::from_fn(move || {
        if is_begun && at >= batch.num_rows() {
            return None;
        }
        is_begun = true;
        let portion = batch.slice(at, most.min(batch.num_rows() - at));
        at += portion.num_rows().max(1);
        Some(portion)
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::ArrayRef;
    use datafusion::arrow::array::Int32Array;

    use super::*;

    #[test]
    fn portions_are_the_batch_again() {
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
        let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
        for (rows, lengths) in [
            (Some(4), vec![4, 4, 2]),
            (Some(10), vec![10]),
            (None, vec![10]),
        ] {
            let parts: Vec<_> = portions(&batch, rows).collect();
            let found: Vec<_> = parts.iter().map(RecordBatch::num_rows).collect();
            assert_eq!(found, lengths);
            let whole = datafusion::arrow::compute::concat_batches(&batch.schema(), &parts);
            assert_eq!(whole.expect("one schema"), batch);
        }
        assert_eq!(portions(&batch.slice(0, 0), Some(4)).count(), 1);
    }
}
