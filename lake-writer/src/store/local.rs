//! A table on a local disk.
//!
//! ```text
//! stage/… ─► fsync file and folder ─► rename without overwrite ─► fsync folder ─► data/…
//! ```
//!
//! Owns: which call of the port takes which steps on disk, the time limit, what an error means.
//! Does not own: the steps themselves (see `disk`), which block and run on the blocking pool.
//!
//! The folder must lie on one file system with hard links and with `fsync` that means it.

mod disk;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::disk::{Disk, Found};
use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError,
    StoreErrorKind, TablePath,
};

/// A table in a folder of this machine.
#[derive(Clone, Debug)]
pub struct LocalStore {
    disk: Arc<Disk>,
    call_timeout: Duration,
}

impl LocalStore {
    /// The table in `root`, an absolute path; it is created with the first file. No call takes
    /// longer than `call_timeout`.
    pub fn new(root: impl Into<PathBuf>, call_timeout: Duration) -> Self {
        Self {
            disk: Arc::new(Disk::new(root.into())),
            call_timeout,
        }
    }

    /// Runs blocking steps within the time limit. Steps that overrun it go on by themselves, so
    /// their outcome is unknown.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        path: &TablePath,
        steps: impl FnOnce(&Disk, &TablePath) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (disk, its_path) = (Arc::clone(&self.disk), path.clone());
        let steps = tokio::task::spawn_blocking(move || steps(&disk, &its_path));
        let failed = |kind, source: Box<dyn std::error::Error + Send + Sync>| {
            let path = self.disk.place(path).display().to_string();
            StoreError::new(kind, action, path, source)
        };
        match tokio::time::timeout(self.call_timeout, steps).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => Err(failed(classify(&error), error.into())),
            Ok(Err(stopped)) => Err(failed(StoreErrorKind::Transient, stopped.into())),
            Err(elapsed) => Err(failed(StoreErrorKind::Transient, elapsed.into())),
        }
    }

    fn corrupt(&self, action: &'static str, path: &TablePath, what: String) -> StoreError {
        let path = self.disk.place(path).display().to_string();
        StoreError::new(StoreErrorKind::Corrupt, action, path, what)
    }
}

/// What there is to do about an error of the operating system.
fn classify(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreErrorKind::Full,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
        ErrorKind::Unsupported
        | ErrorKind::CrossesDevices
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::FileTooLarge
        | ErrorKind::TooManyLinks
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => StoreErrorKind::Unfit,
        _ => StoreErrorKind::Transient,
    }
}

#[async_trait]
impl Store for LocalStore {
    fn url(&self) -> String {
        format!("file://{}", self.disk.root().display())
    }

    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        self.run("write", name, move |disk, name| {
            disk.write_whole(name, &bytes)
        })
        .await?;
        Ok(Prepared::File(name.clone()))
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        let Prepared::File(name) = prepared else {
            return Err(self.foreign("link", path));
        };
        let name = name.clone();
        let gone = format!("the prepared file `{name}` is gone");
        let put = self.run("link", path, move |disk, path| disk.link(&name, path));
        let put = put.await?;
        put.ok_or_else(|| self.corrupt("link", path, gone))
    }

    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError> {
        match prepared {
            Prepared::File(name) => self.run("delete", &name, Disk::forget).await,
            Prepared::Memory(_) => Ok(()),
        }
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        self.run("read", path, Disk::read).await
    }

    async fn read_range(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let wanted = range.clone();
        let steps = move |disk: &Disk, path: &TablePath| disk.read_range(path, &range);
        let bytes = self.run("read", path, steps).await?;
        bytes.ok_or_else(|| {
            let what = format!("it is missing or has no bytes {wanted:?}");
            self.corrupt("read", path, what)
        })
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        self.run("stat", path, Disk::size).await
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        self.run("list", folder, Disk::list).await
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        let after = after.to_owned();
        self.run("list", folder, move |disk, folder| {
            disk.list_after(folder, &after)
        })
        .await
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        self.run("delete", path, Disk::delete).await
    }

    async fn stage(
        &self,
        _target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        self.run("create", staging, Disk::create).await?;
        Ok(Box::new(LocalStage {
            store: self.clone(),
            path: staging.clone(),
            written: 0,
        }))
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        let Staged::File { path } = staged else {
            return Err(self.foreign("publish", target));
        };
        let path = path.clone();
        let steps = move |disk: &Disk, target: &TablePath| disk.publish(&path, target, size);
        match self.run("publish", target, steps).await? {
            Found::Published(published) => Ok(published),
            Found::Other(found) => {
                let what = format!("{found} bytes are there, {size} were written");
                Err(self.corrupt("publish", target, what))
            }
        }
    }

    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError> {
        match staged {
            Staged::File { path } => self.run("delete", path, Disk::forget).await,
            Staged::Upload { .. } => Err(self.foreign("discard", target)),
        }
    }

    async fn open_uploads(&self, _folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        Ok(Vec::new())
    }
}

impl LocalStore {
    fn foreign(&self, action: &'static str, path: &TablePath) -> StoreError {
        let path = self.disk.place(path).display().to_string();
        let source = "it was made by a store of another kind: look at the table's URL";
        StoreError::new(StoreErrorKind::Unfit, action, path, source)
    }
}

/// A file that grows. It is opened for each write, so that a cut over thousands of lake partitions
/// does not hold thousands of file descriptors.
#[derive(Debug)]
struct LocalStage {
    store: LocalStore,
    path: TablePath,
    written: u64,
}

#[async_trait]
impl StageWriter for LocalStage {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let (offset, length) = (self.written, bytes.len() as u64);
        let steps = move |disk: &Disk, path: &TablePath| disk.write_at(path, offset, &bytes);
        let written = self.store.run("write", &self.path, steps).await;
        if let Err(error) = written {
            // A full disk needs the room; what cannot be removed now is found by a sweep.
            let removed = self.store.run("delete", &self.path, Disk::forget).await;
            tracing::debug!(path = %self.path, removed = removed.is_ok(), "staged file given up");
            return Err(error);
        }
        self.written += length;
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        0
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        let sync = self.store.run("sync", &self.path, Disk::sync);
        sync.await?;
        Ok(Staged::File { path: self.path })
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        self.store.run("delete", &self.path, Disk::forget).await
    }
}
