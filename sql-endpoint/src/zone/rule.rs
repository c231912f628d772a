//! The rules of the analyzer by which times mean what the session's zone makes of them.
//!
//! ```text
//! CAST(sold_at AS DATE)        ─► day_in_zone(sold_at, 'Europe/Paris')
//! date_trunc('day', sold_at)   ─► date_trunc_in_zone(sold_at, 'day', 'Europe/Paris')
//! sold_at < '2026-03-29 12:00' ─► sold_at < instant_of_text('2026-03-29 12:00', 'Europe/Paris')
//! ```
//!
//! In UTC clocks and instants are the same to the engine, and its own functions say what is meant: there
//! only texts are put into words, which it writes in another form.
//!
//! Owns: which expressions depend on a zone. Does not own: what they are then (`functions`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::functions::datetime::expr_fn::now;
use datafusion::logical_expr::expr::{Between, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::functions::{Kind, call, instants, is_unit};
use super::{Zone, at};
use crate::server::SharedVariables;

/// Behind the engine's own rules, when every conversion is a cast.
#[derive(Debug)]
pub(crate) struct InZone(pub(crate) SharedVariables);

impl AnalyzerRule for InZone {
    fn name(&self) -> &str {
        "times_in_the_zone_of_the_session"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = crate::server::zone_of(&self.0);
        everywhere(plan, &|expr, schema| in_zone(expr, schema, zone))
    }
}

/// Before the engine's own rules, which would compare an instant with a date by its clock: a date is the
/// instant of its midnight.
#[derive(Debug)]
pub(crate) struct DatesAreMidnights;

impl AnalyzerRule for DatesAreMidnights {
    fn name(&self) -> &str {
        "dates_beside_instants_are_midnights"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        everywhere(plan, &midnights)
    }
}

/// Rewrites every expression of a plan, whose columns keep their names.
fn everywhere(
    plan: LogicalPlan,
    rewrite: &dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let table = scan.table_name.clone();
            let columns = DFSchema::try_from_qualified_schema(table, &scan.source.schema())?;
            schema.merge(&columns);
        }
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| rewrite(expr, &schema))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        match rewritten.transformed {
            true => rewritten.map_data(LogicalPlan::recompute_schema),
            false => Ok(rewritten),
        }
    })?;
    Ok(rewritten.data)
}

fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(_)))
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn in_zone(expr: Expr, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(cast) => in_zone_cast(cast, schema, zone),
        Expr::ScalarFunction(function) if function.func.name() == at::NAME => {
            let [named, time] = &function.args[..] else {
                return Ok(Transformed::no(Expr::ScalarFunction(function)));
            };
            let kind = time.get_type(schema)?;
            at::in_its_place(named, time, &kind).map(Transformed::yes)
        }
        // In UTC the engine's own functions are right.
        expr if zone == Zone::UTC => Ok(Transformed::no(expr)),
        Expr::ScalarFunction(function) => in_zone_function(function, schema, zone),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) => {
            let is_later = is_instant(&left.get_type(schema)?)
                && matches!(right.get_type(schema)?, DataType::Interval(_));
            if !is_later {
                let same = BinaryExpr { left, op, right };
                return Ok(Transformed::no(Expr::BinaryExpr(same)));
            }
            let kind = left.get_type(schema)?;
            let by = match op {
                Operator::Minus => Expr::Negative(right),
                _ => *right,
            };
            let later = call(Kind::Later, *left, Some(by), zone);
            Ok(Transformed::yes(cast(later, kind)))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn in_zone_cast(given: Cast, schema: &DFSchema, zone: Zone) -> Result<Transformed<Expr>> {
    let (from, to) = (
        given.expr.get_type(schema)?,
        given.field.data_type().clone(),
    );
    let of = |kind: Kind| call(kind, (*given.expr).clone(), None, zone);
    let put = match (&from, &to) {
        (DataType::Timestamp(_, Some(_)), to) if is_text(to) => of(Kind::Written),
        (DataType::Timestamp(_, None), to) if is_text(to) => of(Kind::WrittenClock),
        _ if zone == Zone::UTC => return Ok(Transformed::no(Expr::Cast(given))),
        (DataType::Timestamp(_, Some(_)), DataType::Date32) => {
            return Ok(Transformed::yes(of(Kind::Day)));
        }
        (
            DataType::Timestamp(_, Some(_)),
            DataType::Timestamp(_, None)
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_),
        ) => of(Kind::Clock),
        (
            DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64,
            DataType::Timestamp(_, Some(_)),
        ) => of(Kind::Instant),
        (from, DataType::Timestamp(_, Some(_))) if is_text(from) => of(Kind::Read),
        _ => return Ok(Transformed::no(Expr::Cast(given))),
    };
    Ok(Transformed::yes(cast(put, to)))
}

/// A call in the type that the engine came to, which may be of another unit of time or kind of text.
fn cast(call: Expr, to: DataType) -> Expr {
    match &call {
        Expr::ScalarFunction(function)
            if function.func.return_type(&[]).is_ok_and(|kind| kind == to) =>
        {
            call
        }
        _ => Expr::Cast(Cast::new(Box::new(call), to)),
    }
}

fn in_zone_function(
    mut function: ScalarFunction,
    schema: &DFSchema,
    zone: Zone,
) -> Result<Transformed<Expr>> {
    if function.func.name() == "current_date" {
        return Ok(Transformed::yes(call(Kind::Day, now(), None, zone)));
    }
    let literal = |at: usize| match function.args.get(at) {
        Some(Expr::Literal(value, _)) => value.try_as_str().flatten().map(str::to_ascii_lowercase),
        _ => None,
    };
    let instant = |at: usize| match function.args.get(at) {
        Some(arg) => arg.get_type(schema).map(|kind| is_instant(&kind)),
        None => Ok(false),
    };
    match function.func.name() {
        "date_trunc" if instant(1)? && literal(0).is_some_and(|unit| is_unit(&unit)) => {
            let unit = literal(0).map(lit);
            let kind = function.args[1].get_type(schema)?;
            let truncated = call(Kind::Truncated, function.args.swap_remove(1), unit, zone);
            return Ok(Transformed::yes(cast(truncated, kind)));
        }
        // Seconds since 1970 are counted from an instant.
        "date_part" if instant(1)? && literal(0).is_none_or(|part| part != "epoch") => {
            let clock = call(Kind::Clock, function.args.swap_remove(1), None, zone);
            function.args.push(clock);
        }
        "to_char" if instant(0)? => {
            let clock = call(Kind::Clock, function.args[0].clone(), None, zone);
            function.args[0] = clock;
        }
        _ => return Ok(Transformed::no(Expr::ScalarFunction(function))),
    }
    Ok(Transformed::yes(Expr::ScalarFunction(function)))
}

fn is_comparison(op: Operator) -> bool {
    op.supports_propagation()
        || matches!(
            op,
            Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
        )
}

fn midnights(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    // What has no type yet is no date.
    let kind = |of: &Expr| of.get_type(schema).ok();
    let instant = |of: &Expr| kind(of).is_some_and(|kind| is_instant(&kind));
    let date = |of: &Expr| matches!(kind(of), Some(DataType::Date32 | DataType::Date64));
    let midnight = |of: Expr| match date(&of) {
        true => Expr::Cast(Cast::new(Box::new(of), instants())),
        false => of,
    };
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op)
                && (instant(&left) && date(&right) || date(&left) && instant(&right)) =>
        {
            let both = BinaryExpr::new(Box::new(midnight(*left)), op, Box::new(midnight(*right)));
            Transformed::yes(Expr::BinaryExpr(both))
        }
        Expr::Between(between)
            if instant(&between.expr) && (date(&between.low) || date(&between.high)) =>
        {
            Transformed::yes(Expr::Between(Between {
                low: Box::new(midnight(*between.low)),
                high: Box::new(midnight(*between.high)),
                ..between
            }))
        }
        Expr::InList(list) if instant(&list.expr) && list.list.iter().any(date) => {
            Transformed::yes(Expr::InList(InList {
                list: list.list.into_iter().map(midnight).collect(),
                ..list
            }))
        }
        expr => Transformed::no(expr),
    })
}
