//! A store in memory, for tests and for the seeded simulation.
//!
//! ```text
//! several writers ─► MemoryStore (clones share one table) ─► a test that looks inside
//! ```
//!
//! Owns: both ways in which real stores stage: by file, as disks and HDFS, and by upload, as S3.
//! Does not own: faults, which are injected around it; it never fails by itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError,
    StoreErrorKind, TablePath,
};

/// How the store keeps a file that is not published yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// Under a name of its own below `stage/`, as a disk and HDFS do.
    File,
    /// As an upload that is not completed, as S3 does.
    Upload,
}

/// A table in memory. Clones are further clients of the same table.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    staging: Staging,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    files: BTreeMap<TablePath, Bytes>,
    uploads: BTreeMap<String, Upload>,
    uploads_begun: u64,
}

#[derive(Debug)]
struct Upload {
    target: TablePath,
    bytes: Bytes,
}

impl MemoryStore {
    /// An empty table.
    pub fn new(staging: Staging) -> Self {
        Self {
            staging,
            table: Arc::default(),
        }
    }

    /// Everything a reader would find, by path, in byte order.
    pub fn files(&self) -> BTreeMap<TablePath, Bytes> {
        self.table().files.clone()
    }

    /// One file.
    pub fn file(&self, path: &TablePath) -> Option<Bytes> {
        self.table().files.get(path).cloned()
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<OpenUpload> {
        let table = self.table();
        table.uploads.iter().map(open_upload).collect()
    }

    /// Puts a file without asking anybody, as a stranger with access to the table would.
    pub fn plant(&self, path: &TablePath, bytes: Bytes) {
        self.table().files.insert(path.clone(), bytes);
    }

    /// Removes a file without asking anybody.
    pub fn remove(&self, path: &TablePath) {
        self.table().files.remove(path);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code panics while it holds the lock, and each change is a single map operation.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn below(path: &TablePath, folder: &TablePath) -> bool {
    path.as_str()
        .strip_prefix(folder.as_str())
        .is_some_and(|rest| rest.starts_with('/'))
}

fn corrupt(action: &'static str, path: &TablePath, found: usize, expected: u64) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        action,
        path.as_str(),
        format!("{found} bytes are there, {expected} were written"),
    )
}

#[async_trait]
impl Store for MemoryStore {
    fn url(&self) -> String {
        "memory:///".into()
    }

    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        match self.staging {
            Staging::Upload => Ok(Prepared::Memory(bytes)),
            Staging::File => {
                self.table().files.insert(name.clone(), bytes);
                Ok(Prepared::File(name.clone()))
            }
        }
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        let mut table = self.table();
        if table.files.contains_key(path) {
            return Ok(Put::Exists);
        }
        let bytes = match prepared {
            Prepared::Memory(bytes) => bytes.clone(),
            Prepared::File(name) => table.files.remove(name).ok_or_else(|| {
                StoreError::new(
                    StoreErrorKind::Corrupt,
                    "put",
                    path.as_str(),
                    format!("the prepared file `{name}` is gone"),
                )
            })?,
        };
        table.files.insert(path.clone(), bytes);
        Ok(Put::Created)
    }

    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError> {
        if let Prepared::File(name) = prepared {
            self.table().files.remove(&name);
        }
        Ok(())
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        Ok(self.table().files.get(path).cloned())
    }

    async fn read_range(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let table = self.table();
        let Some(bytes) = table.files.get(path) else {
            let source = "there is no such file";
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                "read",
                path.as_str(),
                source,
            ));
        };
        if range.start > range.end || range.end > bytes.len() as u64 {
            return Err(corrupt("read", path, bytes.len(), range.end));
        }
        let at = |offset| usize::try_from(offset).expect("an offset inside bytes held in memory");
        Ok(bytes.slice(at(range.start)..at(range.end)))
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        Ok(self.table().files.get(path).map(|bytes| bytes.len() as u64))
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        let table = self.table();
        let inside = table.files.iter().filter(|(path, _)| below(path, folder));
        Ok(inside.map(entry).collect())
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        let table = self.table();
        let later = table
            .files
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder.as_str()) && path.file_name() > after);
        Ok(later.map(entry).collect())
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        self.table().files.remove(path);
        Ok(())
    }

    async fn stage(
        &self,
        target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        let mut table = self.table();
        let place = match self.staging {
            Staging::File => {
                // Listed from now on without a byte in it, as an open file on HDFS is.
                table.files.insert(staging.clone(), Bytes::new());
                Place::File(staging.clone())
            }
            Staging::Upload => {
                table.uploads_begun += 1;
                let id = format!("upload-{}", table.uploads_begun);
                let upload = Upload {
                    target: target.clone(),
                    bytes: Bytes::new(),
                };
                table.uploads.insert(id.clone(), upload);
                Place::Upload(id)
            }
        };
        Ok(Box::new(MemoryStage {
            store: self.clone(),
            place,
            written: BytesMut::new(),
        }))
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        let mut table = self.table();
        if let Some(there) = table.files.get(target) {
            return if there.len() as u64 == size {
                Ok(Published::Before)
            } else {
                Err(corrupt("publish", target, there.len(), size))
            };
        }
        let bytes = match staged {
            Staged::File { path } => table.files.remove(path),
            Staged::Upload { id, .. } => table.uploads.remove(id).map(|upload| upload.bytes),
        };
        let Some(bytes) = bytes else {
            return Ok(Published::Missing);
        };
        table.files.insert(target.clone(), bytes);
        Ok(Published::Now)
    }

    async fn discard(&self, staged: &Staged, _target: &TablePath) -> Result<(), StoreError> {
        let mut table = self.table();
        match staged {
            Staged::File { path } => {
                table.files.remove(path);
            }
            Staged::Upload { id, .. } => {
                table.uploads.remove(id);
            }
        }
        Ok(())
    }

    async fn open_uploads(&self, folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        let table = self.table();
        let inside = table.uploads.iter();
        let inside = inside.filter(|(_, upload)| below(&upload.target, folder));
        Ok(inside.map(open_upload).collect())
    }
}

fn open_upload((id, upload): (&String, &Upload)) -> OpenUpload {
    OpenUpload {
        path: upload.target.clone(),
        id: id.clone(),
    }
}

fn entry((path, bytes): (&TablePath, &Bytes)) -> Entry {
    Entry {
        path: path.clone(),
        size: bytes.len() as u64,
    }
}

#[derive(Debug)]
struct MemoryStage {
    store: MemoryStore,
    place: Place,
    written: BytesMut,
}

#[derive(Debug)]
enum Place {
    File(TablePath),
    Upload(String),
}

#[async_trait]
impl StageWriter for MemoryStage {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.written.extend_from_slice(&bytes);
        if let Place::File(path) = &self.place {
            // What a crash leaves behind is as long as what was written.
            let mut table = self.store.table();
            if let Some(file) = table.files.get_mut(path) {
                *file = Bytes::copy_from_slice(&self.written);
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        match self.place {
            Place::File(_) => 0,
            Place::Upload(_) => self.written.len() as u64,
        }
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        let Self {
            store,
            place,
            written,
        } = *self;
        let bytes = written.freeze();
        let mut table = store.table();
        // Whoever sweeps a file that is still being written makes its closing fail, as on HDFS.
        let (name, staged) = match place {
            Place::File(path) => {
                let open = table.files.get_mut(&path).map(|file| *file = bytes);
                (path.to_string(), open.map(|()| Staged::File { path }))
            }
            Place::Upload(id) => {
                let open = table.uploads.get_mut(&id);
                let open = open.map(|upload| upload.bytes = bytes);
                let parts = vec![format!("{id}-part-1")];
                (id.clone(), open.map(|()| Staged::Upload { id, parts }))
            }
        };
        staged.ok_or_else(|| {
            let source = "it was removed while it was being written";
            StoreError::new(StoreErrorKind::Transient, "stage", name, source)
        })
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        let mut table = self.store.table();
        match &self.place {
            Place::File(path) => {
                table.files.remove(path);
            }
            Place::Upload(id) => {
                table.uploads.remove(id);
            }
        }
        Ok(())
    }
}
