//! Carrying out what a record says of files: old ones go, new ones get their final names.
//!
//! Every step can be repeated, by the writer that made the files or by any other: the record says
//! which files go, and where each new one waits, what it is called and how long it is.

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::store::{Published, Store, TablePath};

use super::CommitError;
use super::record::{DataFile, FileChange};

/// Files published or removed at once: enough to hide round trips, few enough not to crowd a name
/// node.
const CONCURRENCY: usize = 16;

/// Removes the files that a change takes out, all of them, and publishes those that it adds. Returns
/// which of these are neither staged nor published.
///
/// # Errors
/// Store errors, after which the call can be repeated.
pub(super) async fn carry_out(
    store: &dyn Store,
    change: &FileChange,
) -> Result<Vec<TablePath>, CommitError> {
    let removing: Vec<_> = change
        .taken()
        .iter()
        .map(|taken| store.delete(&taken.path))
        .collect();
    stream::iter(removing)
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    let publishing: Vec<_> = change
        .added()
        .map(|file| publish_file(store, file))
        .collect();
    let missing: Vec<Option<TablePath>> = stream::iter(publishing)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(missing.into_iter().flatten().collect())
}

async fn publish_file(
    store: &dyn Store,
    file: &DataFile,
) -> Result<Option<TablePath>, CommitError> {
    match store.publish(&file.staged, &file.path, file.bytes).await? {
        Published::Now | Published::Before => Ok(None),
        Published::Missing => Ok(Some(file.path.clone())),
    }
}
