//! How Parquet files are written.
//!
//! ```text
//! settings + Schema + Dictionaries ─► WriterProperties
//! ```
//!
//! Data pages of version 2, statistics for every page, and a column index: readers skip pages.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterVersion,
};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use crate::settings;
use crate::table::{KAFKA_OFFSET, Schema};

use super::{Dictionaries, Sorting};

/// Who wrote a file, in its footer.
const CREATED_BY: &str = concat!("lake-writer version ", env!("CARGO_PKG_VERSION"));

/// What a file's footer says beyond its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMetadata {
    /// The table's URL, without credentials.
    pub table_url: String,
    /// Which cut of which writer the file belongs to.
    pub cut: String,
}

/// How the files of one output are written, as far as it does not follow from their rows.
#[derive(Clone, Debug)]
pub struct RowGroupProperties {
    arrow: SchemaRef,
    parquet: SchemaDescriptor,
    sorting: Sorting,
    settings: settings::Parquet,
}

/// A bloom filter that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{column}` in bloom_filter_columns is no column of the schema; its columns are {columns}")]
pub struct BloomFilterError {
    column: String,
    columns: String,
}

/// Checks `bloom_filter_columns`, which name top-level columns.
///
/// # Errors
/// When one is no column of the schema.
pub fn check_bloom_filters(names: &[String], schema: &Schema) -> Result<(), BloomFilterError> {
    let columns = || schema.columns.iter().map(|column| column.name.as_str());
    match names
        .iter()
        .find(|name| columns().all(|column| column != *name))
    {
        None => Ok(()),
        Some(name) => Err(BloomFilterError {
            column: name.clone(),
            columns: columns().collect::<Vec<_>>().join(", "),
        }),
    }
}

impl RowGroupProperties {
    /// The rules for batches of this shape.
    ///
    /// # Errors
    /// When Parquet has no such column, which `table` refuses before.
    pub fn new(
        arrow: SchemaRef,
        sorting: Sorting,
        settings: settings::Parquet,
    ) -> Result<Self, ParquetError> {
        let parquet = ArrowSchemaConverter::new().convert(&arrow)?;
        Ok(Self {
            arrow,
            parquet,
            sorting,
            settings,
        })
    }

    /// The shape of the batches.
    pub fn arrow_schema(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The shape of the files.
    pub fn parquet_schema(&self) -> &SchemaDescriptor {
        &self.parquet
    }

    /// The order of rows.
    pub fn sorting(&self) -> &Sorting {
        &self.sorting
    }

    /// Arrow bytes after which a row group is closed. One gibibyte at most: Arrow counts the bytes
    /// of a text column in 31 bits, and rows may be copied together.
    pub fn row_group_bytes(&self) -> usize {
        usize::try_from(self.settings.row_group_bytes.clamp(1, 1 << 30)).unwrap_or(1 << 30)
    }

    /// The properties of files whose columns have these dictionaries.
    pub fn build(
        &self,
        dictionaries: &Dictionaries,
        metadata: &FileMetadata,
    ) -> Arc<WriterProperties> {
        let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let mut builder = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(self.compression())
            .set_statistics_enabled(EnabledStatistics::Page)
            // Row groups end where the writer says so.
            .set_max_row_group_row_count(None)
            // Filters would otherwise stay in memory until the file is closed.
            .set_bloom_filter_position(BloomFilterPosition::AfterRowGroup)
            .set_key_value_metadata(Some(vec![
                entry("lake-writer.version", env!("CARGO_PKG_VERSION")),
                entry("lake-writer.table", &metadata.table_url),
                entry("lake-writer.cut", &metadata.cut),
            ]))
            .set_sorting_columns(self.sorting_columns());
        for (leaf, column) in self.parquet.columns().iter().enumerate() {
            let path = column.path().clone();
            let with_dictionary = dictionaries.wanted(leaf) && path.string() != KAFKA_OFFSET;
            builder = builder
                .set_column_dictionary_enabled(path.clone(), with_dictionary)
                .set_column_encoding(path.clone(), plain_encoding(column));
            let top = path.parts().first();
            if top.is_some_and(|top| self.settings.bloom_filter_columns.contains(top)) {
                builder = builder.set_column_bloom_filter_enabled(path, true);
            }
        }
        Arc::new(builder.build())
    }

    fn compression(&self) -> Compression {
        match self.settings.compression {
            settings::Compression::Zstd => Compression::ZSTD(
                ZstdLevel::try_new(self.settings.compression_level).unwrap_or_default(),
            ),
            settings::Compression::Lz4 => Compression::LZ4_RAW,
            settings::Compression::Snappy => Compression::SNAPPY,
            settings::Compression::None => Compression::UNCOMPRESSED,
        }
    }

    fn sorting_columns(&self) -> Option<Vec<SortingColumn>> {
        let leaf_of = |&index: &usize| {
            let leaf = (0..self.parquet.num_columns())
                .find(|&leaf| self.parquet.get_column_root_idx(leaf) == index)?;
            Some(SortingColumn {
                column_idx: i32::try_from(leaf).ok()?,
                descending: false,
                nulls_first: true,
            })
        };
        let columns: Option<Vec<_>> = self.sorting.columns().iter().map(leaf_of).collect();
        columns.filter(|columns| !columns.is_empty())
    }
}

/// How values are written that are in no dictionary. Integers, timestamps and offsets by their
/// differences; text as it is, which costs the least and leaves the rest to the codec.
fn plain_encoding(column: &ColumnDescriptor) -> Encoding {
    match column.physical_type() {
        Type::INT32 | Type::INT64 => Encoding::DELTA_BINARY_PACKED,
        Type::BOOLEAN => Encoding::RLE,
        _ => Encoding::PLAIN,
    }
}
