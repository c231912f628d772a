//! From settings to the parts of a writer: what is parsed once and shared by all sessions.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::batch::MemoryBudget;
use crate::clock::Clock;
use crate::commit::record::Definition;
use crate::decode::decoder;
use crate::settings::{Format, Parquet, Settings};
use crate::stage::{SortByError, Sorting};
use crate::store::Store;
use crate::table::Schema;
use crate::table::SchemaFileError;
use crate::table::derived::DerivationError;
use crate::table::spec::{Spec, SpecError};
use crate::telemetry::Metrics;

use super::MakeCut;
use super::cut::{CutParts, OpenCut};

/// A table as the settings describe it.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its columns.
    pub schema: Arc<Schema>,
    /// Its folders.
    pub spec: Arc<Spec>,
    /// The order of rows inside a row group.
    pub sorting: Sorting,
}

/// Settings that describe no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// `table.schema`.
    #[error(transparent)]
    Schema(#[from] SchemaFileError),
    /// `table.derived`.
    #[error(transparent)]
    Derived(#[from] DerivationError),
    /// `table.partition_by` or `table.time_zone`.
    #[error("table.partition_by: {0}")]
    Spec(#[from] SpecError),
    /// `table.sort_by`.
    #[error("table.sort_by: {0}")]
    SortBy(#[from] SortByError),
}

/// The columns that the settings name: those of messages, and derived ones.
///
/// # Errors
/// Naming the file, the column and the remedy.
pub fn schema(settings: &crate::settings::Table) -> Result<Schema, TableError> {
    let schema = Schema::from_file(&settings.schema)?;
    Ok(match &settings.derived {
        Some(path) => schema.with_derived(path)?,
        None => schema,
    })
}

impl Table {
    /// Reads the schema file and checks the rest against it.
    ///
    /// # Errors
    /// Naming the key, the column and the remedy.
    pub fn from_settings(settings: &crate::settings::Table) -> Result<Self, TableError> {
        let schema = schema(settings)?;
        let spec = Spec::parse(&settings.partition_by, &schema, &settings.time_zone)?;
        let sorting = Sorting::parse(&settings.sort_by, &schema)?;
        Ok(Self {
            schema: Arc::new(schema),
            spec: Arc::new(spec),
            sorting,
        })
    }

    /// What the table's log says of it.
    pub fn definition(&self, settings: &crate::settings::Table) -> Definition {
        let column = |column: &crate::table::Column| {
            let null = if column.nullable { " or null" } else { "" };
            (
                column.name.clone(),
                format!("{}{null}", column.kind.data_type()),
            )
        };
        Definition {
            partition_by: settings.partition_by.clone(),
            time_zone: settings.time_zone.clone(),
            columns: self.schema.columns.iter().map(column).collect(),
        }
    }
}

/// What all cuts of a writer have in common.
#[derive(Clone, Debug)]
pub struct CutMaker {
    /// The table.
    pub table: Table,
    /// The topic's format.
    pub format: Format,
    /// How files are written.
    pub parquet: Parquet,
    /// One budget for all cuts.
    pub budget: Arc<MemoryBudget>,
    /// Where files are staged.
    pub store: Arc<dyn Store>,
    /// Where the store's work runs.
    pub runtime: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: Arc<Metrics>,
}

impl CutMaker {
    /// As the settings have it.
    pub fn new(
        settings: &Settings,
        table: Table,
        store: Arc<dyn Store>,
        runtime: Handle,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let budget = usize::try_from(settings.memory.budget_bytes).unwrap_or(usize::MAX);
        metrics.budget(settings.memory.budget_bytes);
        Self {
            table,
            format: settings.source.kafka.format,
            parquet: settings.parquet.clone(),
            budget: MemoryBudget::new(budget),
            store,
            runtime,
            clock,
            metrics,
        }
    }

    /// An empty cut for a session.
    ///
    /// # Errors
    /// When Parquet cannot hold a column.
    pub fn cut(&self, session: &str) -> Result<OpenCut, parquet::errors::ParquetError> {
        OpenCut::new(CutParts {
            schema: self.table.schema.clone(),
            spec: self.table.spec.clone(),
            sorting: self.table.sorting.clone(),
            parquet: self.parquet.clone(),
            budget: self.budget.clone(),
            decoder: decoder(self.format, &self.table.schema),
            session: session.to_owned(),
            table_url: self.store.url(),
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// The same as a function, for [`super::WriterParts`].
    pub fn into_make_cut(self) -> MakeCut {
        Box::new(move |session| self.cut(session))
    }
}
