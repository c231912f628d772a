//! Removing what crashed writers have left: staged files, open uploads, prepared parts of the log,
//! files of start-up probes.
//!
//! Owns: the rule by which something is debris. It is never age: a writer that was frozen for a
//! week finds its files again, or finds that it may not commit them.
//!
//! A file belongs to the session in its name. It is debris when no record that is still to be
//! carried out names it and its session holds no source partition any more, so that no record that
//! names it can ever be admitted. Files are listed *first* and the log is folded *after*: a session
//! stages only under a claim that is in the log already, so the fold knows the claim of every file
//! that was listed. A probe's files are named as if by a session that never claims: they are debris
//! at once, and a probe whose files were swept is made again.

use std::collections::BTreeSet;

use tokio::sync::Mutex;

use crate::store::{FOREIGN, OpenUpload, Staged, Store, TablePath};

use super::CommitError;
use super::fold::fold;
use super::log::Log;
use super::record::FileChange;
use super::state::State;

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Swept {
    /// Files below `stage/`.
    pub files: usize,
    /// Uploads that were never completed.
    pub uploads: usize,
}

/// What no session can use any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debris {
    /// Files below `stage/`.
    pub files: Vec<TablePath>,
    /// Uploads that were never completed.
    pub uploads: Vec<OpenUpload>,
}

/// Removes what no session can use any more, beside a writer. Holds the log only while it looks at
/// it, so that commits go on meanwhile.
///
/// # Errors
/// Store errors; a sweep can be repeated at any time.
pub async fn sweep(log: &Mutex<Log>) -> Result<Swept, CommitError> {
    let store = log.lock().await.store();
    let listed = list(store.as_ref()).await?;
    let judge = {
        let mut log = log.lock().await;
        let own = log.session().to_owned();
        Judge::new(log.catch_up().await?, &own)
    };
    remove(store.as_ref(), judge.debris(listed)).await
}

/// Finds what no session can use any more.
///
/// # Errors
/// Store errors; as [`fold`].
pub async fn find(store: &dyn Store) -> Result<Debris, CommitError> {
    let listed = list(store).await?;
    let judge = Judge::new(&fold(store).await?, "");
    Ok(judge.debris(listed))
}

/// Removes debris, which stays debris for ever: nothing that was found so can be needed later.
///
/// # Errors
/// Store errors, after which some of it is left.
pub async fn remove(store: &dyn Store, debris: Debris) -> Result<Swept, CommitError> {
    let mut swept = Swept::default();
    for path in debris.files {
        store.delete(&path).await?;
        swept.files += 1;
    }
    for OpenUpload { path, id } in debris.uploads {
        let parts = Vec::new();
        store.discard(&Staged::Upload { id, parts }, &path).await?;
        swept.uploads += 1;
    }
    Ok(swept)
}

/// Everything that waits to be published, to be put, or to be removed.
async fn list(store: &dyn Store) -> Result<Debris, CommitError> {
    let staged = store.list(&folder("stage")).await?;
    let mut uploads = Vec::new();
    for name in ["data", "dead", FOREIGN, "stage"] {
        uploads.extend(store.open_uploads(&folder(name)).await?);
    }
    Ok(Debris {
        files: staged.into_iter().map(|entry| entry.path).collect(),
        uploads,
    })
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
    /// Staged files and uploads of records that may not be carried out yet.
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
        let files = state.unpublished.values().flat_map(FileChange::added);
        let named = files.map(|file| match &file.staged {
            Staged::File { path } => path.as_str().to_owned(),
            Staged::Upload { id, .. } => id.clone(),
        });
        Self {
            living,
            named: named.collect(),
        }
    }

    /// What of a listing is debris.
    fn debris(&self, mut listed: Debris) -> Debris {
        listed.files.retain(|path| self.is_debris_file(path));
        listed
            .uploads
            .retain(|upload| self.is_debris_upload(&upload.path, &upload.id));
        listed
    }

    /// Of a file below `stage/`: `stage/<session>/…`; anything else there is not ours to judge.
    pub fn is_debris_file(&self, path: &TablePath) -> bool {
        let session = path.as_str().split('/').nth(1).unwrap_or_default();
        is_session(session) && !self.living.contains(session) && !self.named.contains(path.as_str())
    }

    /// Of an open upload for `path`: `…/<session>-<cut>-<file>.parquet`, or `foreign/<session>/…`.
    pub fn is_debris_upload(&self, path: &TablePath, id: &str) -> bool {
        let mut folders = path.as_str().split('/');
        let session = match folders.next() {
            Some(FOREIGN) => folders.next(),
            _ => path.file_name().split('-').next(),
        };
        let session = session.unwrap_or_default();
        is_session(session) && !self.living.contains(session) && !self.named.contains(id)
    }
}

fn is_session(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
