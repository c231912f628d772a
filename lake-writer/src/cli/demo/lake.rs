//! The lake as its log tells it, followed while it grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::exit::Failure;
use crate::commit::record::{Body, Record, record_path};
use crate::store::Store;

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

    /// Reads the records that were added since.
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        while let Some(bytes) = self.store.read(&record_path(self.next_record)).await? {
            let record = Record::decode(self.next_record, &bytes)?;
            self.count(&record);
            self.next_record += 1;
        }
        Ok(())
    }

    fn count(&mut self, record: &Record) {
        let Body::Commit(commit) = &record.body else {
            return;
        };
        for file in &commit.files {
            let folder = file.path.parent().unwrap_or("data");
            let name = folder.strip_prefix("data/").unwrap_or(folder);
            let folder = self.folders.entry(name.to_owned()).or_default();
            folder.files += 1;
            folder.rows += file.rows;
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
