//! Carrying out what a record says of files: old ones go, new ones get their final names.
//!
//! Every step can be repeated, by the writer that made the files or by any other: the record says
//! which files go, and where each new one waits, what it is called and how long it is.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::store::{Published, Store, StoreErrorKind, TablePath};

use super::CommitError;
use super::record::{DataFile, FileChange, TakenFile};

/// Files published or removed at once: enough to hide round trips, few enough not to crowd a name
/// node.
const CONCURRENCY: usize = 16;

/// Removes the files that a change takes out, all of them, and publishes those that it adds. Returns
/// which of these are neither staged nor published. Of those that are given up, because a replacement
/// is about to take them out, neither that nor a damaged file in their place is said.
///
/// # Errors
/// Store errors, after which the call can be repeated.
pub(super) async fn carry_out(
    store: &dyn Store,
    change: &FileChange,
    given_up: &[TakenFile],
) -> Result<Vec<TablePath>, CommitError> {
    let given_up: BTreeSet<&TablePath> = given_up.iter().map(|file| &file.path).collect();
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
        .map(|file| publish_file(store, file, given_up.contains(&file.path)))
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
    is_given_up: bool,
) -> Result<Option<TablePath>, CommitError> {
    match store.publish(&file.staged, &file.path, file.bytes).await {
        Ok(Published::Now | Published::Before) => Ok(None),
        Ok(Published::Missing) => Ok((!is_given_up).then(|| file.path.clone())),
        Err(error) if is_given_up && error.kind == StoreErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error.into()),
    }
}
