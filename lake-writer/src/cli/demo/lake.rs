//! The lake as its log tells it, followed while it grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::exit::Failure;
use crate::commit::record::FileChange;
use crate::commit::{read_record, snapshot};
use crate::store::{Store, TablePath};

/// What lies in one folder below `data/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) files: u64,
    pub(super) rows: u64,
}

/// Files and rows by folder, up to the last record seen.
pub(super) struct Lake {
    store: Arc<dyn Store>,
    next_record: u64,
    folders: BTreeMap<String, Folder>,
    root: String,
}

impl Lake {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let url = store.url();
        Self {
            store,
            next_record: 0,
            folders: BTreeMap::new(),
            root: url.strip_prefix("file://").unwrap_or(&url).to_owned(),
        }
    }

    /// Reads what was added since; at first, what is there.
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        if self.next_record == 0 {
            let snapshot = snapshot(self.store.as_ref()).await?;
            self.next_record = snapshot.state.next_number();
            for (path, file) in &snapshot.files {
                self.add(path, file.rows);
            }
        }
        while let Some(record) = read_record(self.store.as_ref(), self.next_record).await? {
            if let Some(change) = record.body.change() {
                self.count(&change);
            }
            self.next_record += 1;
        }
        Ok(())
    }

    fn count(&mut self, change: &FileChange) {
        for taken in change.taken() {
            if let Some(folder) = folder_of(&taken.path).and_then(|it| self.folders.get_mut(it)) {
                folder.files = folder.files.saturating_sub(1);
                folder.rows = folder.rows.saturating_sub(taken.rows);
            }
        }
        for file in change.added() {
            self.add(&file.path, file.rows);
        }
    }

    fn add(&mut self, path: &TablePath, rows: u64) {
        if let Some(name) = folder_of(path) {
            let folder = self.folders.entry(name.to_owned()).or_default();
            folder.files += 1;
            folder.rows += rows;
        }
    }

    /// By folder below `data/`, in order of names.
    pub(super) fn folders(&self) -> &BTreeMap<String, Folder> {
        &self.folders
    }

    pub(super) fn rows(&self) -> u64 {
        self.folders.values().map(|folder| folder.rows).sum()
    }

    pub(super) fn files(&self) -> u64 {
        self.folders.values().map(|folder| folder.files).sum()
    }

    /// The table's folder on disk.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// What readers glob.
    pub(super) fn data_glob(&self) -> String {
        format!("{}/data/**/*.parquet", self.root)
    }
}

/// The folder of a file below `data/`; empty for one that lies in no folder there.
fn folder_of(path: &TablePath) -> Option<&str> {
    let inside = path.as_str().strip_prefix("data/")?;
    Some(inside.rsplit_once('/').map_or("", |(folder, _)| folder))
}
