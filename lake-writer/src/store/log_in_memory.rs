//! A table whose log is kept in this process and nowhere else: what the log costs is the difference to
//! the same run without. For `bench/commit_cost.py` alone; compiled only with the feature `simulation`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::memory::{MemoryStore, Staging};
use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError, TablePath,
};

/// Name of the variable that asks for it.
pub const VARIABLE: &str = "LAKE_WRITER_LOG_IN_MEMORY";

/// The store, but for the folder of the log, and for what else is put if absent: the probe at the start
/// tries that in a folder of its own.
#[derive(Debug)]
pub struct LogInMemory {
    store: Arc<dyn Store>,
    log: MemoryStore,
}

impl LogInMemory {
    /// Around a store that has no log yet.
    pub fn around(store: Arc<dyn Store>) -> Arc<dyn Store> {
        let log = MemoryStore::new(Staging::Upload);
        Arc::new(Self { store, log })
    }

    fn of(&self, path: &TablePath) -> &dyn Store {
        let path = path.as_str();
        match path == "log" || path.starts_with("log/") {
            true => &self.log,
            false => self.store.as_ref(),
        }
    }
}

#[async_trait]
impl Store for LogInMemory {
    fn url(&self) -> String {
        self.store.url()
    }

    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        self.log.prepare(name, bytes).await
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        self.log.put_if_absent(prepared, path).await
    }

    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError> {
        self.log.drop_prepared(prepared).await
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        match self.log.read(path).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => self.of(path).read(path).await,
        }
    }

    async fn read_range(
        &self,
        path: &TablePath,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, StoreError> {
        self.of(path).read_range(path, range).await
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        self.of(path).size(path).await
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        self.of(folder).list(folder).await
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        self.of(folder).list_after(folder, after).await
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        self.of(path).delete(path).await
    }

    async fn stage(
        &self,
        target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        self.store.stage(target, staging).await
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        self.store.publish(staged, target, size).await
    }

    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError> {
        self.store.discard(staged, target).await
    }

    async fn open_uploads(&self, folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        self.store.open_uploads(folder).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::probe::probe;

    #[tokio::test]
    async fn the_probe_at_the_start_lets_it_pass() {
        let store = Arc::new(MemoryStore::new(Staging::File));
        let around = LogInMemory::around(store);
        probe(around.as_ref(), "0123456789abcdef")
            .await
            .expect("a store that keeps its promises");
    }
}
