//! From settings to the ports.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::exit::{Exit, Failure, with_causes};
use crate::clock::Clock;
use crate::commit::record::Definition;
use crate::settings::Settings;
use crate::source::kafka::{KafkaReader, KafkaSource};
use crate::source::{Source, SourceError};
use crate::stage::check_bloom_filters;
use crate::store::{self, Store};
use crate::verify::VerifyParts;
use crate::writer::assemble::Table;

/// How long a committed file may be on its way to its name: longer than a publication takes, so
/// that a commit of the moment is no finding.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// The topic, for reading ranges of it outside of any group.
pub(super) fn reader(context: &Context) -> Result<KafkaReader, Failure> {
    let kafka = &context.settings.source.kafka;
    Ok(KafkaReader::connect(kafka, context.clock.clone())?)
}

/// The lake, for comparing it and writing parts of it again, and the table's definition by the settings.
pub(super) fn compared(context: &Context) -> Result<(VerifyParts, Definition), Failure> {
    let settings = &context.settings;
    let table = table(settings)?;
    let definition = table.definition(&settings.table);
    let parts = VerifyParts {
        store: store(settings)?,
        runtime: context.runtime.handle().clone(),
        clock: context.clock.clone(),
        schema: table.schema,
        spec: table.spec,
        format: settings.source.kafka.format,
        memory_bytes: settings.memory.budget_bytes,
        patience: PATIENCE,
    };
    Ok((parts, definition))
}
