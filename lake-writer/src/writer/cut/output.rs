//! One kind of files of a cut, rows or dead letters: held, encoded, closed.
//!
//! ```text
//! batch + partition ids ─► Held ─► OpenFile, one a lake partition ─► ClosedFile
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::errors::ParquetError;

use crate::batch::{Held, MemoryBudget, Slice};
use crate::partition::{LakePartition, Splitter};
use crate::settings;
use crate::stage::{
    ClosedFile, Dictionaries, FileMetadata, FileName, OpenFile, RowGroupEncoder,
    RowGroupProperties, Sorting, Uploads, encode_failed,
};
use crate::store::{StoreError, TablePath};

use super::keeps_too_much;

/// Encoded bytes of a row before any was encoded: a guess that the first row group replaces.
const FIRST_BYTES_PER_ROW: u64 = 64;

/// Names of a session's files: `<session>-<cut>-<file>`.
#[derive(Debug)]
pub(super) struct FileNames {
    session: String,
    table_url: String,
    cut: u64,
    files: u64,
}

impl FileNames {
    pub(super) fn new(session: String, table_url: String) -> Self {
        Self {
            session,
            table_url,
            cut: 1,
            files: 0,
        }
    }

    pub(super) fn next_cut(&mut self) {
        self.cut += 1;
        self.files = 0;
    }

    fn metadata(&self) -> FileMetadata {
        FileMetadata {
            table_url: self.table_url.clone(),
            cut: format!("{}-{:06}", self.session, self.cut),
        }
    }

    fn next(&mut self, folder: &str, partition: &LakePartition) -> FileName {
        self.files += 1;
        let (session, cut, file) = (&self.session, self.cut, self.files);
        let stem = format!("{session}-{cut:06}-{file:05}");
        let target = match partition.path.as_str() {
            "" => format!("{folder}/{stem}.parquet"),
            path => format!("{folder}/{path}/{stem}.parquet"),
        };
        let path = |text| TablePath::new(text).expect("the router keeps to the length of names");
        FileName {
            target: path(target),
            // Without the ending: readers that glob from the table's root must not see it.
            staging: path(format!("stage/{session}/{stem}")),
            partition: partition.values.clone(),
        }
    }
}

/// The files of one folder.
#[derive(Debug)]
pub(super) struct Output {
    folder: &'static str,
    rules: Arc<RowGroupProperties>,
    budget: Arc<MemoryBudget>,
    splitter: Splitter,
    held: Held,
    /// Learned over all cuts.
    dictionaries: Dictionaries,
    /// Of this cut, once the dictionaries are settled.
    encoder: Option<RowGroupEncoder>,
    /// By lake partition, so that files close in the same order on every run.
    files: BTreeMap<u32, OpenFile>,
    in_cut: Encoded,
    in_all: Encoded,
}

#[derive(Clone, Copy, Debug, Default)]
struct Encoded {
    rows: u64,
    bytes: u64,
}

impl Output {
    pub(super) fn new(
        folder: &'static str,
        arrow: SchemaRef,
        sorting: Sorting,
        settings: settings::Parquet,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, ParquetError> {
        Ok(Self {
            folder,
            rules: Arc::new(RowGroupProperties::new(arrow, sorting, settings)?),
            budget: Arc::clone(budget),
            splitter: Splitter::default(),
            held: Held::new(Arc::clone(budget)),
            dictionaries: Dictionaries::default(),
            encoder: None,
            files: BTreeMap::new(),
            in_cut: Encoded::default(),
            in_all: Encoded::default(),
        })
    }

    /// Rows encoded in this cut.
    pub(super) fn encoded_rows(&self) -> u64 {
        self.in_cut.rows
    }

    /// Bytes encoded in this cut.
    pub(super) fn encoded_bytes(&self) -> u64 {
        self.in_cut.bytes
    }

    /// Bytes of the rows not yet encoded, as they are in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Encoded bytes of a row, on average.
    pub(super) fn bytes_per_row(&self) -> u64 {
        match self.in_all.rows {
            0 => FIRST_BYTES_PER_ROW,
            rows => self.in_all.bytes.div_ceil(rows),
        }
    }

    /// Whether a file of this cut can take no further row group.
    pub(super) fn is_full(&self) -> bool {
        self.files.values().any(OpenFile::is_full)
    }

    pub(super) fn hold(&mut self, batch: RecordBatch, ids: &[u32]) -> Result<(), ArrowError> {
        let split = self.splitter.split(batch, ids)?;
        self.held.push(split);
        Ok(())
    }

    /// Encodes lake partitions, the largest first, until so many bytes of rows are left, or until
    /// open files take all the memory that they may. The rest is copied together, so that it keeps
    /// nothing else alive.
    pub(super) fn encode_down_to(
        &mut self,
        bytes: usize,
        partitions: &[LakePartition],
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<(), StoreError> {
        if self.held.bytes() == 0 {
            return Ok(());
        }
        for id in self.held.largest_first() {
            if self.held.bytes() <= bytes {
                break;
            }
            if keeps_too_much(&self.budget) {
                // A commit comes next, and with it the end of everything held.
                return Ok(());
            }
            let slices = self.held.take(id);
            self.encode(id, slices, partitions, names, uploads)?;
        }
        self.held.compact().map_err(|error| self.failed(error))
    }

    /// Encodes the rest and closes all files.
    pub(super) fn close(
        &mut self,
        partitions: &[LakePartition],
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<Vec<ClosedFile>, StoreError> {
        let mut closed = Vec::new();
        for (id, _) in (0..).zip(partitions) {
            let slices = self.held.take(id);
            if !slices.is_empty() {
                self.encode(id, slices, partitions, names, uploads)?;
            }
            if let Some(file) = self.files.remove(&id) {
                closed.push(file.close()?);
            }
        }
        self.clear();
        Ok(closed)
    }

    /// Writes a lake partition's rows as row groups of its file.
    fn encode(
        &mut self,
        id: u32,
        slices: Vec<Slice>,
        partitions: &[LakePartition],
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<(), StoreError> {
        let limit = self.rules.row_group_bytes();
        let mut rest = slices.into_iter().peekable();
        while rest.peek().is_some() {
            // Slices live until their rows are encoded: they keep the memory counted.
            let mut group: Vec<Slice> = Vec::new();
            let mut bytes = 0;
            while let Some(slice) =
                rest.next_if(|slice| bytes == 0 || bytes + slice.bytes() <= limit)
            {
                bytes += slice.bytes();
                group.push(slice);
            }
            let batches: Vec<RecordBatch> = group.iter().map(Slice::batch).collect();
            self.append(id, batches, partitions, names, uploads)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        id: u32,
        batches: Vec<RecordBatch>,
        partitions: &[LakePartition],
        names: &mut FileNames,
        uploads: &Uploads,
    ) -> Result<(), StoreError> {
        let is_settled = self.dictionaries.is_settled();
        if !is_settled {
            let sampled = self.dictionaries.sample(&batches);
            sampled.map_err(|error| self.failed(error))?;
        }
        let encoder = match self.encoder.take() {
            Some(encoder) if is_settled => encoder,
            _ => RowGroupEncoder::new(
                Arc::clone(&self.rules),
                &self.dictionaries,
                &names.metadata(),
            )
            .map_err(|error| self.failed(error))?,
        };
        let row_group = encoder
            .encode(batches)
            .map_err(|error| self.failed(error))?;
        let rows = row_group.rows;
        let file = match self.files.entry(id) {
            std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let name = names.next(self.folder, &partitions[id as usize]);
                place.insert(OpenFile::create(name, &encoder, uploads, &self.budget)?)
            }
        };
        let bytes = file.append(row_group)?;
        self.encoder = Some(encoder);
        for total in [&mut self.in_cut, &mut self.in_all] {
            total.rows += rows;
            total.bytes += bytes;
        }
        Ok(())
    }

    /// Lets go what is held, and the files of this cut.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.files.clear();
        self.encoder = None;
        self.in_cut = Encoded::default();
    }

    pub(super) fn failed(
        &self,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let folder = TablePath::new(self.folder).expect("the folder of an output is a path");
        encode_failed(&folder, error)
    }
}
