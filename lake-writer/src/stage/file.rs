//! One Parquet file that is being written.
//!
//! ```text
//! RowGroup ─► OpenFile (metadata, hash) ─► bytes ─► Upload
//!                  └─► close ─► ClosedFile ─► StagedFile
//! ```
//!
//! Between two row groups an open file is its metadata and a small buffer; that is counted too.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use xxhash_rust::xxh3::Xxh3;

use crate::batch::{MemoryBudget, MemoryUse, Reservation};
use crate::store::{StoreError, TablePath};

use super::row_group::BoundsBuilder;
use super::upload::{Upload, Uploads};
use super::{RowGroup, RowGroupEncoder, StagedFile, encode_failed};

/// Bytes that an open file keeps: its writer's buffer of 8 KiB, descriptors, the hash's state.
const FILE_BYTES: usize = 12 << 10;

/// Bytes that an open file keeps for each column chunk until its footer is written: metadata,
/// statistics, column and offset index. An estimate, above
/// what the tests with thousands of open files have counted.
const CHUNK_BYTES: usize = 1 << 10;

/// Parquet numbers the row groups of a file in 15 bits.
const MAX_ROW_GROUPS: usize = i16::MAX as usize;

/// How a file will be called, and where it waits until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The name it will be published under.
    pub target: TablePath,
    /// Its name below `stage/`, for stores that stage by file.
    pub staging: TablePath,
    /// Names and values of its lake partition.
    pub partition: Vec<(String, Option<String>)>,
}

/// A file that takes row groups.
#[derive(Debug)]
pub struct OpenFile {
    name: FileName,
    writer: SerializedFileWriter<Spool>,
    upload: Upload,
    bounds: BoundsBuilder,
    rows: u64,
    chunks: usize,
    budget: Arc<MemoryBudget>,
    kept: Reservation,
}

/// A file whose last byte is on its way to the store.
pub struct ClosedFile {
    /// Size in bytes.
    pub bytes: u64,
    /// Becomes ready when the file is durable.
    pub staged: BoxFuture<'static, Result<StagedFile, StoreError>>,
}

impl std::fmt::Debug for ClosedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClosedFile")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl OpenFile {
    /// A file without rows. The store hears of it with the first row group.
    ///
    /// # Errors
    /// When Parquet cannot hold the columns, which `table` refuses before.
    pub fn create(
        name: FileName,
        encoder: &RowGroupEncoder,
        uploads: &Uploads,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, StoreError> {
        let writer = SerializedFileWriter::new(
            Spool::default(),
            encoder.root().clone(),
            Arc::clone(encoder.properties()),
        )
        .map_err(|error| encode_failed(&name.target, error))?;
        Ok(Self {
            upload: uploads.begin(name.target.clone(), name.staging.clone()),
            name,
            writer,
            bounds: BoundsBuilder::default(),
            rows: 0,
            chunks: 0,
            kept: budget.reserve(MemoryUse::OpenFiles, FILE_BYTES),
            budget: Arc::clone(budget),
        })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the format allows no further row group.
    pub fn is_full(&self) -> bool {
        self.writer.flushed_row_groups().len() >= MAX_ROW_GROUPS
    }

    /// Appends a row group and sends what is ready. Returns the bytes that it added.
    ///
    /// # Errors
    /// When the row group does not fit the file, which is a fault of the program.
    pub fn append(&mut self, row_group: RowGroup) -> Result<u64, StoreError> {
        let before = self.writer.bytes_written();
        self.append_chunks(row_group)
            .map_err(|error| encode_failed(&self.name.target, error))?;
        let ready = self.writer.inner_mut().take();
        self.send(ready);
        let kept = FILE_BYTES
            + CHUNK_BYTES * self.chunks
            + size_of::<super::SourceBounds>() * self.bounds.len();
        self.kept.resize(kept);
        Ok((self.writer.bytes_written() - before) as u64)
    }

    fn append_chunks(&mut self, row_group: RowGroup) -> Result<(), ParquetError> {
        let mut writer = self.writer.next_row_group()?;
        self.chunks += row_group.chunks.len();
        for chunk in row_group.chunks {
            chunk.append_to_row_group(&mut writer)?;
        }
        writer.close()?;
        self.rows += row_group.rows;
        self.bounds.merge(row_group.sources);
        Ok(())
    }

    fn send(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let reservation = self.budget.reserve(MemoryUse::InFlight, bytes.len());
            self.upload.send(bytes, reservation);
        }
    }

    /// Writes the footer and sends the rest.
    ///
    /// # Errors
    /// When the footer cannot be written, which is a fault of the program.
    pub fn close(mut self) -> Result<ClosedFile, StoreError> {
        self.writer
            .finish()
            .map_err(|error| encode_failed(&self.name.target, error))?;
        let rest = self.writer.inner_mut().take();
        self.send(rest);
        let spool = self.writer.inner();
        let (bytes, xxh3) = (spool.total, format!("{:016x}", spool.hash.digest()));
        let Self {
            name,
            upload,
            bounds,
            rows,
            ..
        } = self;
        let durable = upload.end();
        let staged = async move {
            Ok(StagedFile {
                staged: durable.await?,
                target: name.target,
                bytes,
                rows,
                xxh3,
                partition: name.partition,
                sources: bounds.finish(),
            })
        };
        Ok(ClosedFile {
            bytes,
            staged: Box::pin(staged),
        })
    }
}

/// Takes a writer's bytes, counts and hashes them.
#[derive(Default)]
struct Spool {
    ready: Vec<u8>,
    total: u64,
    hash: Box<Xxh3>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl Spool {
    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.ready).into()
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hash.update(bytes);
        self.total += bytes.len() as u64;
        self.ready.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
