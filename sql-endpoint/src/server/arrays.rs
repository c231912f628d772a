//! `x = ANY($1)` and `x <> ALL($1)`, where a parameter is an array.
//!
//! ```text
//! x = ANY($1) ─► x IN ($1), by which the engine infers the type of an element ─► Bind ─► x IN (1, 2, 3)
//! ```
//!
//! An array is put in its place as a list of constants, which is what folders, statistics and MongoDB
//! understand.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Cast, Expr as Logical, LogicalPlan, lit};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, Statement, Value, visit_expressions_mut,
};

/// Writes them so, and gives the numbers of their parameters.
pub(super) fn as_lists(statement: &mut Statement) -> BTreeSet<usize> {
    let mut arrays = BTreeSet::new();
    let _ = visit_expressions_mut(statement, |expression: &mut Expr| {
        let (left, right, negated) = match expression {
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => (left, right, false),
            Expr::AllOp {
                left,
                compare_op: BinaryOperator::NotEq,
                right,
            } => (left, right, true),
            _ => return ControlFlow::<()>::Continue(()),
        };
        if let Some((number, element)) = element(right) {
            arrays.insert(number);
            *expression = Expr::InList {
                expr: left.clone(),
                list: vec![element],
                negated,
            };
        }
        ControlFlow::Continue(())
    });
    arrays
}

/// The parameter that an array is, and how one of its elements is written.
fn element(array: &Expr) -> Option<(usize, Expr)> {
    match array {
        Expr::Nested(inner) => element(inner),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => {
                let number = name.strip_prefix('$')?.parse().ok()?;
                Some((number, array.clone()))
            }
            _ => None,
        },
        Expr::Cast {
            kind,
            expr,
            data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(of, _)),
            format: None,
            array: false,
        } => {
            let (number, expr) = element(expr)?;
            let cast = Expr::Cast {
                kind: kind.clone(),
                expr: Box::new(expr),
                data_type: (**of).clone(),
                format: None,
                array: false,
            };
            Some((number, cast))
        }
        _ => None,
    }
}

/// The plan with the elements of each array in its place; those of an array that is NULL are `None`.
///
/// # Errors
/// What the engine says.
pub(super) fn with_elements<'a>(
    plan: LogicalPlan,
    arrays: &BTreeSet<usize>,
    elements: &dyn Fn(usize) -> Option<&'a Vec<ScalarValue>>,
) -> Result<LogicalPlan> {
    if arrays.is_empty() {
        return Ok(plan);
    }
    let listed = |expr: Logical| match listed(&expr, arrays, elements) {
        Some(listed) => Ok(Transformed::yes(listed)),
        None => Ok(Transformed::no(expr)),
    };
    let listed = plan.transform_up_with_subqueries(|plan| {
        plan.map_expressions(|expr| expr.transform_up(listed))
    })?;
    Ok(listed.data)
}

fn listed<'a>(
    expr: &Logical,
    arrays: &BTreeSet<usize>,
    elements: &dyn Fn(usize) -> Option<&'a Vec<ScalarValue>>,
) -> Option<Logical> {
    let Logical::InList(list) = expr else {
        return None;
    };
    let [array] = &list.list[..] else {
        return None;
    };
    let (array, cast) = match array {
        Logical::Cast(Cast { expr, field }) => (expr.as_ref(), Some(field)),
        array => (array, None),
    };
    let Logical::Placeholder(placeholder) = array else {
        return None;
    };
    let number = placeholder.id.trim_start_matches('$').parse().ok()?;
    if !arrays.contains(&number) {
        return None;
    }
    let element = |value: &ScalarValue| match cast {
        Some(kind) => {
            let value = Box::new(lit(value.clone()));
            Logical::Cast(Cast::new_from_field(value, kind.clone()))
        }
        None => lit(value.clone()),
    };
    Some(match elements(number) {
        // Nobody knows what is in it.
        None => lit(ScalarValue::Boolean(None)),
        Some(elements) if elements.is_empty() => lit(list.negated),
        Some(elements) => Logical::InList(InList {
            list: elements.iter().map(element).collect(),
            ..list.clone()
        }),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn arrays_of_parameters_become_lists() {
        for (text, expected, arrays) in [
            ("SELECT a = ANY($1)", "SELECT a IN ($1)", vec![1]),
            (
                "SELECT a = ANY(($2)) AND b = $1",
                "SELECT a IN ($2) AND b = $1",
                vec![2],
            ),
            (
                "SELECT a <> ALL($1::bigint[])",
                "SELECT a NOT IN ($1::BIGINT)",
                vec![1],
            ),
            ("SELECT a = ANY('{1,2}')", "SELECT a = ANY('{1,2}')", vec![]),
            ("SELECT a > ANY($1)", "SELECT a > ANY($1)", vec![]),
        ] {
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("SQL");
            let mut statement = parsed.into_iter().next().expect("a statement");
            let found = as_lists(&mut statement);
            assert_eq!(statement.to_string(), expected);
            assert_eq!(found.into_iter().collect::<Vec<_>>(), arrays, "{text}");
        }
    }
}
