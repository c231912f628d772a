//! From settings to an engine with the tables of the lake and its mirror.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use lake_writer::cli::{Exit, Failure};
use lake_writer::settings::{Sources, load};

use super::Arguments;
use crate::catalog::Catalog;
use crate::engine::{Engine, Limits};

/// Opens the tables that the settings name.
pub(super) async fn open(arguments: &Arguments) -> Result<Arc<Engine>, Failure> {
    let sources = Sources::of_process(arguments.config.clone(), arguments.set.clone());
    let settings = load(&sources)?.settings;
    let limits = Limits {
        memory: arguments.memory_limit,
        statement_timeout: Some(arguments.statement_timeout).filter(|time| !time.is_zero()),
    };
    let catalog = Catalog::open(&settings)
        .await
        .map_err(|error| Failure::of(Exit::Store, "open the tables", &error))?;
    let register = |context: &datafusion::prelude::SessionContext| {
        catalog
            .register(context)
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(catalog.optimizer_rules())
    };
    let engine = Engine::new(limits, register)
        .await
        .map_err(|error| Failure::of(Exit::Failure, "set up the engine", &error))?;
    Ok(Arc::new(engine))
}
