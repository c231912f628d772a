//! A store that takes staged files and keeps nothing: what a dry run writes to.
//!
//! Everything that would be seen by a reader or by another writer fails, so that a dry run cannot
//! publish or commit by mistake.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError,
    StoreErrorKind, TablePath,
};

/// An empty table that stays empty.
#[derive(Debug)]
pub(super) struct Nowhere {
    /// The URL of the table it stands in for, which goes into the files' metadata.
    pub(super) url: String,
}

fn refused(action: &'static str, path: &TablePath) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unfit,
        action,
        path.as_str(),
        "a dry run writes nothing",
    )
}

#[async_trait]
impl Store for Nowhere {
    fn url(&self) -> String {
        self.url.clone()
    }

    async fn prepare(&self, _name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        Ok(Prepared::Memory(bytes))
    }

    async fn put_if_absent(
        &self,
        _prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        Err(refused("put", path))
    }

    async fn drop_prepared(&self, _prepared: Prepared) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read(&self, _path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    async fn read_range(&self, path: &TablePath, _range: Range<u64>) -> Result<Bytes, StoreError> {
        Err(refused("read", path))
    }

    async fn size(&self, _path: &TablePath) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    async fn list(&self, _folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn list_after(
        &self,
        _folder: &TablePath,
        _after: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _path: &TablePath) -> Result<(), StoreError> {
        Ok(())
    }

    async fn stage(
        &self,
        _target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        Ok(Box::new(Forgetting(staging.clone())))
    }

    async fn publish(
        &self,
        _staged: &Staged,
        target: &TablePath,
        _size: u64,
    ) -> Result<Published, StoreError> {
        Err(refused("publish", target))
    }

    async fn discard(&self, _staged: &Staged, _target: &TablePath) -> Result<(), StoreError> {
        Ok(())
    }

    async fn open_uploads(&self, _folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        Ok(Vec::new())
    }
}

/// A file whose bytes are forgotten as they come.
struct Forgetting(TablePath);

#[async_trait]
impl StageWriter for Forgetting {
    async fn write(&mut self, _bytes: Bytes) -> Result<(), StoreError> {
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        0
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        Ok(Staged::File { path: self.0 })
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
