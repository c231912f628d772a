//! `files`: the live files of a table at one record of its log, for readers who want all files of a
//! commit or none, and never those of a replacement that is half done.
//!
//! Owns: which records count: the last ones may be recorded and not published yet.
//! Does not own: what is live (`commit::snapshot`).

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::Arguments;
use super::columns::columns;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::open;
use super::output::{Output, print, print_json};
use crate::commit::record::FileChange;
use crate::commit::{Snapshot, snapshot};
use crate::store::Store;
use crate::telemetry::figures::{bytes, count};

#[derive(Debug, Args)]
pub(super) struct FilesArguments {
    /// Print one full path or URL a line, and nothing else
    #[arg(long)]
    paths: bool,

    /// Show files of dead letters instead
    #[arg(long)]
    dead: bool,
}

pub(super) fn run(arguments: &Arguments, files: &FilesArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let store = open::store(&context.settings)?;
    let snapshot = context.runtime.block_on(readable(store.as_ref()))?;
    let folder = if files.dead { "dead/" } else { "data/" };
    let live = snapshot.files.iter();
    let live: Vec<_> = live
        .filter(|(path, _)| path.as_str().starts_with(folder))
        .collect();
    let url = store.url();
    let root = url.strip_prefix("file://").unwrap_or(&url);
    if files.paths {
        let lines = live.iter().map(|(path, _)| format!("{root}/{path}\n"));
        return print(&lines.collect::<String>());
    }
    match arguments.output {
        Output::Json => {
            let files = live.iter().map(|(path, file)| {
                json!({
                    "path": path,
                    "record": file.number,
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "xxh3": file.xxh3,
                    "partition": file.partition,
                    "sources": file.sources,
                })
            });
            print_json(&json!({
                "table": url,
                "head": snapshot.state.head,
                "files": files.collect::<Vec<_>>(),
            }))
        }
        Output::Text => {
            let rows: Vec<Vec<String>> = live
                .iter()
                .map(|(path, file)| {
                    vec![
                        path.to_string(),
                        count(file.rows),
                        bytes(file.bytes),
                        file.number.to_string(),
                    ]
                })
                .collect();
            print(&columns(&["file", "rows", "size", "record"], &rows))
        }
    }
}

/// The table without the commits whose files are not all in their places yet.
async fn readable(store: &dyn Store) -> Result<Snapshot, Failure> {
    let mut snapshot = snapshot(store).await?;
    let mut unread = BTreeSet::new();
    for (number, change) in &snapshot.state.unpublished {
        if is_carried_out(store, change).await? {
            continue;
        }
        match change {
            FileChange::Commit(_) => unread.insert(*number),
            FileChange::Replace(_) => {
                return Err(Failure::new(
                    Exit::Store,
                    format!(
                        "record {number} replaces files and is not carried out yet; try again, or \
                         start a writer, which finishes it"
                    ),
                ));
            }
        };
    }
    snapshot
        .files
        .retain(|_, file| !unread.contains(&file.number));
    Ok(snapshot)
}

async fn is_carried_out(store: &dyn Store, change: &FileChange) -> Result<bool, Failure> {
    for file in change.added() {
        if store.size(&file.path).await?.is_none() {
            return Ok(false);
        }
    }
    for taken in change.taken() {
        if store.size(&taken.path).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
