//! The query engine: one for the whole server, with a view of it for each session.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
};
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{AnalyzerRule, OptimizerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::setup_pg_catalog;

use crate::server::compat::{Catalogues, Client, functions};
use crate::server::{SharedVariables, Texts};
use crate::yielding::GiveWay;
use crate::zone::{DatesAreMidnights, InZone, UTC, at_time_zone};

/// The name of the one database.
pub const DATABASE: &str = "lake";

const SCHEMA: &str = "public";
const CATALOGUE: &str = "pg_catalog";

/// What statements may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of memory that all running statements share for their sorts, joins and groups.
    pub memory: usize,
    /// The longest that a statement may take.
    pub statement_timeout: Option<Duration>,
}

/// Tables, functions and rules, for any number of sessions.
#[derive(Debug)]
pub struct Engine {
    state: SessionState,
    tables: Arc<dyn SchemaProvider>,
    catalogues: Catalogues,
    texts: Texts,
    limits: Limits,
}

impl Engine {
    /// An engine with the tables and the optimizer rules that `register` gives it.
    ///
    /// # Errors
    /// What the engine or `register` says.
    pub async fn new(
        limits: Limits,
        register: impl FnOnce(
            &SessionContext,
        )
            -> Result<Vec<Arc<dyn OptimizerRule + Send + Sync>>, DataFusionError>,
    ) -> Result<Self, DataFusionError> {
        // Nothing is written to disk: a statement that needs more memory than there is fails.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let largest = NonZeroUsize::new(3).unwrap_or(NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(limits.memory), largest);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let mut context = SessionContext::new_with_config_rt(config(), runtime);
        datafusion_postgres::datafusion_pg_functions::register_all(&mut context);
        let rules = register(&context)?;
        for rule in rules {
            context.add_optimizer_rule(rule);
        }
        setup_pg_catalog(&context, DATABASE, EmptyContextProvider).map_err(|error| *error)?;
        functions::register(&context);
        context.register_udf(at_time_zone());
        let schema = |name: &str| {
            let found = context
                .catalog(DATABASE)
                .and_then(|catalog| catalog.schema(name));
            found.ok_or_else(|| DataFusionError::Internal(format!("there is no schema {name}")))
        };
        let (tables, catalogue) = (schema(SCHEMA)?, schema(CATALOGUE)?);
        let catalogues = Catalogues::read(&context, catalogue, tables.as_ref()).await?;
        Ok(Self {
            state: context.state(),
            tables,
            catalogues,
            texts: Texts::new(),
            limits,
        })
    }

    /// What statements may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn parser(&self) -> &Texts {
        &self.texts
    }

    /// The engine as a session sees it.
    pub(crate) fn session(
        &self,
        variables: &SharedVariables,
        user: &str,
        pid: i32,
    ) -> Result<SessionContext, DataFusionError> {
        let client = Client {
            user: user.to_owned(),
            pid,
            variables: variables.clone(),
        };
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, self.tables.clone())?;
        catalog.register_schema(CATALOGUE, Arc::new(self.catalogues.seen_by(client.clone())))?;
        let catalogs = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(
            &catalogs,
            DATABASE.to_owned(),
            Arc::new(catalog),
        );
        let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(DatesAreMidnights)];
        rules.extend(self.state.analyzer().rules.iter().cloned());
        rules.push(Arc::new(InZone(variables.clone())));
        let state = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_catalog_list(Arc::new(catalogs))
            .with_analyzer_rules(rules)
            .with_physical_optimizer_rule(Arc::new(GiveWay))
            .build();
        let context = SessionContext::new_with_state(state);
        functions::register_for(&context, &client);
        Ok(context)
    }
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(DATABASE, SCHEMA)
        .with_information_schema(true);
    let options = config.options_mut();
    // Literals such as 1.5 are exact, as in PostgreSQL.
    options.sql_parser.parse_float_as_decimal = true;
    // It drops rows by the bound of one aggregate that another still needs: max(a) beside min(a - b).
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // Instants are in UTC, whatever zone a session has: what depends on it is put into words (`zone`).
    options.execution.time_zone = Some(UTC.into());
    config
}
