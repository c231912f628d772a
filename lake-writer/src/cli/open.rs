//! From settings to the ports.

use std::sync::Arc;

use super::exit::{Exit, Failure, with_causes};
use crate::clock::Clock;
use crate::settings::Settings;
use crate::source::kafka::KafkaSource;
use crate::source::{Source, SourceError};
use crate::stage::check_bloom_filters;
use crate::store::{self, Store};
use crate::writer::assemble::Table;

/// The table that the settings describe, with every column that they name found in its schema.
pub(super) fn table(settings: &Settings) -> Result<Table, Failure> {
    let table = Table::from_settings(&settings.table)
        .map_err(|error| Failure::new(Exit::Usage, with_causes(&error)))?;
    check_bloom_filters(&settings.parquet.bloom_filter_columns, &table.schema)
        .map_err(|error| Failure::new(Exit::Usage, with_causes(&error)))?;
    Ok(table)
}

/// The table's store. Nothing is sent yet.
pub(super) fn store(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    let store = store::open::open(&settings.table.url, &settings.store)
        .map_err(|error| Failure::of(Exit::Usage, "open the table", &error))?;
    #[cfg(feature = "simulation")]
    let store = match std::env::var_os(store::log_in_memory::VARIABLE) {
        Some(_) => store::log_in_memory::LogInMemory::around(store),
        None => store,
    };
    #[cfg(feature = "simulation")]
    let store = match crate::failpoint::Failpoints::from_environment() {
        Some(points) => points.around_store(store),
        None => store,
    };
    Ok(store)
}

/// The topic. Connects in the background; joins the group with the first poll.
pub(super) fn source(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Source>, SourceError> {
    let source = KafkaSource::connect(&settings.source.kafka, clock.clone())?;
    let source: Box<dyn Source> = Box::new(source);
    #[cfg(feature = "simulation")]
    let source = match crate::failpoint::Failpoints::from_environment() {
        Some(points) => points.around_source(source),
        None => source,
    };
    Ok(source)
}
