//! Where the table lies: the port, saying exactly what the commit protocol needs.
//!
//! ```text
//! stage ─► StageWriter ─► (durable, invisible) ─► publish ─► data/…  ◄─ readers
//! commit ─► put_if_absent ─► log/…
//! ```
//!
//! Owns: paths inside a table, the `Store` port, its errors, one backend a file.
//! Does not own: what the bytes mean, or in which order the steps are taken (see `commit`).

pub mod open;
pub mod local;
#[cfg(feature = "hdfs")]
pub mod hdfs;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(any(feature = "hdfs", feature = "s3"))]
mod held;
#[cfg(any(test, feature = "simulation"))]
pub mod memory;
#[cfg(any(test, feature = "simulation"))]
pub mod fault;
#[cfg(any(test, feature = "simulation"))]
pub mod log_in_memory;
pub mod probe;
#[cfg(any(test, feature = "simulation"))]
pub mod conformance;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A path below the table's root: components joined by `/`, none empty, `.` or `..`.
///
/// Partition values are escaped before they get here (see `table::hive`), so every component is a
/// legal file name of at most 255 bytes on every store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TablePath(String);

impl TablePath {
    /// Checks and takes a path.
    ///
    /// # Errors
    /// When a component is empty, `.`, `..`, longer than 255 bytes, or holds a NUL.
    pub fn new(path: impl Into<String>) -> Result<Self, InvalidPath> {
        let path = path.into();
        let legal = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.len() <= 255
                && !part.contains('\0')
        };
        if path.split('/').all(legal) {
            Ok(Self(path))
        } else {
            Err(InvalidPath(path))
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Everything before the last component; `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl std::fmt::Display for TablePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TablePath {
    type Error = InvalidPath;

    fn try_from(path: String) -> Result<Self, InvalidPath> {
        Self::new(path)
    }
}

impl From<TablePath> for String {
    fn from(path: TablePath) -> Self {
        path.0
    }
}

/// A path that no store could hold.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a path inside a table: a part is empty, `.`, `..`, or longer than 255 bytes")]
pub struct InvalidPath(String);

/// Folder of files that a repair has moved out of the table, `foreign/<session>/<where it was>`.
pub const FOREIGN: &str = "foreign";

/// Whether a put-if-absent put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The file is there now, and it is ours.
    Created,
    /// A file of that name was there already. It may be ours: a client that repeats a request
    /// whose reply was lost is told so too. The caller compares nonces.
    Exists,
}

/// Bytes that wait to be put under a name, without having been given one yet.
///
/// On HDFS and on disk they are already written and durable under a temporary name, so that losing
/// a race for one name costs one rename at the next and not another file.
#[derive(Clone, Debug)]
pub enum Prepared {
    /// Written, closed and durable under this temporary name.
    File(TablePath),
    /// Kept in memory and sent at each put.
    Memory(Bytes),
}

/// Where a durable, invisible file waits for its publication. Part of the commit record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Staged {
    /// A closed file, to be renamed.
    File {
        /// Its name below `stage/`.
        path: TablePath,
    },
    /// A multipart upload with all of its parts sent, to be completed.
    Upload {
        /// The store's id of the upload.
        id: String,
        /// Entity tags of the parts, in order.
        parts: Vec<String>,
    },
}

/// What a publication found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file is under its final name, by this call as far as the store tells: some S3 servers
    /// answer a completion that is repeated just as they answered the first.
    Now,
    /// The file was under its final name already, with the right size.
    Before,
    /// Neither the staged file nor the published one is there.
    Missing,
}

/// A file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: TablePath,
    /// Bytes.
    pub size: u64,
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The final name it was begun for.
    pub path: TablePath,
    /// The store's id.
    pub id: String,
}

/// What goes wrong with a store, by what there is to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Out of reach, overloaded, a time limit passed: the outcome is unknown, look and try again.
    Transient,
    /// No room left. Tried again, since someone may make room.
    Full,
    /// Not allowed: credentials or permissions.
    Denied,
    /// The place is not what the protocol needs, or the settings are wrong.
    Unfit,
    /// What is there is not what was written.
    Corrupt,
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
#[error("{action} `{path}`{}", hint(*kind))]
pub struct StoreError {
    /// What there is to do about it.
    pub kind: StoreErrorKind,
    /// What was tried, such as "rename".
    pub action: &'static str,
    /// On which file, as the store names it; no credentials.
    pub path: String,
    /// What the client said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// A failure of `action` on `path`; neither may hold credentials.
    pub fn new(
        kind: StoreErrorKind,
        action: &'static str,
        path: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            action,
            path: path.into(),
            source: source.into(),
        }
    }
}

fn hint(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Transient | StoreErrorKind::Corrupt => "",
        StoreErrorKind::Full => ": no room left, free some",
        StoreErrorKind::Denied => ": not allowed, check credentials and permissions",
        StoreErrorKind::Unfit => ": the store or its settings do not fit",
    }
}

/// A store of one table. Every call has a time limit of its own inside, after which it fails as
/// [`StoreErrorKind::Transient`] and its outcome is unknown.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// The table's URL, without credentials.
    fn url(&self) -> String;

    /// Makes bytes ready for [`Store::put_if_absent`]. `name` is unique to the caller.
    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError>;

    /// Puts prepared bytes under a name if no file has it. Afterwards the file is durable and
    /// visible whole or not at all. `prepared` can be used again after [`Put::Exists`].
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] when neither the prepared bytes nor a file of that name is there
    /// any more: somebody swept them, so look at the log before preparing them again.
    async fn put_if_absent(&self, prepared: &Prepared, path: &TablePath)
    -> Result<Put, StoreError>;

    /// Drops prepared bytes that were put, or that will not be.
    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError>;

    /// A whole small file (a log record); `None` when there is none.
    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError>;

    /// Some bytes of a file; fails when the file is missing or shorter.
    async fn read_range(
        &self,
        path: &TablePath,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, StoreError>;

    /// Size in bytes; `None` when there is no such file.
    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError>;

    /// All files below a folder, at any depth, in no order. A missing folder is empty.
    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError>;

    /// Files of one folder whose name comes after `after` in byte order, sorted by name. For the
    /// log, whose old records must not be listed at every start.
    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError>;

    /// Removes a file; a missing one is fine.
    async fn delete(&self, path: &TablePath) -> Result<(), StoreError>;

    /// Begins a file that will be published as `target`. Until then it is invisible to readers of
    /// `data/`; `staging` is its unique name below `stage/` where the store stages by file.
    async fn stage(
        &self,
        target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError>;

    /// Gives a staged file its final name, without ever overwriting. Can be repeated: finding the
    /// file published with `size` bytes is success.
    ///
    /// # Errors
    /// [`StoreErrorKind::Corrupt`] when a file of another size has the name.
    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError>;

    /// Removes a staged file that will not be published; a missing one is fine.
    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError>;

    /// Uploads begun below `folder` and still open. Empty on stores that stage by file.
    async fn open_uploads(&self, folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError>;
}

/// A file that is being staged.
#[async_trait]
pub trait StageWriter: Send {
    /// Takes the next bytes. Accepted is not durable. After an error the file is lost: abandon it
    /// and begin another under a new name.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Bytes that were accepted and still wait in memory, for the memory budget. A store keeps
    /// small files whole until they are finished, and the beginning of a part until it is full.
    fn held_bytes(&self) -> u64;

    /// Makes everything written durable, closes the file and says where it waits.
    async fn finish(self: Box<Self>) -> Result<Staged, StoreError>;

    /// Removes what was written so far, for a cut that is dropped. What a dead writer could not
    /// remove is found by a sweep.
    async fn abandon(self: Box<Self>) -> Result<(), StoreError>;
}
