//! The optimizer rule by which the server computes whole aggregates of the mirror's tables.
//!
//! ```text
//! Aggregate ─► (Projection, SubqueryAlias)* ─► TableScan of the mirror      becomes
//! Projection ─► TableScan of Groups
//! ```
//!
//! Owns: finding such aggregates. It runs after the engine's own rules, when every predicate that the
//! server can answer is in the scan, and one that it cannot stands between as a filter.
//! Does not own: the translation (`aggregate`).

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, Projection, TableScan, TableScanBuilder,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::aggregate::Grouping;
use super::groups::Groups;
use super::pipeline::Pipeline;
use super::table::{MirrorTable, match_stage};

/// Lets MongoDB compute aggregates.
#[derive(Debug, Default)]
pub(crate) struct PushDownAggregate;

impl OptimizerRule for PushDownAggregate {
    fn name(&self) -> &'static str {
        "push_down_aggregate_to_mongodb"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else {
            return Ok(Transformed::no(plan));
        };
        match pushed(aggregate)? {
            Some(pushed) => Ok(Transformed::yes(pushed)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// The plan in which the server computes it; `None` when it cannot.
fn pushed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some((table, name, pipeline)) = translated(aggregate)? else {
        return Ok(None);
    };
    let columns: Vec<String> = pipeline
        .schema
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let groups = provider_as_source(Arc::new(Groups::new(table, pipeline)));
    let scan = TableScanBuilder::new(name.clone(), groups).build()?;
    let named = columns.iter().zip(aggregate.schema.iter());
    let named = named.map(|(column, (qualifier, field))| {
        Expr::Column(Column::new(Some(name.clone()), column))
            .alias_qualified(qualifier.cloned(), field.name())
    });
    let scan = Arc::new(LogicalPlan::TableScan(scan));
    let projection = Projection::try_new(named.collect(), scan)?;
    Ok(Some(LogicalPlan::Projection(projection)))
}

fn translated(aggregate: &Aggregate) -> Result<Option<(MirrorTable, TableReference, Pipeline)>> {
    let Some(scan) = scan_below(&aggregate.input) else {
        return Ok(None);
    };
    let provider = source_as_provider(&scan.source)?;
    let provider: &dyn Any = provider.as_ref();
    let Some(table) = provider.downcast_ref::<MirrorTable>() else {
        return Ok(None);
    };
    let (Some(filters), None) = (table.matching(&scan.filters), scan.fetch) else {
        return Ok(None);
    };
    let Some((grouping, fields)) = grouping(aggregate, table)? else {
        return Ok(None);
    };
    let (group, is_whole) = grouping.stage();
    let pipeline = Pipeline {
        collection: table.collection().to_owned(),
        stages: match_stage(filters).into_iter().chain([group]).collect(),
        schema: Arc::new(Schema::new(fields)),
        values: grouping.values,
        of_nothing: is_whole.then_some(grouping.of_nothing),
    };
    let name = TableReference::bare(format!("{}_groups", scan.table_name.table()));
    Ok(Some((table.clone(), name, pipeline)))
}

fn grouping(aggregate: &Aggregate, table: &MirrorTable) -> Result<Option<(Grouping, Vec<Field>)>> {
    let mut grouping = Grouping::default();
    let mut fields = Vec::new();
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let keys = aggregate.group_expr.len();
    // Grouping sets give more columns than they are expressions.
    if aggregate.schema.fields().len() != keys + aggregate.aggr_expr.len() {
        return Ok(None);
    }
    let truncates = table.mirror().truncates_dates();
    for (at, (expr, field)) in exprs.zip(aggregate.schema.fields()).enumerate() {
        let Some(expr) = over_scan(expr.clone(), &aggregate.input)? else {
            return Ok(None);
        };
        let added = match expr.unalias() {
            Expr::AggregateFunction(function) if at >= keys => {
                grouping.add(&function, field, table.shape())
            }
            key if at < keys => grouping.add_key(&key, field, table.shape(), truncates),
            _ => None,
        };
        if added.is_none() {
            return Ok(None);
        }
        let name = format!("c{at}");
        fields.push(Field::new(
            name,
            field.data_type().clone(),
            field.is_nullable(),
        ));
    }
    Ok(Some((grouping, fields)))
}

/// The scan below an aggregate, if nothing but names and expressions lies between.
fn scan_below(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::Projection(projection) => scan_below(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => scan_below(&alias.input),
        _ => None,
    }
}

/// The same expression over the columns of the scan.
fn over_scan(expr: Expr, input: &LogicalPlan) -> Result<Option<Expr>> {
    let (below, expr) = match input {
        LogicalPlan::TableScan(_) => return Ok(Some(expr)),
        LogicalPlan::Projection(projection) => {
            let replaced =
                replace_columns(expr, input, |at| projection.expr[at].clone().unalias())?;
            (&projection.input, replaced)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = alias.input.schema();
            let replaced = replace_columns(expr, input, |at| {
                Expr::Column(Column::from(inner.qualified_field(at)))
            })?;
            (&alias.input, replaced)
        }
        _ => return Ok(None),
    };
    over_scan(expr, below)
}

/// Puts what the input computes in the place of its columns.
fn replace_columns(expr: Expr, input: &LogicalPlan, by: impl Fn(usize) -> Expr) -> Result<Expr> {
    let schema = input.schema();
    expr.transform_up(|expr| match &expr {
        Expr::Column(column) => Ok(Transformed::yes(by(schema.index_of_column(column)?))),
        _ => Ok(Transformed::no(expr)),
    })
    .data()
}

#[cfg(test)]
mod tests;
