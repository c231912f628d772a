//! Where PostgreSQL and the engine spell the same thing differently.

use datafusion::sql::sqlparser::ast::Statement;

/// A tree as the engine understands it, with the meaning that PostgreSQL gives to it.
pub(super) fn postgresql(statement: Statement) -> Statement {
    statement
}

/// The text of a query to the catalogues, before it is rewritten.
pub(super) fn catalogue_text(text: &str) -> String {
    text.to_owned()
}
