//! The table provider of the lake.
//!
//! Owns: from a moment of the lake to a scan.
//! Does not own: which moment.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use lake_writer::commit::segment::LiveFile;
use lake_writer::store::TablePath;
use lake_writer::table::Schema;
use lake_writer::table::spec::Spec;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::moment::{Lake, Moment};
use super::objects::Objects;
use super::pruning;
use crate::query::OncePerQuery;

/// Bytes at the end of a file that are read first. Footers of most files fit.
const FOOTER_BYTES: usize = 64 * 1024;

/// `<collection>_lake`.
#[derive(Debug)]
pub(crate) struct LakeTable {
    lake: Lake,
    objects: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
    schema: SchemaRef,
    spec: Spec,
    moments: OncePerQuery<Arc<Moment>>,
}

/// What a query asks of the lake.
pub(crate) struct Wanted<'a> {
    pub(crate) projection: Option<&'a Vec<usize>>,
    pub(crate) filters: &'a [Expr],
    pub(crate) limit: Option<usize>,
}

impl LakeTable {
    pub(crate) fn new(name: &str, lake: Lake, schema: &Schema, spec: &Spec) -> Result<Self> {
        let objects = Arc::new(Objects::new(lake.store().clone()));
        Ok(Self {
            objects,
            lake,
            // Not what the files are read by, but what the engine keeps their footers under.
            url: ObjectStoreUrl::parse(format!("lake://{}", name.replace('_', "-")))?,
            schema: schema.arrow(),
            spec: spec.clone(),
            moments: OncePerQuery::default(),
        })
    }

    /// The lake as the query sees it, wherever it names it.
    ///
    /// # Errors
    /// As [`super::LakeError`].
    pub(crate) async fn moment(&self, state: &dyn Session) -> Result<Arc<Moment>> {
        let moment = self.moments.get(state, self.lake.now()).await;
        moment.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// A scan of the files of a moment that may hold what is wanted.
    ///
    /// # Errors
    /// Those of the query engine's planning.
    pub(crate) fn scan_moment(
        &self,
        state: &dyn Session,
        moment: &Moment,
        wanted: &Wanted<'_>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let predicate = self.physical(state, wanted.filters)?;
        let keep = match &predicate {
            Some(predicate) => pruning::keep(&moment.files, predicate, &self.spec, &self.schema)?,
            None => vec![true; moment.files.len()],
        };
        let kept = moment.files.iter().zip(keep).filter(|(_, keep)| *keep);
        let files: Vec<&(TablePath, LiveFile)> = kept.map(|(file, _)| file).collect();
        tracing::debug!(
            head = moment.head,
            all = moment.files.len(),
            kept = files.len(),
            "lake files"
        );

        let runtime = state.runtime_env();
        // Planning and running may happen in different sessions' environments.
        runtime.register_object_store(self.url.as_ref(), self.objects.clone());
        let cache = runtime.cache_manager.get_file_metadata_cache();
        let readers = CachedParquetFileReaderFactory::new(self.objects.clone(), cache);
        let mut source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_metadata_size_hint(FOOTER_BYTES)
            .with_parquet_file_reader_factory(Arc::new(readers));
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let rows: u64 = files.iter().map(|(_, file)| file.rows).sum();
        let groups = self.groups(&files, state.config().target_partitions())?;
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.statistics(rows))
            .with_projection_indices(wanted.projection.cloned())?
            .with_limit(wanted.limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn physical(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else {
            return Ok(None);
        };
        let schema = DFSchema::try_from(self.schema.clone())?;
        state.create_physical_expr(filter, &schema).map(Some)
    }

    /// Spreads files over as many groups as are read at once, each of about as many bytes.
    fn groups(&self, files: &[&(TablePath, LiveFile)], most: usize) -> Result<Vec<FileGroup>> {
        let mut groups: Vec<(u64, Vec<PartitionedFile>)> = Vec::new();
        groups.resize_with(most.clamp(1, files.len().max(1)), Default::default);
        let mut by_size: Vec<_> = files.iter().collect();
        by_size.sort_by_key(|(_, file)| std::cmp::Reverse(file.bytes));
        for (path, file) in by_size {
            let file_there = self.file(path, file)?;
            if let Some(smallest) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                smallest.0 += file.bytes;
                smallest.1.push(file_there);
            }
        }
        Ok(groups
            .into_iter()
            .map(|(_, files)| FileGroup::new(files))
            .collect())
    }

    fn file(&self, path: &TablePath, file: &LiveFile) -> Result<PartitionedFile> {
        let location = Path::parse(path.as_str())
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let meta = ObjectMeta {
            location,
            // A file is never changed: its name alone says which bytes it holds.
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.bytes,
            e_tag: Some(file.xxh3.clone()),
            version: None,
        };
        let statistics = Arc::new(self.statistics(file.rows));
        Ok(PartitionedFile::new_from_meta(meta).with_statistics(statistics))
    }

    fn statistics(&self, rows: u64) -> Statistics {
        let mut statistics = Statistics::new_unknown(&self.schema);
        if let Ok(rows) = usize::try_from(rows) {
            statistics.num_rows = Precision::Exact(rows);
        }
        statistics
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let moment = self.moment(state).await?;
        let wanted = Wanted {
            projection,
            filters,
            limit,
        };
        self.scan_moment(state, &moment, &wanted)
    }

    /// Files and row groups are passed over by all of them; rows are left to a filter above.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
