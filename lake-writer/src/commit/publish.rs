//! Giving committed files their final names.
//!
//! Every step can be repeated, by the writer that made the files or by any other: the record says
//! where each file waits, what it is called and how long it is.

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::store::{Published, Store};

use super::CommitError;
use super::record::{Commit, DataFile};

/// Files published at once: enough to hide round trips, few enough not to crowd a name node.
const CONCURRENCY: usize = 16;

/// Publishes all files of a commit.
///
/// # Errors
/// [`CommitError::LostFile`] for a file that is neither staged nor published; store errors, after
/// which the call can be repeated.
pub(super) async fn publish(
    store: &dyn Store,
    number: u64,
    commit: &Commit,
) -> Result<(), CommitError> {
    let publishing: Vec<_> = commit
        .all_files()
        .map(|file| publish_file(store, number, commit, file))
        .collect();
    stream::iter(publishing)
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await
}

async fn publish_file(
    store: &dyn Store,
    number: u64,
    commit: &Commit,
    file: &DataFile,
) -> Result<(), CommitError> {
    match store.publish(&file.staged, &file.path, file.bytes).await? {
        Published::Now | Published::Before => Ok(()),
        Published::Missing => Err(CommitError::LostFile {
            number,
            path: file.path.clone(),
            ranges: commit.ranges_text(),
        }),
    }
}
