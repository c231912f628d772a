//! A Parquet file of the table, read front to back with a row group in memory.
//!
//! ```text
//! Store::read_range ─► Segment (one row group) ─► RecordBatch ─► sink
//!                └──► XXH3 of all bytes
//! ```
//!
//! Owns: what is read of a file, and that each byte of it is read once, its footer twice.
//! Does not own: what rows mean.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use tokio::runtime::Handle;
use xxhash_rust::xxh3::Xxh3;

use crate::store::{Store, StoreError, StoreErrorKind, TablePath};

/// Read first from a file's end: the footer of most files.
const TAIL_BYTES: u64 = 64 << 10;

/// A file's magic, the length of its footer and its magic again.
const LEAST_BYTES: u64 = 12;

/// Read at once of what is only hashed.
const HASH_BYTES: u64 = 8 << 20;

/// Rows decoded at once: columns of them stay in the processor's cache.
const BATCH_ROWS: usize = 8_192;

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum FileProblem {
    /// The store did not answer: nothing is said about the file.
    Store(StoreError),
    /// There is no such file, or it ends early.
    Short,
    /// It is no Parquet file, or a broken one.
    Broken(String),
}

impl From<StoreError> for FileProblem {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Corrupt => Self::Short,
            _ => Self::Store(error),
        }
    }
}

impl From<ParquetError> for FileProblem {
    fn from(error: ParquetError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// One file of the table. Its calls block: they are for threads outside of the runtime.
#[derive(Debug)]
pub(super) struct ParquetFile<'a> {
    store: &'a dyn Store,
    runtime: &'a Handle,
    path: &'a TablePath,
    size: u64,
}

impl<'a> ParquetFile<'a> {
    /// The file at `path`, which has `size` bytes by a listing.
    pub(super) fn new(
        store: &'a dyn Store,
        runtime: &'a Handle,
        path: &'a TablePath,
        size: u64,
    ) -> Self {
        Self {
            store,
            runtime,
            path,
            size,
        }
    }

    fn bytes(&self, range: Range<u64>) -> Result<Bytes, FileProblem> {
        Ok(self
            .runtime
            .block_on(self.store.read_range(self.path, range))?)
    }

    /// The footer. Types are those of Parquet: what another writer's hints say does not count.
    pub(super) fn metadata(&self) -> Result<ArrowReaderMetadata, FileProblem> {
        if self.size < LEAST_BYTES {
            return Err(FileProblem::Broken(
                "it is too short to have a footer".into(),
            ));
        }
        let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
        let mut tail = self.bytes(self.size.saturating_sub(TAIL_BYTES)..self.size)?;
        loop {
            match reader.try_parse_sized(&tail, self.size) {
                Ok(()) => break,
                Err(ParquetError::NeedMoreData(needed)) if needed > tail.len() => {
                    tail = self.bytes(self.size.saturating_sub(needed as u64)..self.size)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        Ok(ArrowReaderMetadata::try_new(
            Arc::new(reader.finish()?),
            options,
        )?)
    }

    /// XXH3 of all bytes, as the log has it.
    pub(super) fn hash(&self) -> Result<String, FileProblem> {
        let mut hash = Xxh3::new();
        self.hash_from(&mut hash, 0)?;
        Ok(text(&hash))
    }

    fn hash_from(&self, hash: &mut Xxh3, mut at: u64) -> Result<(), FileProblem> {
        while at < self.size {
            let end = self.size.min(at + HASH_BYTES);
            hash.update(&self.bytes(at..end)?);
            at = end;
        }
        Ok(())
    }

    /// Hands all rows to `sink`, and returns the XXH3 of all bytes. Row groups have to lie one
    /// behind the other, as every writer lays them.
    pub(super) fn read(
        &self,
        metadata: &ArrowReaderMetadata,
        sink: &mut dyn FnMut(&RecordBatch) -> Result<(), FileProblem>,
    ) -> Result<String, FileProblem> {
        let mut hash = Xxh3::new();
        let mut at = 0;
        for row_group in 0..metadata.metadata().num_row_groups() {
            let Range { start, end } = row_group_bytes(metadata.metadata(), row_group);
            if start < at || end > self.size {
                let problem = format!("row group {row_group} lies outside of its place");
                return Err(FileProblem::Broken(problem));
            }
            let bytes = self.bytes(at..end)?;
            hash.update(&bytes);
            let segment = self.segment(at, bytes);
            for batch in rows(metadata, segment, row_group, ProjectionMask::all())? {
                sink(&batch?)?;
            }
            at = end;
        }
        self.hash_from(&mut hash, at)?;
        Ok(text(&hash))
    }

    /// Rows of some columns of one row group.
    pub(super) fn read_row_group(
        &self,
        metadata: &ArrowReaderMetadata,
        row_group: usize,
        columns: ProjectionMask,
        sink: &mut dyn FnMut(&RecordBatch) -> Result<(), FileProblem>,
    ) -> Result<(), FileProblem> {
        let Range { start, end } = columns_bytes(metadata.metadata(), row_group, &columns);
        let segment = self.segment(start, self.bytes(start..end)?);
        for batch in rows(metadata, segment, row_group, columns)? {
            sink(&batch?)?;
        }
        Ok(())
    }

    /// The bloom filter of a column chunk, if it has one.
    pub(super) fn bloom_filter(
        &self,
        metadata: &ArrowReaderMetadata,
        row_group: usize,
        leaf: usize,
    ) -> Result<Option<Sbbf>, FileProblem> {
        let chunk = metadata.metadata().row_group(row_group).column(leaf);
        let place = chunk
            .bloom_filter_offset()
            .zip(chunk.bloom_filter_length())
            .and_then(|(at, length)| Some((u64::try_from(at).ok()?, u64::try_from(length).ok()?)));
        let Some((at, length)) = place else {
            return Ok(None);
        };
        let segment = self.segment(at, self.bytes(at..at + length)?);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(segment, metadata.clone());
        Ok(reader.get_row_group_column_bloom_filter(row_group, leaf)?)
    }

    fn segment(&self, start: u64, bytes: Bytes) -> Segment {
        Segment {
            start,
            bytes,
            file_bytes: self.size,
        }
    }
}

fn text(hash: &Xxh3) -> String {
    format!("{:016x}", hash.digest())
}

fn rows(
    metadata: &ArrowReaderMetadata,
    segment: Segment,
    row_group: usize,
    columns: ProjectionMask,
) -> Result<impl Iterator<Item = Result<RecordBatch, FileProblem>>, FileProblem> {
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(segment, metadata.clone())
        .with_row_groups(vec![row_group])
        .with_projection(columns)
        .with_batch_size(BATCH_ROWS)
        .build()?;
    Ok(reader.map(|batch| batch.map_err(|error| FileProblem::Broken(error.to_string()))))
}

fn row_group_bytes(metadata: &ParquetMetaData, row_group: usize) -> Range<u64> {
    columns_bytes(metadata, row_group, &ProjectionMask::all())
}

fn columns_bytes(
    metadata: &ParquetMetaData,
    row_group: usize,
    columns: &ProjectionMask,
) -> Range<u64> {
    let chunks = metadata.row_group(row_group).columns().iter().enumerate();
    let ranges = chunks
        .filter(|(leaf, _)| columns.leaf_included(*leaf))
        .map(|(_, chunk)| chunk.byte_range())
        .map(|(start, length)| start..start.saturating_add(length));
    ranges
        .reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
        .unwrap_or(0..0)
}

/// Some bytes of a file, at their place.
#[derive(Clone, Debug)]
struct Segment {
    start: u64,
    bytes: Bytes,
    file_bytes: u64,
}

impl Segment {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let at = start
            .checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at <= self.bytes.len());
        let at = at.ok_or_else(|| ParquetError::EOF("a page lies outside of its chunk".into()))?;
        Ok(self.bytes.slice(at..))
    }
}

impl Length for Segment {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Segment {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(Box::new(Cursor::new(self.from(start)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page is cut off".into()));
        }
        Ok(bytes.slice(..length))
    }
}
