//! What is not done here, and why not.

use datafusion_postgres::pgwire::error::PgWireError;

use super::words::Words;
use crate::server::fault::{error, hinted};

/// The error for a statement that begins with a word.
pub(super) fn refused(word: &str, words: &mut Words) -> PgWireError {
    let read_only = |what: &str| {
        hinted(
            "25006",
            format!("cannot execute {what} in a read-only transaction"),
            "The tables are written by lake-writer alone; this server only reads.",
        )
    };
    match word {
        "create" => {
            let _ = words.take(&["local"]) || words.take(&["global"]);
            match words.take(&["temporary"]) || words.take(&["temp"]) {
                true => no_temporary(),
                false => read_only("CREATE"),
            }
        }
        "insert" | "update" | "delete" | "merge" | "truncate" | "drop" | "alter" | "copy"
        | "grant" | "revoke" | "comment" | "analyze" | "vacuum" | "reindex" | "cluster"
        | "lock" | "refresh" | "import" | "security" | "reassign" | "call" | "do"
        | "checkpoint" | "load" => read_only(&word.to_ascii_uppercase()),
        "prepare" | "execute" | "listen" | "unlisten" | "notify" => error(
            "0A000",
            format!("{} is not supported", word.to_ascii_uppercase()),
        ),
        other => error("42601", format!("syntax error at or near \"{other}\"")),
    }
}

/// Tableau asks for temporary tables first and takes subqueries where it may not have them.
pub(in crate::server) fn no_temporary() -> PgWireError {
    error(
        "42501",
        "permission denied to create temporary tables: this server only reads",
    )
}
