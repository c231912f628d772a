//! `run`: the writer itself, with everything around it that a process needs.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure, with_causes};
use super::open;
use super::output::{Output, print, print_json};
use super::signals::stop_on_signals;
use crate::batch::Rotation;
use crate::clock::Chance;
use crate::source::Source;
use crate::store::probe::probe;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::telemetry::figures::{bytes, count};
use crate::telemetry::http::Server;
use crate::telemetry::{Away, Metrics, progress};
use crate::writer::assemble::{CutMaker, Table};
use crate::writer::{self, RunMode, Stop, Summary, UpkeepPlan, WriterParts};

/// Shortest and longest wait between two looks at a store that does not answer.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Stop once everything up to the high watermarks seen at the start is published
    #[arg(long)]
    until_end: bool,
}

pub(super) fn run(arguments: &Arguments, run: &RunArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Settings)?;
    let stop = stop_on_signals(&context.runtime, &context.line)?;
    let table = open::table(&context.settings)?;
    let store = open::store(&context.settings)?;
    let metrics = Arc::new(Metrics::new(&store.url()));
    let _server = serve_telemetry(&context, &metrics)?;
    let mut chance = Chance::from_entropy();
    context.runtime.block_on(until_fit(
        store.as_ref(),
        &metrics,
        &mut chance,
        stop.clone(),
    ))?;
    let source = open::source(&context.settings, &context.clock)?;
    let parts = assemble(&context, &table, store, source, &metrics, chance);
    let mode = if run.until_end {
        RunMode::UntilEnd
    } else {
        RunMode::Forever
    };
    let shown = (!arguments.quiet).then(|| show_progress(&context, &metrics));
    let summary = drive(parts, mode, stop);
    if let Some(shown) = shown {
        shown.abort();
        context.line.show("");
    }
    let summary = summary?;
    match arguments.output {
        Output::Text => print(&in_words(&summary)),
        Output::Json => print_json(&summary),
    }
}

/// Probes the store; waits while it is out of reach, until told to stop.
async fn until_fit(
    store: &dyn Store,
    metrics: &Metrics,
    chance: &mut Chance,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), StoreError> {
    let mut wait = SHORTEST_WAIT;
    loop {
        let error = match probe(store, &chance.hex_id()).await {
            Err(error) if error.kind == StoreErrorKind::Transient => error,
            outcome => {
                metrics.away(Away::Store, false);
                return outcome;
            }
        };
        if wait == SHORTEST_WAIT {
            let reason = with_causes(&error);
            tracing::warn!(reason, "the store is out of reach; trying until it answers");
            metrics.away(Away::Store, true);
        }
        // A sender that is gone says nothing more; then the wait alone counts.
        let told = async {
            let told = stop.wait_for(|told| *told == Stop::Drain).await;
            if told.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = told => return Err(error),
            () = tokio::time::sleep(chance.jitter(wait)) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Metrics and health, if the settings want them. They stop when the server is dropped.
fn serve_telemetry(context: &Context, metrics: &Arc<Metrics>) -> Result<Option<Server>, Failure> {
    let telemetry = &context.settings.telemetry;
    let Some(listen) = &telemetry.listen else {
        return Ok(None);
    };
    let timeout = Duration::from_millis(telemetry.livez_timeout_ms);
    let starting = Server::start(listen, metrics.clone(), context.clock.clone(), timeout);
    let server = context
        .runtime
        .block_on(starting)
        .map_err(|error| Failure::of(Exit::Usage, "serve metrics", &error))?;
    tracing::info!(address = %server.address(), "serving /metrics, /livez and /readyz");
    Ok(Some(server))
}

/// The writer that the settings describe, on a store that was probed.
pub(super) fn assemble(
    context: &Context,
    table: &Table,
    store: Arc<dyn Store>,
    source: Box<dyn Source>,
    metrics: &Arc<Metrics>,
    chance: Chance,
) -> WriterParts {
    let settings = &context.settings;
    let runtime = context.runtime.handle().clone();
    let cuts = CutMaker::new(
        settings,
        table.clone(),
        store.clone(),
        runtime.clone(),
        context.clock.clone(),
        metrics.clone(),
    );
    WriterParts {
        source,
        store,
        definition: table.definition(&settings.table),
        make_cut: cuts.into_make_cut(),
        rotation: Rotation::new(&settings.rotation),
        first_start: settings.source.kafka.first_start,
        accept_topic_id: settings.source.kafka.accept_topic_id.clone(),
        accept_lost_offsets: settings.source.kafka.accept_lost_offsets,
        upkeep: UpkeepPlan {
            checkpoint_after_records: settings.log.checkpoint_after_records,
            keep_records: settings.log.keep_records,
            sweep_interval: Duration::from_millis(settings.log.sweep_interval_ms),
        },
        drain_timeout: Duration::from_millis(settings.rotation.drain_timeout_ms),
        clock: context.clock.clone(),
        chance,
        metrics: metrics.clone(),
        runtime,
    }
}

/// Runs the writer on this thread.
pub(super) fn drive(
    parts: WriterParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, Failure> {
    Ok(writer::run(parts, mode, stop)?)
}

fn show_progress(context: &Context, metrics: &Arc<Metrics>) -> JoinHandle<()> {
    let line = context.line.clone();
    context
        .runtime
        .spawn(progress::show(metrics.clone(), context.clock.clone(), line))
}

fn in_words(summary: &Summary) -> String {
    let mut text = format!(
        "committed {} rows in {} files, {}, by {} commits",
        count(summary.rows),
        count(summary.files),
        bytes(summary.bytes),
        count(summary.commits),
    );
    for (figure, what) in [
        (summary.dead_letters, "dead letters"),
        (summary.tombstones, "tombstones"),
        (summary.restarts, "restarts"),
    ] {
        if figure > 0 {
            text += &format!("; {} {what}", count(figure));
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_mentions_what_there_was() {
        let summary = Summary {
            commits: 3,
            rows: 12_345,
            files: 26,
            bytes: 1 << 20,
            dead_letters: 4,
            ..Summary::default()
        };
        assert_eq!(
            in_words(&summary),
            "committed 12,345 rows in 26 files, 1.0 MiB, by 3 commits; 4 dead letters\n"
        );
    }
}
