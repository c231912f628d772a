//! A table in a bucket of S3, or of a server that speaks its protocol.
//!
//! ```text
//! stage ─► parts of an upload, invisible ─► complete if nobody has the name ─► data/…
//! commit ─► put if nobody has the name ─► log/…
//! ```
//!
//! Owns: which request stands for which call of the port, how many at a time, and what an answer
//! or the lack of one means.
//! Does not own: signing, connections and renewal of credentials, which are `object_store`'s.

mod connect;
mod failure;
mod profile;
mod requests;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::sync::Semaphore;

use self::failure::Failure;
use self::requests::{Completed, Requests};
use super::held::Held;
use super::open::OpenError;
use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError, TablePath,
};
use crate::settings::S3;

/// Size of every part but the last. S3 wants at least 5 MiB and takes 10,000 parts, so files may
/// reach 80 GiB; some servers want all parts alike.
const PART_BYTES: usize = 8 << 20;
/// Requests under way at once. A cut over thousands of lake partitions would otherwise open as
/// many connections.
const REQUESTS_AT_ONCE: usize = 64;
/// Uploads on one page of a listing, the most that S3 gives.
const UPLOADS_A_PAGE: u32 = 1_000;

/// A table below a prefix of a bucket.
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

struct Inner {
    bucket: AmazonS3,
    requests: Requests,
    /// `s3://bucket/prefix`.
    url: String,
    /// Empty, or without a slash at its end.
    prefix: String,
    call_timeout: Duration,
    under_way: Semaphore,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The clients know credentials and are left out.
        f.debug_tuple("S3Store").field(&self.0.url).finish()
    }
}

impl S3Store {
    /// The table below `prefix` (which may be empty) of `bucket`. Nothing is sent yet. No request
    /// with its repetitions takes longer than `call_timeout`.
    ///
    /// # Errors
    /// When the settings and the environment do not fit together.
    pub fn new(
        bucket: &str,
        prefix: &str,
        settings: &S3,
        call_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let connected = connect::connect(bucket, settings, call_timeout)?;
        let prefix = prefix.trim_matches('/').to_owned();
        let url = format!("s3://{bucket}/{prefix}");
        Ok(Self(Arc::new(Inner {
            bucket: connected.bucket,
            requests: connected.requests,
            url: url.trim_end_matches('/').to_owned(),
            prefix,
            call_timeout,
            under_way: Semaphore::new(REQUESTS_AT_ONCE),
        })))
    }
}

impl Inner {
    fn name(&self, path: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() {
            path.to_string()
        } else {
            format!("{}/{path}", self.prefix)
        }
    }

    /// The key, taken as it stands: `Key::from` would escape what is escaped already.
    fn key(&self, action: &'static str, path: &TablePath) -> Result<Key, StoreError> {
        Key::parse(self.name(path)).map_err(|error| self.error(action, path, error.into()))
    }

    /// A key back to a path of the table; `None` for what lies elsewhere.
    fn path(&self, key: &str) -> Option<TablePath> {
        let below = if self.prefix.is_empty() {
            key
        } else {
            key.strip_prefix(&self.prefix)?.strip_prefix('/')?
        };
        TablePath::new(below).ok()
    }

    fn entry(&self, object: &ObjectMeta, folder: &TablePath) -> Option<Entry> {
        let path = self.path(object.location.as_ref())?;
        // Some tools put an empty object where a folder would be; the folder is not in itself.
        (path != *folder).then_some(Entry {
            path,
            size: object.size,
        })
    }

    fn error(&self, action: &'static str, path: &TablePath, failure: Failure) -> StoreError {
        let kind = failure.kind();
        StoreError::new(kind, action, format!("{}/{path}", self.url), failure)
    }

    /// Sends within the limits of number and time. Waiting for a turn does not count as sending.
    async fn run<T, E: Into<Failure>>(
        &self,
        action: &'static str,
        path: &TablePath,
        request: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, StoreError> {
        let turn = self.under_way.acquire().await;
        let outcome = tokio::time::timeout(self.call_timeout, request).await;
        drop(turn);
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failed)) => Err(self.error(action, path, failed.into())),
            Err(elapsed) => Err(self.error(action, path, Failure::Time(elapsed))),
        }
    }

    async fn size_of(&self, path: &TablePath, key: &Key) -> Result<Option<u64>, StoreError> {
        let head = async {
            match self.bucket.head(key).await {
                Ok(object) => Ok(Some(object.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.run("look at", path, head).await
    }

    async fn abort(&self, path: &TablePath, id: &str) -> Result<(), StoreError> {
        let key = self.key("abort", path)?;
        let id = id.to_owned();
        let abort = async {
            match self.bucket.abort_multipart(&key, &id).await {
                // Completed, aborted before, or never begun.
                Err(error @ object_store::Error::NotFound { .. })
                    if !failure::is_missing_bucket(&error) =>
                {
                    Ok(())
                }
                outcome => outcome,
            }
        };
        self.run("abort", path, abort).await
    }
}

#[async_trait]
impl Store for S3Store {
    fn url(&self) -> String {
        self.0.url.clone()
    }

    async fn prepare(&self, _name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        Ok(Prepared::Memory(bytes))
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        let Prepared::Memory(bytes) = prepared else {
            return Err(self.0.error("put", path, Failure::Foreign));
        };
        let key = self.0.key("put", path)?;
        let put = async {
            let options = PutOptions::from(PutMode::Create);
            let outcome = self.0.bucket.put_opts(&key, bytes.clone().into(), options);
            match outcome.await {
                Ok(_) => Ok(Put::Created),
                Err(error) if failure::says_exists(&error) => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        };
        self.0.run("put", path, put).await
    }

    async fn drop_prepared(&self, _prepared: Prepared) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        let key = self.0.key("read", path)?;
        let read = async {
            match self.0.bucket.get(&key).await {
                Ok(object) => object.bytes().await.map(Some),
                Err(error @ object_store::Error::NotFound { .. })
                    if !failure::is_missing_bucket(&error) =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        self.0.run("read", path, read).await
    }

    async fn read_range(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let key = self.0.key("read", path)?;
        let wanted = range.clone();
        let read = async {
            let bytes = self.0.bucket.get_range(&key, wanted).await;
            bytes.map_err(|error| match error {
                object_store::Error::NotFound { .. } => Failure::Gone,
                error if failure::is_range_refused(&error) => Failure::Gone,
                error => error.into(),
            })
        };
        let bytes = self.0.run("read", path, read).await?;
        if range.end.checked_sub(range.start) == Some(bytes.len() as u64) {
            return Ok(bytes);
        }
        let short = Failure::Short {
            found: bytes.len() as u64,
            range,
        };
        Err(self.0.error("read", path, short))
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        let key = self.0.key("look at", path)?;
        self.0.size_of(path, &key).await
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        let key = self.0.key("list", folder)?;
        // Each page is a request of its own, and the stream asks for them one after another; the
        // time limit is for a page, so that a large table can be listed.
        let mut entries = Vec::new();
        let mut objects = self.0.bucket.list(Some(&key));
        while let Some(object) = self.0.run("list", folder, objects.try_next()).await? {
            entries.extend(self.0.entry(&object, folder));
        }
        Ok(entries)
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        let prefix = format!("{}/", self.0.name(folder));
        let offset = (!after.is_empty()).then(|| format!("{prefix}{after}"));
        let mut entries = Vec::new();
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                offset: offset.clone(),
                delimiter: Some("/".into()),
                page_token,
                ..PaginatedListOptions::default()
            };
            let page = self.0.bucket.list_paginated(Some(&prefix), options);
            let page = self.0.run("list", folder, page).await?;
            let objects = page.result.objects.iter();
            entries.extend(objects.filter_map(|it| self.0.entry(it, folder)));
            page_token = page.page_token;
            if page_token.is_none() {
                break;
            }
        }
        entries.retain(|entry| entry.path.file_name() > after);
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        let key = self.0.key("delete", path)?;
        let delete = async {
            match self.0.bucket.delete(&key).await {
                Err(error @ object_store::Error::NotFound { .. })
                    if !failure::is_missing_bucket(&error) =>
                {
                    Ok(())
                }
                outcome => outcome,
            }
        };
        self.0.run("delete", path, delete).await
    }

    async fn stage(
        &self,
        target: &TablePath,
        _staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        Ok(Box::new(S3Stage {
            key: self.0.key("upload", target)?,
            store: self.clone(),
            target: target.clone(),
            held: Held::default(),
            upload: None,
            parts: Vec::new(),
        }))
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        let Staged::Upload { id, parts } = staged else {
            return Err(self.0.error("complete", target, Failure::Foreign));
        };
        let key = self.0.key("complete", target)?;
        let complete = self.0.requests.complete(key.as_ref(), id, parts);
        let completed = self.0.run("complete", target, complete).await?;
        if completed == Completed::Now {
            return Ok(Published::Now);
        }
        match (self.0.size_of(target, &key).await?, completed) {
            (Some(found), _) if found == size => Ok(Published::Before),
            (Some(found), _) => {
                let other = Failure::Other { found, size };
                Err(self.0.error("complete", target, other))
            }
            (None, Completed::NoUpload) => Ok(Published::Missing),
            // Somebody had the name a moment ago, or is just taking it.
            (None, _) => Err(self.0.error("complete", target, Failure::Raced)),
        }
    }

    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError> {
        match staged {
            Staged::Upload { id, .. } => self.0.abort(target, id).await,
            Staged::File { .. } => Err(self.0.error("abort", target, Failure::Foreign)),
        }
    }

    async fn open_uploads(&self, folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        self.uploads(folder, UPLOADS_A_PAGE).await
    }
}

impl S3Store {
    async fn uploads(
        &self,
        folder: &TablePath,
        a_page: u32,
    ) -> Result<Vec<OpenUpload>, StoreError> {
        let prefix = format!("{}/", self.0.name(folder));
        let mut uploads = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let marker = after.as_ref().map(|(key, id)| (&**key, &**id));
            let page = self.0.requests.open_uploads(&prefix, marker, a_page);
            let page = self.0.run("list uploads of", folder, page).await?;
            for upload in page.uploads {
                uploads.extend(self.0.path(&upload.key).map(|path| OpenUpload {
                    path,
                    id: upload.upload_id,
                }));
            }
            let next = page.next_key_marker.zip(page.next_upload_id_marker);
            // A page that says there is more but not where would be asked for without an end.
            if !page.is_truncated || next.is_none() || next == after {
                return Ok(uploads);
            }
            after = next;
        }
    }
}

/// An upload that grows by parts. It is begun when the first part is full, so that a cut that is
/// dropped early leaves nothing behind.
struct S3Stage {
    store: S3Store,
    target: TablePath,
    key: Key,
    held: Held,
    upload: Option<String>,
    parts: Vec<String>,
}

impl S3Stage {
    async fn send_part(&mut self) -> Result<(), StoreError> {
        let inner = &self.store.0;
        let id = match &self.upload {
            Some(id) => id.clone(),
            None => {
                let begin = inner.bucket.create_multipart(&self.key);
                let id = inner.run("begin upload of", &self.target, begin).await?;
                self.upload.insert(id).clone()
            }
        };
        let payload: PutPayload = self.held.take(PART_BYTES).into_iter().collect();
        let part = inner
            .bucket
            .put_part(&self.key, &id, self.parts.len(), payload);
        let PartId { content_id } = inner.run("upload part of", &self.target, part).await?;
        self.parts.push(content_id);
        Ok(())
    }
}

#[async_trait]
impl StageWriter for S3Stage {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.held.push(bytes);
        while self.held.len() >= PART_BYTES {
            self.send_part().await?;
        }
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        self.held.len() as u64
    }

    async fn finish(mut self: Box<Self>) -> Result<Staged, StoreError> {
        // An upload needs a part, also one without a byte.
        if self.held.len() > 0 || self.parts.is_empty() {
            self.send_part().await?;
        }
        let id = self.upload;
        Ok(Staged::Upload {
            id: id.expect("a part was sent, so the upload was begun"),
            parts: self.parts,
        })
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        match &self.upload {
            Some(id) => self.store.0.abort(&self.target, id).await,
            None => Ok(()),
        }
    }
}
