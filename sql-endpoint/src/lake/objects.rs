//! The table's store as the query engine wants to see one.
//!
//! ```text
//! parquet reader ─► ObjectStore::get_opts, get_ranges ─► Store::read_range ─► disk, HDFS, S3
//! ```
//!
//! Owns: ranges of files, and what a file that is gone means to a query.
//! Does not own: which files there are. It only reads: whatever would write or list is refused.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use lake_writer::store::{Store, StoreError, TablePath};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

const NAME: &str = "lake";

/// Gaps up to this size are read rather than skipped: one more round trip costs more.
const COALESCE_BYTES: u64 = 512 * 1024;

/// Reads ranges of the table's files.
#[derive(Debug)]
pub(crate) struct Objects(Arc<dyn Store>);

impl Objects {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    async fn size(&self, path: &TablePath) -> Result<u64> {
        match self.0.size(path).await {
            Ok(Some(size)) => Ok(size),
            Ok(None) => Err(gone(path)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn read(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match self.0.read_range(path, range).await {
            Ok(bytes) => Ok(bytes),
            // Which of the two it was the store does not say in its error's kind.
            Err(error) => match self.0.size(path).await {
                Ok(None) => Err(gone(path)),
                _ => Err(failed(error)),
            },
        }
    }
}

impl std::fmt::Display for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.url())
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = table_path(location)?;
        let size = self.size(&path).await?;
        let range = match &options.range {
            Some(range) => range.as_range(size).map_err(|error| Error::Generic {
                store: NAME,
                source: Box::new(error),
            })?,
            None => 0..size,
        };
        let bytes = match options.head {
            true => Bytes::new(),
            false => self.read(&path, range.clone()).await?,
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: DateTime::UNIX_EPOCH,
            size,
            e_tag: None,
            version: None,
        };
        let payload = futures::stream::once(async move { Ok(bytes) }).boxed();
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = table_path(location)?;
        let read = |range| self.read(&path, range);
        object_store::coalesce_ranges(ranges, read, COALESCE_BYTES).await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let refuse = |_| async { Err(read_only("delete")) };
        locations.and_then(refuse).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(async { Err(read_only("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

fn table_path(location: &Path) -> Result<TablePath> {
    TablePath::new(location.as_ref()).map_err(|error| Error::Generic {
        store: NAME,
        source: Box::new(error),
    })
}

fn failed(error: StoreError) -> Error {
    Error::Generic {
        store: NAME,
        source: Box::new(error),
    }
}

/// A file of the query's snapshot that is not there any more.
fn gone(path: &TablePath) -> Error {
    Error::NotFound {
        path: path.to_string(),
        source:
            "a backfill, a repair or a compaction has replaced the file since the query began; \
                 run the query again"
                .into(),
    }
}

/// The lake is written by lake-writer alone, and its files are listed by its log.
fn read_only(operation: &str) -> Error {
    Error::NotSupported {
        source: format!("`{operation}`: the lake is read only here").into(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn ranges_are_those_of_the_file_and_a_missing_file_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = "data/region=%C3%A9 x/a.parquet";
        std::fs::create_dir_all(folder.path().join("data/region=%C3%A9 x")).expect("a folder");
        std::fs::write(folder.path().join(path), b"0123456789").expect("a file");
        let url = format!("file://{}", folder.path().display());
        let store = lake_writer::store::open::open(&url, &Default::default()).expect("opens");
        let objects = Objects::new(store);
        let location = Path::parse(path).expect("a path");

        assert_eq!(objects.head(&location).await.expect("is there").size, 10);
        let found = objects.get_range(&location, 2..5).await.expect("is read");
        assert_eq!(found, "234");
        let found = objects.get_ranges(&location, &[0..1, 8..10]).await;
        assert_eq!(found.expect("is read"), ["0", "89"]);

        let missing = Path::parse("data/gone.parquet").expect("a path");
        let error = objects.get_range(&missing, 0..1).await.expect_err("gone");
        assert!(error.to_string().contains("run the query again"), "{error}");
        let refused = objects.put(&location, "x".into()).await;
        assert!(matches!(refused, Err(Error::NotSupported { .. })));
    }
}
