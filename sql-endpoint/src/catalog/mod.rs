//! What tables there are.
//!
//! ```text
//! settings of lake-writer ─► Catalog ─► <collection>_lake                          (always)
//!                                       <collection>_live, _rollup_minute, _rollup_day   (with a mirror)
//!                                       <collection>                               (both, every row once)
//! ```
//!
//! Owns: names of tables, and which of them the settings allow.
//! Does not own: what is in them (`lake`, `mirror`, `both`).

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::optimizer::OptimizerRule;
use datafusion::prelude::SessionContext;
use lake_writer::settings::Settings;
use lake_writer::store::open::OpenError;
use lake_writer::writer::assemble::{Table, TableError};

pub use crate::both::CutError;
pub use crate::lake::LakeError;
pub use crate::mirror::MirrorError;

use crate::both::BothTable;
use crate::lake::{Lake, LakeTable};
use crate::mirror::{Mirror, MirrorTable, PushDownAggregate, Shape};
use crate::query::OncePerQuery;

/// Settings that lead to no tables.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The `[table]` settings.
    #[error("the table of the settings cannot be read")]
    Table(#[from] TableError),
    /// `table.url`, `[store]`.
    #[error("the store of the table cannot be opened")]
    Store(#[from] OpenError),
    /// `[mirror.mongodb]`.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The query engine.
    #[error("the tables cannot be registered")]
    Engine(#[from] DataFusionError),
}

/// The tables of one lake and its mirror.
#[derive(Debug)]
pub struct Catalog {
    /// By name, in the order of their registration.
    tables: Vec<(String, Arc<dyn TableProvider>)>,
}

impl Catalog {
    /// Finds the tables that the settings of lake-writer describe. The store is not asked yet; the
    /// mirror's database has to be there, if one is configured.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn open(settings: &Settings) -> Result<Self, CatalogError> {
        let table = Table::from_settings(&settings.table)?;
        let store = lake_writer::store::open::open(&settings.table.url, &settings.store)?;
        let mirrored = settings.mirror.mongodb.uri.is_some();
        let name = match mirrored {
            true => settings.mirror.mongodb.collection.as_str(),
            false => last_component(&settings.table.url),
        };
        let lake_name = format!("{name}_lake");
        let lake = LakeTable::new(&lake_name, Lake::new(store), &table.schema, &table.spec)?;
        let lake = Arc::new(lake);
        let mut catalog = Self { tables: Vec::new() };
        catalog.add(lake_name, lake.clone());
        if mirrored {
            catalog.add_mirror(settings, &table, name, lake).await?;
        } else {
            tracing::info!(
                "mirror.mongodb.uri is not set: there is no mirror, and `{name}_lake` is the only table"
            );
        }
        Ok(catalog)
    }

    async fn add_mirror(
        &mut self,
        settings: &Settings,
        table: &Table,
        name: &str,
        lake: Arc<LakeTable>,
    ) -> Result<(), CatalogError> {
        let wanted = &settings.mirror.mongodb;
        let mirror = Mirror::open(wanted).await?;
        let seen = Arc::new(OncePerQuery::default());
        let left_out = Shape::left_out(&table.schema);
        if !left_out.is_empty() {
            let columns = left_out.join(", ");
            tracing::info!("`{name}_live` has no columns that hold others: without {columns}");
        }
        let shape = Shape::of_documents(&table.schema, wanted);
        let live = MirrorTable::of_documents(mirror.clone(), shape, seen.clone());
        let live = Arc::new(live);
        self.add(format!("{name}_live"), live.clone());
        match Shape::of_rollups(&table.schema, wanted) {
            Some(shape) => {
                for suffix in ["_rollup_minute", "_rollup_day"] {
                    let rollup =
                        MirrorTable::beside(mirror.clone(), suffix, shape.clone(), seen.clone());
                    self.add(format!("{name}{suffix}"), Arc::new(rollup));
                }
            }
            None => tracing::info!("mirror.mongodb.rollup.time is not set: there are no rollups"),
        }
        if wanted.id != "offset" {
            tracing::info!(
                "mirror.mongodb.id is `{}`: the mirror holds the last version of each key and the lake \
                 every one, so there is no table `{name}` of both; query `{name}_live` or `{name}_lake`",
                wanted.id
            );
            return Ok(());
        }
        let (lake_name, live_name) = (format!("{name}_lake"), format!("{name}_live"));
        let both = BothTable::new((&lake_name, lake), (&live_name, live), wanted.ttl_seconds)?;
        self.add(name.to_owned(), Arc::new(both));
        Ok(())
    }

    fn add(&mut self, name: String, table: Arc<dyn TableProvider>) {
        self.tables.push((name, table));
    }

    /// Names of the tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(name, _)| name.as_str())
    }

    /// Puts the tables into the schema `public` of the session's default catalog.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, context: &SessionContext) -> Result<(), CatalogError> {
        for (name, table) in &self.tables {
            // The parts are quoted: a collection's name may hold capitals and dots.
            let place = datafusion::common::TableReference::partial("public", name.as_str());
            context.register_table(place, table.clone())?;
        }
        Ok(())
    }

    /// Rules that the session needs behind its own, by which MongoDB computes aggregates.
    pub fn optimizer_rules(&self) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
        vec![Arc::new(PushDownAggregate)]
    }
}

/// `sales` of `hdfs://host/lake/sales`.
fn last_component(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_without_a_mirror_is_named_after_its_folder() {
        assert_eq!(last_component("hdfs://host:9000/lake/sales/"), "sales");
        assert_eq!(last_component("s3://bucket"), "bucket");
    }
}
