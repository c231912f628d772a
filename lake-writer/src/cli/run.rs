//! `run`: the writer itself, with everything around it that a process needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure, with_causes};
use super::mirror::{Mirror, Mirrored};
use super::open;
use super::output::{Output, print, print_json};
use super::running;
use super::signals::stop_on_signals;
use crate::batch::Rotation;
use crate::clock::Chance;
use crate::member::{MemberParts, RunMode, Stop};
use crate::settings::{Settings, Sources, load};
use crate::source::Source;
use crate::store::probe::probe;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::telemetry::figures::{bytes, count};
use crate::telemetry::{Away, Metrics};
use crate::writer::assemble::{CutMaker, Table};
use crate::writer::{self, Summary, UpkeepPlan, WriterParts};

/// Shortest and longest wait between two looks at a store that does not answer.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Stop once everything up to the high watermarks seen at the start is published
    #[arg(long)]
    until_end: bool,

    /// Settings file of a further table that this process writes too; can be repeated. --set and the
    /// environment are for the first table alone, which also says what is logged and where metrics are served
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
}

/// A table that is about to be written.
struct OpenTable {
    settings: Settings,
    table: Table,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl OpenTable {
    fn new(settings: Settings) -> Result<Self, Failure> {
        let table = open::table(&settings)?;
        let store = open::store(&settings)?;
        Ok(Self {
            metrics: Arc::new(Metrics::new(&store.url())),
            table,
            store,
            settings,
        })
    }
}

pub(super) fn run(arguments: &Arguments, run: &RunArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Settings)?;
    let stop = stop_on_signals(&context.runtime, &context.line)?;
    let tables = open_all(&context, &run.also)?;
    let mirrors = tables
        .iter()
        .map(|open| Mirror::configured(&context, &open.settings));
    let mirrors: Vec<Mirror> = mirrors
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    let tables_metrics = tables.iter().map(|open| open.metrics.clone());
    let mirrors_metrics = mirrors.iter().map(|mirror| mirror.metrics().clone());
    let metrics: Vec<_> = tables_metrics.chain(mirrors_metrics).collect();
    let urls: Vec<_> = tables.iter().map(|open| open.store.url()).collect();
    let _server = running::serve_telemetry(&context, &metrics)?;
    let mode = if run.until_end {
        RunMode::UntilEnd
    } else {
        RunMode::Forever
    };
    let shown = (!arguments.quiet).then(|| running::show_progress(&context, metrics));
    let (summaries, mirrored) = write_and_mirror(&context, tables, mirrors, mode, &stop);
    if let Some(shown) = shown {
        shown.abort();
        context.line.show("");
    }
    let summaries = summaries?;
    tell(arguments, &urls, &summaries)?;
    // The lake is told first, and whole: a mirror that has failed does not touch it.
    for mirrored in mirrored {
        tracing::info!(summary = ?mirrored?, "mirrored");
    }
    Ok(())
}

/// Writes tables and mirrors beside each other. A mirror that fails ends alone; the lake goes on, and
/// the process says so when it ends.
fn write_and_mirror(
    context: &Context,
    tables: Vec<OpenTable>,
    mirrors: Vec<Mirror>,
    mode: RunMode,
    stop: &watch::Sender<Stop>,
) -> (Result<Vec<Summary>, Failure>, Vec<Mirrored>) {
    std::thread::scope(|scope| {
        let run = |mirror: Mirror| {
            let told = stop.subscribe();
            scope.spawn(move || {
                let ready = mirror.ready(context);
                let mirrored = ready.and_then(|mirror| mirror.run(mode, told));
                if let Err(failure) = &mirrored {
                    tracing::error!(%failure, "the mirror has stopped; the lake goes on");
                }
                mirrored
            })
        };
        let running: Vec<_> = mirrors.into_iter().map(run).collect();
        let summaries = write_all(context, tables, mode, stop);
        if summaries.is_err() {
            stop.send_replace(Stop::Drain);
        }
        let mirrored = running.into_iter().map(|running| match running.join() {
            Ok(mirrored) => mirrored,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        (summaries, mirrored.collect())
    })
}

fn tell(arguments: &Arguments, urls: &[String], summaries: &[Summary]) -> Result<(), Failure> {
    match (arguments.output, summaries) {
        (Output::Text, [summary]) => print(&in_words(summary)),
        (Output::Json, [summary]) => print_json(summary),
        (Output::Text, several) => {
            let lines = urls.iter().zip(several);
            print(&lines.fold(String::new(), |text, (url, summary)| {
                text + &format!("{url}: {}", in_words(summary))
            }))
        }
        (Output::Json, several) => {
            let tables: Vec<_> = urls
                .iter()
                .zip(several)
                .map(|(url, summary)| json!({ "table": url, "summary": summary }))
                .collect();
            print_json(&json!({ "tables": tables }))
        }
    }
}

/// The table of the settings in force, and those of further files.
fn open_all(context: &Context, also: &[PathBuf]) -> Result<Vec<OpenTable>, Failure> {
    let mut tables = vec![OpenTable::new(context.settings.clone())?];
    for file in also {
        let sources = Sources {
            file: Some(file.clone()),
            ..Sources::default()
        };
        let open = OpenTable::new(load(&sources)?.settings)?;
        let url = open.store.url();
        if tables.iter().any(|earlier| earlier.store.url() == url) {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "{}: the table {url} is written by another settings file of this command \
                     already; give each table a table.url of its own",
                    file.display()
                ),
            ));
        }
        tables.push(open);
    }
    Ok(tables)
}

/// Writes every table on a thread of its own, the first one on this. When one of them fails, the
/// others commit what they have in hand and stop: a process that goes on without one of its tables
/// would look well to whoever watches it.
fn write_all(
    context: &Context,
    tables: Vec<OpenTable>,
    mode: RunMode,
    stop: &watch::Sender<Stop>,
) -> Result<Vec<Summary>, Failure> {
    let write = |open: OpenTable| {
        let url = open.store.url();
        let summary = write(context, open, mode, stop.subscribe());
        if let Err(failure) = &summary {
            tracing::debug!(url, %failure, "a table failed");
            stop.send_replace(Stop::Drain);
        }
        summary
    };
    let mut tables = tables.into_iter();
    let first = tables.next();
    std::thread::scope(|scope| {
        let write = &write;
        let others: Vec<_> = tables
            .map(|open| scope.spawn(move || write(open)))
            .collect();
        let first = first.map(write);
        let others = others.into_iter().map(|writing| match writing.join() {
            Ok(summary) => summary,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let written: Vec<_> = first.into_iter().chain(others).collect();
        written.into_iter().collect()
    })
}

/// Writes one table until it is over.
fn write(
    context: &Context,
    open: OpenTable,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
) -> Result<Summary, Failure> {
    let OpenTable {
        settings,
        table,
        store,
        metrics,
    } = open;
    let mut chance = Chance::from_entropy();
    let fit = until_fit(store.as_ref(), &metrics, &mut chance, stop.clone());
    context.runtime.block_on(fit)?;
    let source = open::source(&settings, &context.clock)?;
    let parts = assemble(context, &settings, &table, store, source, &metrics, chance);
    drive(parts, mode, stop)
}

/// Probes the store; waits while it is out of reach or full, until told to stop.
async fn until_fit(
    store: &dyn Store,
    metrics: &Metrics,
    chance: &mut Chance,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), StoreError> {
    let mut wait = SHORTEST_WAIT;
    loop {
        let error = match probe(store, &chance.hex_id()).await {
            Err(error) if passes(error.kind) => error,
            outcome => {
                metrics.away(Away::Store, false);
                return outcome;
            }
        };
        if wait == SHORTEST_WAIT {
            let reason = with_causes(&error);
            match error.kind {
                StoreErrorKind::Full => {
                    tracing::warn!(reason, "the store is full; trying until there is room");
                }
                _ => tracing::warn!(reason, "the store is out of reach; trying until it answers"),
            }
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

/// Whether the store may be fit again without anybody changing the settings.
fn passes(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Transient | StoreErrorKind::Full)
}

/// The writer that the settings describe, on a store that was probed.
pub(super) fn assemble(
    context: &Context,
    settings: &Settings,
    table: &Table,
    store: Arc<dyn Store>,
    source: Box<dyn Source>,
    metrics: &Arc<Metrics>,
    chance: Chance,
) -> WriterParts {
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
        member: MemberParts {
            name: "lake",
            source,
            drain_timeout: Duration::from_millis(settings.rotation.drain_timeout_ms),
            clock: context.clock.clone(),
            chance,
            metrics: metrics.clone(),
            runtime,
        },
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
