//! Rows of one lake partition to the encoded columns of one row group.
//!
//! ```text
//! RecordBatches ─► (sorted) ─► column writers ─► RowGroup ─► OpenFile
//! ```
//!
//! Column writers live as long as one row group takes. Kept open for thousands of files they would
//! hold gigabytes: codec contexts, dictionaries and page buffers, for every column of each.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;

use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION};

use super::{Dictionaries, FileMetadata, RowGroupProperties, SourceBounds};

/// Slices with fewer rows than this on average are copied together first: each call of a column
/// writer has a price of its own.
const SMALL_SLICE_ROWS: usize = 8_192;

/// An encoded row group.
#[derive(Debug)]
pub struct RowGroup {
    pub(super) chunks: Vec<ArrowColumnChunk>,
    /// Rows.
    pub rows: u64,
    /// Which offsets they lie between.
    pub sources: Vec<SourceBounds>,
}

/// Encodes row groups of one schema, with the same properties for a whole cut.
#[derive(Debug)]
pub struct RowGroupEncoder {
    rules: Arc<RowGroupProperties>,
    root: TypePtr,
    properties: WriterPropertiesPtr,
    factory: ArrowRowGroupWriterFactory,
    partition_column: usize,
    offset_column: usize,
}

impl RowGroupEncoder {
    /// An encoder for files with this metadata, whose columns have these dictionaries.
    ///
    /// # Errors
    /// When Parquet cannot hold the columns, which `table` refuses before.
    pub fn new(
        rules: Arc<RowGroupProperties>,
        dictionaries: &Dictionaries,
        metadata: &FileMetadata,
    ) -> Result<Self, ParquetError> {
        let arrow = rules.arrow_schema().clone();
        let properties = rules.build(dictionaries, metadata);
        let root = rules.parquet_schema().root_schema_ptr();
        // A file of nothing: the factory takes its properties from one.
        let template =
            SerializedFileWriter::new(std::io::sink(), root.clone(), Arc::clone(&properties))?;
        let (partition_column, offset_column) = (
            arrow.index_of(KAFKA_PARTITION)?,
            arrow.index_of(KAFKA_OFFSET)?,
        );
        Ok(Self {
            factory: ArrowRowGroupWriterFactory::new(&template, arrow),
            rules,
            root,
            properties,
            partition_column,
            offset_column,
        })
    }

    pub(super) fn root(&self) -> &TypePtr {
        &self.root
    }

    pub(super) fn properties(&self) -> &WriterPropertiesPtr {
        &self.properties
    }

    /// The shape of the batches.
    pub fn arrow_schema(&self) -> &SchemaRef {
        self.rules.arrow_schema()
    }

    /// Arrow bytes after which a row group is closed.
    pub fn row_group_bytes(&self) -> usize {
        self.rules.row_group_bytes()
    }

    /// Encodes batches, in their order unless the table is sorted, as one row group. They are let
    /// go one by one.
    ///
    /// # Errors
    /// When an encoder refuses the rows, which is a fault of the program.
    pub fn encode(&self, batches: Vec<RecordBatch>) -> Result<RowGroup, ParquetError> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let batches = self.arrange(batches, rows)?;
        let mut sources = BoundsBuilder::default();
        let mut writers = self.factory.create_column_writers(0)?;
        for batch in batches {
            sources.add(
                batch
                    .column(self.partition_column)
                    .as_primitive::<Int32Type>(),
                batch.column(self.offset_column).as_primitive::<Int64Type>(),
            );
            let mut leaf_writers = writers.iter_mut();
            for (field, column) in self.arrow_schema().fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, column)? {
                    let writer = leaf_writers.next().ok_or_else(|| {
                        ParquetError::General("more leaf columns than the schema has".into())
                    })?;
                    writer.write(&leaf)?;
                }
            }
        }
        let chunks = writers.into_iter().map(ArrowColumnWriter::close);
        Ok(RowGroup {
            chunks: chunks.collect::<Result<_, _>>()?,
            rows: rows as u64,
            sources: sources.finish(),
        })
    }

    /// Sorts, or copies small slices together.
    fn arrange(
        &self,
        batches: Vec<RecordBatch>,
        rows: usize,
    ) -> Result<Vec<RecordBatch>, ParquetError> {
        let sorting = self.rules.sorting();
        let are_small = rows / batches.len().max(1) < SMALL_SLICE_ROWS;
        if batches.is_empty() || (sorting.is_none() && (batches.len() == 1 || !are_small)) {
            return Ok(batches);
        }
        let together = concat_batches(self.arrow_schema(), &batches)?;
        drop(batches);
        Ok(vec![if sorting.is_none() {
            together
        } else {
            sorting.sort(&together)?
        }])
    }
}

/// Finds the bounds of each source partition.
#[derive(Debug, Default)]
pub(super) struct BoundsBuilder {
    bounds: Vec<SourceBounds>,
    last: usize,
}

impl BoundsBuilder {
    fn add(&mut self, partitions: &arrow_array::Int32Array, offsets: &arrow_array::Int64Array) {
        for (&partition, &offset) in partitions.values().iter().zip(offsets.values()) {
            let bounds = self.of(partition, offset);
            bounds.rows += 1;
            bounds.min_offset = bounds.min_offset.min(offset);
            bounds.max_offset = bounds.max_offset.max(offset);
        }
    }

    fn of(&mut self, partition: i32, offset: i64) -> &mut SourceBounds {
        let is_last = |bounds: &&SourceBounds| bounds.partition == partition;
        if self.bounds.get(self.last).filter(is_last).is_none() {
            let found = self
                .bounds
                .iter()
                .position(|bounds| bounds.partition == partition);
            self.last = found.unwrap_or(self.bounds.len());
            if found.is_none() {
                self.bounds.push(SourceBounds {
                    partition,
                    min_offset: offset,
                    max_offset: offset,
                    rows: 0,
                });
            }
        }
        &mut self.bounds[self.last]
    }

    /// Adds what was found elsewhere in the same file.
    pub(super) fn merge(&mut self, others: Vec<SourceBounds>) {
        for other in others {
            let bounds = self.of(other.partition, other.min_offset);
            bounds.rows += other.rows;
            bounds.min_offset = bounds.min_offset.min(other.min_offset);
            bounds.max_offset = bounds.max_offset.max(other.max_offset);
        }
    }

    /// By number of the source partition.
    pub(super) fn finish(mut self) -> Vec<SourceBounds> {
        self.bounds.sort_by_key(|bounds| bounds.partition);
        self.bounds
    }

    /// How many source partitions there are.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }
}
