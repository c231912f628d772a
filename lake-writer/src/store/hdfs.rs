//! A table on HDFS.
//!
//! ```text
//! stage/… ─► close: durable on the data nodes ─► rename without overwrite ─► data/…
//! ```
//!
//! Owns: which call of the name node stands for which call of the port, a time limit for each, and
//! the look at source and destination after an answer that was none.
//! Does not own: the bytes' way to the data nodes, which is `hdfs_native`'s.

mod connect;
mod failure;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, HdfsError};
use tokio::sync::Semaphore;

use self::connect::Connect;
use self::failure::Failure;
use self::stage::HdfsStage;
use super::open::OpenError;
use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError, TablePath,
};
use crate::settings::Hdfs;

/// Calls to the name node under way at once.
const CALLS_AT_ONCE: usize = 64;
/// Streams being written or closed at once. Closing often waits half a second for the name node to
/// hear of the block, so that many should wait together. A data node takes 4,096 streams, but the
/// name node counts room for a block of every other file that is being written.
const TRANSFERS_AT_ONCE: usize = 64;
/// Bytes of one call, which has one time limit.
const PIECE_BYTES: usize = 4 << 20;
/// Time for removing what is of no use, where the next sweep would find it as well.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Permission of new folders, as Hadoop's shell gives it.
const FOLDER_PERMISSION: u32 = 0o755;

/// A table in a folder of HDFS.
#[derive(Clone)]
pub struct HdfsStore(Arc<Inner>);

struct Inner {
    connect: Connect,
    client: Mutex<Client>,
    /// `hdfs://name-node:9000/folder`.
    url: String,
    /// Absolute, without a slash at its end.
    folder: String,
    call_timeout: Duration,
    calls: Semaphore,
    transfers: Semaphore,
    /// Whether the name node takes small blocks, as far as it has been asked.
    small_blocks: AtomicBool,
    /// Folders that this process has made or put files into.
    folders: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for HdfsStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HdfsStore").field(&self.0.url).finish()
    }
}

impl HdfsStore {
    /// The table in `folder`, an absolute path, behind `name_node`, which is `hdfs://host:port` or
    /// `hdfs://name-service`. Nothing is sent yet. No call takes longer than `call_timeout`.
    ///
    /// # Errors
    /// When the settings and Hadoop's own files do not say how to reach the name node.
    pub fn new(
        name_node: &str,
        folder: &str,
        settings: &Hdfs,
        call_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let connect = Connect::new(name_node, settings, call_timeout)?;
        let client = connect.client()?;
        let folder = folder.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Inner {
            connect,
            client: Mutex::new(client),
            url: format!("{name_node}{folder}"),
            folder,
            call_timeout,
            calls: Semaphore::new(CALLS_AT_ONCE),
            transfers: Semaphore::new(TRANSFERS_AT_ONCE),
            small_blocks: AtomicBool::new(true),
            folders: Mutex::default(),
        })))
    }

    fn may_choose_block_size(&self) -> bool {
        self.0.small_blocks.load(Ordering::Relaxed)
    }

    fn leave_block_size_alone(&self) {
        tracing::debug!(url = self.0.url, "the name node takes no small blocks");
        self.0.small_blocks.store(false, Ordering::Relaxed);
    }

    fn place(&self, path: &TablePath) -> String {
        format!("{}/{path}", self.0.folder)
    }

    fn error(&self, action: &'static str, path: &TablePath, failure: Failure) -> StoreError {
        let kind = failure.kind();
        StoreError::new(kind, action, format!("{}/{path}", self.0.url), failure)
    }

    fn other_name(&self, name: &TablePath, number: u32) -> Result<TablePath, StoreError> {
        let other = format!("{name}~{number}");
        TablePath::new(&*other).map_err(|_| self.error("create", name, Failure::Name(other)))
    }

    /// Asks the name node, within the limits of number and time; what came of it and why not.
    async fn ask<T, Answer>(&self, call: impl FnOnce(Client) -> Answer + Send) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, HdfsError>> + Send,
    {
        let turn = self.0.calls.acquire().await;
        let client = lock(&self.0.client).clone();
        let outcome = tokio::time::timeout(self.0.call_timeout, call(client)).await;
        drop(turn);
        match outcome {
            Ok(outcome) => outcome.map_err(Failure::from),
            Err(elapsed) => {
                self.reconnect();
                Err(Failure::Time(elapsed))
            }
        }
    }

    async fn call<T, Answer>(
        &self,
        action: &'static str,
        path: &TablePath,
        call: impl FnOnce(Client) -> Answer + Send,
    ) -> Result<T, StoreError>
    where
        Answer: Future<Output = Result<T, HdfsError>> + Send,
    {
        let outcome = self.ask(call).await;
        outcome.map_err(|failure| self.error(action, path, failure))
    }

    /// A call that moves bytes, with a limit of number of its own.
    async fn transfer<T>(
        &self,
        action: &'static str,
        path: &TablePath,
        call: impl Future<Output = Result<T, HdfsError>> + Send,
    ) -> Result<T, StoreError> {
        let turn = self.0.transfers.acquire().await;
        let outcome = tokio::time::timeout(self.0.call_timeout, call).await;
        drop(turn);
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failed)) => Err(self.error(action, path, failed.into())),
            Err(elapsed) => Err(self.error(action, path, Failure::Time(elapsed))),
        }
    }

    /// A name node that vanished without a word leaves a connection that looks alive for a quarter
    /// of an hour. The next call gets one of its own.
    fn reconnect(&self) {
        match self.0.connect.client() {
            Ok(client) => *lock(&self.0.client) = client,
            Err(error) => tracing::warn!(%error, "the old connection to the name node is kept"),
        }
    }

    async fn status(&self, path: &TablePath) -> Result<Option<FileStatus>, StoreError> {
        let place = self.place(path);
        let status = self.ask(async |client: Client| client.get_file_info(&place).await);
        match status.await {
            Ok(status) => Ok(Some(status)),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(self.error("look at", path, failure)),
        }
    }

    /// Renames without overwriting, into a folder that is made when it is not there.
    async fn rename(
        &self,
        from: &TablePath,
        to: &TablePath,
        action: &'static str,
    ) -> Result<Result<(), Failure>, StoreError> {
        let (from, place) = (self.place(from), self.place(to));
        let folder = place.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let rename = || self.ask(async |client: Client| client.rename(&from, &place, false).await);
        if lock(&self.0.folders).contains(folder) {
            match rename().await {
                // The folder, unless it is the source: made again below, which does no harm.
                Err(failure) if failure.is_missing() => {}
                outcome => return Ok(outcome),
            }
        }
        let make = async |client: Client| client.mkdirs(folder, FOLDER_PERMISSION, true).await;
        self.call(action, to, make).await?;
        lock(&self.0.folders).insert(folder.to_owned());
        Ok(rename().await)
    }

    async fn remove(&self, path: &TablePath) -> Result<(), StoreError> {
        let place = self.place(path);
        let removed = self.ask(async |client: Client| client.delete(&place, false).await);
        match removed.await {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_missing() => Ok(()),
            Err(failure) => Err(self.error("delete", path, failure)),
        }
    }

    /// Removes a file of no use, if that is easily done; a sweep finds it otherwise.
    async fn give_up(&self, path: &TablePath) {
        let removed = tokio::time::timeout(GIVE_UP_TIMEOUT, self.remove(path)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::debug!(%path, "a file that failed is left to the next sweep");
        }
    }

    fn path(&self, place: &str) -> Option<TablePath> {
        let below = place.strip_prefix(&self.0.folder)?.strip_prefix('/')?;
        TablePath::new(below).ok()
    }

    async fn list_files(
        &self,
        folder: &TablePath,
        recursive: bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let place = self.place(folder);
        let listing = lock(&self.0.client).list_status_iter(&place, recursive);
        let mut entries = Vec::new();
        loop {
            match self
                .ask(async |_: Client| listing.next().await.transpose())
                .await
            {
                Ok(Some(status)) if status.isdir => {}
                // A file in the place of the folder is listed as its own content.
                Ok(Some(status)) if status.path == place => {}
                Ok(Some(status)) => entries.extend(self.path(&status.path).map(|path| Entry {
                    path,
                    size: status.length as u64,
                })),
                Ok(None) => return Ok(entries),
                // The folder, or one below it that was removed meanwhile.
                Err(failure) if failure.is_missing() => {}
                Err(failure) => return Err(self.error("list", folder, failure)),
            }
        }
    }
}

/// Every value behind these locks is whole between two statements.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for HdfsStore {
    fn url(&self) -> String {
        self.0.url.clone()
    }

    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        let path = stage::write_whole(self, name, &[bytes]).await?;
        Ok(Prepared::File(path))
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        let Prepared::File(name) = prepared else {
            return Err(self.error("put", path, Failure::Foreign));
        };
        let Err(failure) = self.rename(name, path, "put").await? else {
            return Ok(Put::Created);
        };
        // Whether the name was taken or the answer was lost: the name tells. If it is there, it
        // may be ours, which the caller finds out by its nonce.
        if self.status(path).await?.is_some() {
            return Ok(Put::Exists);
        }
        if failure.is_missing() && self.status(name).await?.is_none() {
            let gone = Failure::Gone(name.to_string());
            return Err(self.error("put", path, gone));
        }
        Err(self.error("put", path, failure))
    }

    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError> {
        match prepared {
            Prepared::File(name) => self.remove(&name).await,
            Prepared::Memory(_) => Ok(()),
        }
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        let place = self.place(path);
        let read = async |client: Client| {
            let file = client.read(&place).await?;
            file.read_range(0, file.file_length()).await
        };
        match self.ask(read).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(self.error("read", path, failure)),
        }
    }

    async fn read_range(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let place = self.place(path);
        let file = self.ask(async |client: Client| client.read(&place).await);
        let file = match file.await {
            Ok(file) => file,
            Err(failure) if failure.is_missing() => {
                return Err(self.error("read", path, Failure::Range(range)));
            }
            Err(failure) => return Err(self.error("read", path, failure)),
        };
        let bounds = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok());
        let within = bounds.filter(|(start, end)| start <= end && *end <= file.file_length());
        // The client panics when it is asked for more than there is.
        let Some((start, end)) = within else {
            return Err(self.error("read", path, Failure::Range(range)));
        };
        let mut bytes = BytesMut::with_capacity(end - start);
        while bytes.len() < end - start {
            let offset = start + bytes.len();
            let piece = file.read_range(offset, (end - offset).min(PIECE_BYTES));
            let piece = self.transfer("read", path, piece).await?;
            if piece.is_empty() {
                return Err(self.error("read", path, Failure::Range(range)));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        let status = self.status(path).await?;
        Ok(status
            .filter(|status| !status.isdir)
            .map(|status| status.length as u64))
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        self.list_files(folder, true).await
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        // The client cannot begin a listing in the middle; a name node gives 1,000 names a call.
        let mut entries = self.list_files(folder, false).await?;
        entries.retain(|entry| entry.path.file_name() > after);
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        self.remove(path).await
    }

    async fn stage(
        &self,
        _target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        Ok(Box::new(HdfsStage::new(self.clone(), staging.clone())))
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        let Staged::File { path } = staged else {
            return Err(self.error("publish", target, Failure::Foreign));
        };
        let Err(failure) = self.rename(path, target, "publish").await? else {
            return Ok(Published::Now);
        };
        // Taken, done before, or done by a call whose answer was lost: look at both ends. The
        // destination is looked at again last, since another writer may be publishing as well.
        if let Some(there) = self.status(target).await? {
            return self.found(target, &there, size);
        }
        if self.status(path).await?.is_some() {
            return Err(self.error("publish", target, failure));
        }
        match self.status(target).await? {
            Some(there) => self.found(target, &there, size),
            None => Ok(Published::Missing),
        }
    }

    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError> {
        match staged {
            Staged::File { path } => self.remove(path).await,
            Staged::Upload { .. } => Err(self.error("discard", target, Failure::Foreign)),
        }
    }

    async fn open_uploads(&self, _folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        Ok(Vec::new())
    }
}

impl HdfsStore {
    fn found(
        &self,
        target: &TablePath,
        there: &FileStatus,
        size: u64,
    ) -> Result<Published, StoreError> {
        let found = there.length as u64;
        if !there.isdir && found == size {
            return Ok(Published::Before);
        }
        Err(self.error("publish", target, Failure::Other { found, size }))
    }
}
