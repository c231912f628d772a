//! From the text of a query to a tree that the engine plans.
//!
//! Queries of drivers to the catalogues use much of PostgreSQL that the engine lacks; they are rewritten by
//! `datafusion-pg-catalog`, which replaces what it cannot keep. Questions to the tables are never treated
//! that way: an answer is right, or an error.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SetExpr,
    Statement, Value, visit_expressions, visit_expressions_mut, visit_relations,
    visit_relations_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixArrayLiteral, FixVersionColumnName,
    RewriteArrayAnyAllOperation, RewritePgCatalogOperator, RewriteRegCastToSubquery,
    SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::arrays;
use super::command::no_temporary;
use super::fault::{error, hinted, of_parser};
use super::nothing::is_empty;
use crate::server::compat::OWN;
use crate::server::dialect;

/// Reads queries.
pub(crate) struct Texts {
    catalogues: PostgresCompatibilityParser,
    spelling: Vec<Box<dyn SqlStatementRewriteRule>>,
}

/// A query, read.
pub(super) struct Asked {
    /// The tree that the engine plans.
    pub(super) statement: Statement,
    /// Names of columns that the engine calls otherwise.
    pub(super) names: Vec<Option<String>>,
    /// The numbers of parameters that are arrays.
    pub(super) arrays: BTreeSet<usize>,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self {
            catalogues: PostgresCompatibilityParser::new(),
            // Of the rules, those that say the same in other words.
            spelling: vec![
                Box::new(RewriteArrayAnyAllOperation),
                Box::new(StripCallableQualifier),
                Box::new(FixArrayLiteral),
                Box::new(CurrentUserVariableToSessionUserFunctionCall),
                Box::new(StripCollate),
                Box::new(RewritePgCatalogOperator),
                Box::new(RewriteRegCastToSubquery::new()),
                Box::new(FixVersionColumnName),
            ],
        }
    }

    /// One query that only reads.
    ///
    /// # Errors
    /// 42601 for what is no query, 42501 and 25006 for one that would write.
    pub(super) fn read(&self, text: &str) -> PgWireResult<Asked> {
        let mut statements = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(text)
            .and_then(|mut parser| parser.parse_statements())
            .map_err(|cause| of_parser(&cause))?;
        let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(error("42601", "one statement was expected"));
        };
        only_reads(&statement)?;
        let names = dialect::names(&statement);
        let arrays = arrays::as_lists(&mut statement);
        let asked = match asks_catalogues(&statement) {
            false => self
                .spelling
                .iter()
                .fold(statement, |statement, rule| rule.rewrite(statement)),
            true => {
                let mut spelled = statement.clone();
                name_functions(&mut spelled);
                empty_lists(&mut spelled);
                qualify(&mut spelled);
                let text = match arrays.is_empty() && spelled == statement {
                    true => text.to_owned(),
                    false => spelled.to_string(),
                };
                let rewritten = self
                    .catalogues
                    .parse(&text)
                    .map_err(|cause| of_parser(&cause))?;
                let first = rewritten.into_iter().next();
                first.ok_or_else(|| error("42601", "one statement was expected"))?
            }
        };
        Ok(Asked {
            statement: dialect::postgresql(asked)?,
            names,
            arrays,
        })
    }
}

/// Whether any table of a query belongs to the catalogues.
fn asks_catalogues(statement: &Statement) -> bool {
    let found = visit_relations(statement, |name: &ObjectName| {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| {
                part.as_ident()
                    .map(|ident| ident.value.to_ascii_lowercase())
            })
            .collect();
        let of_catalogue = parts.iter().any(|part| part == "pg_catalog")
            || parts.last().is_some_and(|last| last.starts_with("pg_"));
        match of_catalogue {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// How many parameters a query has.
pub(super) fn placeholders(statement: &Statement) -> usize {
    let mut most = 0;
    let _ = visit_expressions(statement, |expression: &Expr| {
        if let Expr::Value(value) = expression
            && let Value::Placeholder(name) = &value.value
        {
            let number = name.trim_start_matches('$').parse().unwrap_or(0);
            most = most.max(number);
        }
        ControlFlow::<()>::Continue(())
    });
    most
}

/// Catalogues say functions by their names: what is compared with one is its name, without its schema.
fn name_functions(statement: &mut Statement) {
    let _ = visit_expressions_mut(statement, |expression: &mut Expr| {
        if let Expr::Cast {
            expr,
            data_type: DataType::Custom(kind, _),
            ..
        } = expression
            && kind.to_string().trim_start_matches("pg_catalog.") == "regproc"
            && let Expr::Value(value) = expr.as_ref()
            && let Value::SingleQuotedString(name) = &value.value
        {
            let name = name.trim_start_matches("pg_catalog.").to_owned();
            *expression = Expr::value(Value::SingleQuotedString(name));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Lists of what there is none of: `ARRAY(SELECT … FROM pg_auth_members …)`.
fn empty_lists(statement: &mut Statement) {
    let _ = visit_expressions_mut(statement, |expression: &mut Expr| {
        if let Expr::Function(function) = expression
            && function.name.to_string().eq_ignore_ascii_case("array")
            && let FunctionArguments::Subquery(query) = &function.args
            && is_empty(query)
        {
            *expression = Expr::value(Value::SingleQuotedString("{}".to_owned()));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Names of a session's own catalogues without their schema.
fn qualify(statement: &mut Statement) {
    let _ = visit_relations_mut(statement, |name: &mut ObjectName| {
        if let [ObjectNamePart::Identifier(ident)] = &name.0[..]
            && OWN.contains(&ident.value.as_str())
        {
            let schema = ObjectNamePart::Identifier(Ident::new("pg_catalog"));
            name.0.insert(0, schema);
        }
        ControlFlow::<()>::Continue(())
    });
}

fn only_reads(statement: &Statement) -> PgWireResult<()> {
    match statement {
        Statement::Query(query) => query_only_reads(query),
        Statement::Explain { statement, .. } => only_reads(statement),
        _ => Err(error("42601", "this is no query")),
    }
}

fn query_only_reads(query: &Query) -> PgWireResult<()> {
    if !query.locks.is_empty() {
        return Err(error(
            "25006",
            "cannot execute SELECT FOR UPDATE in a read-only transaction",
        ));
    }
    if let Some(with) = &query.with {
        with.cte_tables
            .iter()
            .try_for_each(|cte| query_only_reads(&cte.query))?;
    }
    body_only_reads(&query.body)
}

fn body_only_reads(body: &SetExpr) -> PgWireResult<()> {
    match body {
        SetExpr::Select(select) => match &select.into {
            Some(into) if into.temporary => Err(no_temporary()),
            Some(_) => Err(hinted(
                "25006",
                "cannot execute SELECT INTO in a read-only transaction",
                "The tables are written by lake-writer alone; this server only reads.",
            )),
            None => Ok(()),
        },
        SetExpr::Query(query) => query_only_reads(query),
        SetExpr::SetOperation { left, right, .. } => {
            body_only_reads(left)?;
            body_only_reads(right)
        }
        SetExpr::Values(_) | SetExpr::Table(_) => Ok(()),
        _ => Err(error(
            "25006",
            "cannot execute a statement that writes in a read-only transaction",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_postgres::pgwire::error::ErrorInfo;

    #[test]
    fn queries_that_would_write_are_refused() {
        let texts = Texts::new();
        for (text, code) in [
            ("SELECT * INTO TEMPORARY TABLE x FROM sales", "42501"),
            ("SELECT * INTO TEMP x FROM sales", "42501"),
            ("SELECT * INTO x FROM sales", "25006"),
            ("SELECT * FROM sales FOR UPDATE", "25006"),
            (
                "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
                "25006",
            ),
            ("EXPLAIN ANALYZE INSERT INTO sales VALUES (1)", "42601"),
            ("SELECT 1; SELECT 2", "42601"),
            ("SELECT region FROM", "42601"),
        ] {
            let refused = texts.read(text).err().expect(text);
            assert_eq!(ErrorInfo::from(refused).code, code, "{text}");
        }
    }

    #[test]
    fn questions_to_the_tables_are_not_rewritten_away() {
        let text = "SELECT (SELECT max(amount) FROM sales AS s WHERE s.region = t.region) AS m FROM sales AS t";
        assert_eq!(Texts::new().read(text).unwrap().statement.to_string(), text);
    }
}
