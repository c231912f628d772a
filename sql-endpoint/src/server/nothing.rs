//! Which queries have no rows, whatever they ask: those of catalogues of what there is none of.
//!
//! Drivers ask for keys, indexes and the like in ways that the engine cannot plan.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, SetOperator,
    Statement, TableFactor, TableWithJoins, visit_expressions,
};

/// Catalogues of what there is none of: keys, indexes, rules, policies, heirs, publications.
pub(super) const EMPTY: [&str; 12] = [
    "pg_index",
    "pg_constraint",
    "pg_policy",
    "pg_rewrite",
    "pg_trigger",
    "pg_inherits",
    "pg_statistic_ext",
    "pg_publication",
    "pg_publication_rel",
    "pg_publication_namespace",
    "pg_foreign_table",
    "pg_auth_members",
];

/// Functions that make one row of none; others of that kind are not known to have no rows either.
const AGGREGATES: [&str; 12] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "json_agg",
    "jsonb_agg",
];

/// Names that stand for no rows where they are in reach.
type Names = HashSet<String>;

/// Whether a statement is a query that certainly has no rows.
pub(super) fn asks_for_nothing(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => is_empty(query),
        _ => false,
    }
}

/// Whether a query certainly has no rows.
pub(super) fn is_empty(query: &Query) -> bool {
    empty(query, &Names::new())
}

fn empty(query: &Query, outside: &Names) -> bool {
    let mut names = outside.clone();
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        let name = cte.alias.name.value.to_ascii_lowercase();
        match empty(&cte.query, &names) {
            true => names.insert(name),
            false => names.remove(&name),
        };
    }
    empty_body(&query.body, &names)
}

fn empty_body(body: &SetExpr, names: &Names) -> bool {
    match body {
        SetExpr::Select(select) => empty_select(select, names),
        SetExpr::Query(query) => empty(query, names),
        SetExpr::SetOperation {
            op, left, right, ..
        } => {
            let (left, right) = (empty_body(left, names), empty_body(right, names));
            match op {
                SetOperator::Union => left && right,
                SetOperator::Intersect => left || right,
                _ => left,
            }
        }
        _ => false,
    }
}

/// An inner join of tables of which one is empty, and no aggregate without groups, which has a row.
fn empty_select(select: &Select, names: &Names) -> bool {
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, sets) => !keys.is_empty() && sets.is_empty(),
        GroupByExpr::All(_) => false,
    };
    let is_plain = !select.projection.iter().any(aggregates) && select.having.is_none();
    (is_grouped || is_plain) && select.from.iter().any(|from| empty_joined(from, names))
}

fn aggregates(item: &SelectItem) -> bool {
    let found = visit_expressions(item, |expr: &Expr| match expr {
        Expr::Function(function)
            if function.over.is_none()
                && function.name.0.last().is_some_and(|name| {
                    AGGREGATES.contains(&name.to_string().to_ascii_lowercase().as_str())
                }) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn empty_joined(from: &TableWithJoins, names: &Names) -> bool {
    let mut left = empty_relation(&from.relation, names);
    for join in &from.joins {
        let right = empty_relation(&join.relation, names);
        left = match &join.join_operator {
            JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::CrossJoin(_)
            | JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_) => left || right,
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => left,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => right,
            // Whatever else there is keeps rows of either side.
            _ => left && right,
        };
    }
    left
}

fn empty_relation(relation: &TableFactor, names: &Names) -> bool {
    match relation {
        TableFactor::Table {
            name, args: None, ..
        } => empty_table(name, names),
        TableFactor::Derived { subquery, .. } => empty(subquery, names),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => empty_joined(table_with_joins, names),
        _ => false,
    }
}

fn empty_table(name: &ObjectName, names: &Names) -> bool {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| ident.value.to_ascii_lowercase())
        .collect();
    match &parts[..] {
        [name] => names.contains(name) || EMPTY.contains(&name.as_str()),
        [.., schema, name] => schema == "pg_catalog" && EMPTY.contains(&name.as_str()),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn asks(text: &str) -> bool {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("SQL");
        asks_for_nothing(&parsed.pop().expect("a statement"))
    }

    #[test]
    fn a_join_with_what_is_empty_is_empty() {
        for text in [
            "SELECT indexrelid FROM pg_index",
            "SELECT * FROM pg_class c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid",
            "SELECT * FROM pg_class c, pg_constraint k WHERE k.conrelid = c.oid",
            "SELECT * FROM pg_index i LEFT JOIN pg_class c ON i.indrelid = c.oid",
            "SELECT * FROM pg_class c RIGHT JOIN pg_index i ON i.indrelid = c.oid",
            "SELECT * FROM pg_index i FULL JOIN pg_trigger t ON t.tgrelid = i.indrelid",
            "SELECT a FROM (SELECT indrelid AS a FROM pg_index) t",
            "WITH keys AS (SELECT * FROM pg_constraint) SELECT * FROM keys",
            "SELECT oid FROM pg_policy UNION ALL SELECT oid FROM pg_trigger",
            "SELECT indrelid, count(*) FROM pg_index GROUP BY 1",
        ] {
            assert!(asks(text), "{text}");
        }
    }

    #[test]
    fn rows_that_an_outer_join_keeps_are_not_lost() {
        for text in [
            "SELECT c.relname, i.indexrelid FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname = $1",
            "SELECT * FROM pg_index i RIGHT JOIN pg_class c ON i.indrelid = c.oid",
            "SELECT * FROM pg_index i FULL JOIN pg_class c ON i.indrelid = c.oid",
            "SELECT * FROM pg_class c LEFT JOIN (pg_index i JOIN pg_constraint k ON true) ON true",
            "SELECT relname, (SELECT indkey FROM pg_index WHERE indrelid = c.oid) FROM pg_class c",
            "SELECT relname FROM pg_class WHERE oid NOT IN (SELECT indrelid FROM pg_index)",
            "SELECT relname FROM pg_class UNION SELECT conname FROM pg_constraint",
            "SELECT relname FROM pg_class EXCEPT SELECT conname FROM pg_constraint",
            "SELECT count(*) FROM pg_index",
            "WITH keys AS (SELECT * FROM pg_constraint), all_of AS (SELECT * FROM pg_class LEFT JOIN keys ON true) SELECT * FROM all_of",
            "SELECT * FROM public.pg_index",
        ] {
            assert!(!asks(text), "{text}");
        }
    }
}
