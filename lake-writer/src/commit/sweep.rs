//! Removing what crashed writers have left: staged files, open uploads, prepared log records.
//!
//! Owns: the rule by which something is debris. It is never age: a writer that was frozen for a
//! week finds its files again, or finds that it may not commit them.
//!
//! A file belongs to the session in its name. It is debris when no unpublished commit names it and
//! its session holds no source partition any more, so that no commit of its files can ever be
//! admitted. Files are listed *first* and the log is folded *after*: a session stages only under
//! a claim that is in the log already, so the fold knows the claim of every file that was listed.

use std::collections::BTreeSet;

use tokio::sync::Mutex;

use crate::store::{OpenUpload, Staged, TablePath};

use super::CommitError;
use super::log::Log;
use super::record::Commit;
use super::state::State;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files below `stage/`.
    pub files: usize,
    /// Uploads that were never completed.
    pub uploads: usize,
}

/// Removes what no session can use any more. Holds the log only while it looks at it, so that
/// commits go on meanwhile.
///
/// # Errors
/// Store errors; a sweep can be repeated at any time.
pub async fn sweep(log: &Mutex<Log>) -> Result<Swept, CommitError> {
    let store = log.lock().await.store();
    let staged = store.list(&folder("stage")).await?;
    let mut uploads = store.open_uploads(&folder("data")).await?;
    uploads.extend(store.open_uploads(&folder("dead")).await?);
    let judge = {
        let mut log = log.lock().await;
        let own = log.session().to_owned();
        Judge::new(log.catch_up().await?, &own)
    };
    let mut swept = Swept::default();
    for entry in staged {
        if judge.is_debris_file(&entry.path) {
            store.delete(&entry.path).await?;
            swept.files += 1;
        }
    }
    for OpenUpload { path, id } in uploads {
        if judge.is_debris_upload(&path, &id) {
            store
                .discard(
                    &Staged::Upload {
                        id,
                        parts: Vec::new(),
                    },
                    &path,
                )
                .await?;
            swept.uploads += 1;
        }
    }
    Ok(swept)
}

fn folder(name: &str) -> TablePath {
    TablePath::new(name).expect("a legal name")
}

/// Tells debris from what may still be needed, by one fold of the log. Public for the model of the
/// protocol, which asks the same judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// Sessions that hold a source partition, and our own.
    living: BTreeSet<String>,
    /// Staged files and uploads of commits that may not be published yet.
    named: BTreeSet<String>,
}

impl Judge {
    /// A judge that knows `state`, which was folded after whatever it is to judge was listed. What
    /// the session `own` has staged is never debris.
    pub fn new(state: &State, own: &str) -> Self {
        let mut living: BTreeSet<String> = state
            .sources
            .values()
            .map(|held| held.session.clone())
            .collect();
        living.insert(own.to_owned());
        let files = state.unpublished.values().flat_map(Commit::all_files);
        let named = files.map(|file| match &file.staged {
            Staged::File { path } => path.as_str().to_owned(),
            Staged::Upload { id, .. } => id.clone(),
        });
        Self {
            living,
            named: named.collect(),
        }
    }

    /// Of a file below `stage/`: `stage/<session>/…`; anything else there is not ours to judge.
    pub fn is_debris_file(&self, path: &TablePath) -> bool {
        let session = path.as_str().split('/').nth(1).unwrap_or_default();
        is_session(session) && !self.living.contains(session) && !self.named.contains(path.as_str())
    }

    /// Of an open upload for `path`: `…/<session>-<cut>-<file>.parquet`.
    pub fn is_debris_upload(&self, path: &TablePath, id: &str) -> bool {
        let session = path.file_name().split('-').next().unwrap_or_default();
        is_session(session) && !self.living.contains(session) && !self.named.contains(id)
    }
}

fn is_session(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
