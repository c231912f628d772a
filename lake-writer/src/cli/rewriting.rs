//! What `repair` and `backfill` have in common: a rewriter from the settings, and the present state of
//! the topic and the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::open;
use crate::clock::Chance;
use crate::commit::record::Definition;
use crate::rewrite::{RewriteError, Rewriter, RewriterParts, Unit, units};
use crate::source::{RangeReader, SourceError, TopicIdentity, Watermarks};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::verify::ledger::{Ledger, ledger};
use crate::writer::assemble::CutMaker;

/// The topic as it is now.
pub(super) struct Topic {
    pub(super) identity: TopicIdentity,
    pub(super) watermarks: BTreeMap<i32, Watermarks>,
}

impl Topic {
    pub(super) fn ask(reader: &mut dyn RangeReader) -> Result<Self, SourceError> {
        let identity = reader.identify()?;
        let watermarks = (0..identity.partitions)
            .map(|partition| Ok((partition, reader.watermarks(partition)?)))
            .collect::<Result<_, SourceError>>()?;
        Ok(Self {
            identity,
            watermarks,
        })
    }
}

/// The log, and the commits that have read the topic.
pub(super) fn read_log(
    context: &Context,
    store: &dyn Store,
    topic: &Topic,
) -> Result<(Ledger, Vec<Unit>), Failure> {
    let ledger = context.runtime.block_on(ledger(store))?;
    if ledger.head.is_none() {
        let url = store.url();
        let message = format!("the table at {url} was never written: start with `lake-writer run`");
        return Err(Failure::new(Exit::Failure, message));
    }
    let units = units(&ledger, &topic.identity.topic_id);
    Ok((ledger, units))
}

/// A session that replaces files.
pub(super) fn begin(
    context: &Context,
    store: Arc<dyn Store>,
    definition: &Definition,
    work: &str,
) -> Result<Rewriter, Failure> {
    let parts = RewriterParts {
        cuts: cuts(context, store)?,
        definition: definition.clone(),
        chance: Chance::from_entropy(),
    };
    Ok(Rewriter::begin(parts, work)?)
}

/// Makes files as a writer with these settings does.
pub(super) fn cuts(context: &Context, store: Arc<dyn Store>) -> Result<CutMaker, Failure> {
    let table = open::table(&context.settings)?;
    let metrics = Arc::new(Metrics::new(&store.url()));
    let runtime = context.runtime.handle().clone();
    let clock = context.clock.clone();
    Ok(CutMaker::new(
        &context.settings,
        table,
        store,
        runtime,
        clock,
        metrics,
    ))
}

impl From<RewriteError> for Failure {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Source(error) => error.into(),
            RewriteError::Commit(error) => error.into(),
            RewriteError::Store(error) => error.into(),
            RewriteError::Parquet(_) | RewriteError::File(_) | RewriteError::SameBytes { .. } => {
                Self::new(Exit::Usage, error.to_string())
            }
            RewriteError::NoNumbers => Self::new(Exit::Failure, error.to_string()),
        }
    }
}
