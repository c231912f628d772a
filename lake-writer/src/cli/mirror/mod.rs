//! `mirror`, and the mirror beside `run`.

mod repair;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::sync::watch;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::open;
use super::output::{Output, print, print_json};
use super::running;
use super::signals::stop_on_signals;
use crate::clock::Chance;
use crate::member::{MemberParts, RunMode, Stop};
use crate::mirror::{
    self, DatabaseError, FailureKind, Limits, MirrorError, MirrorParts, Mongo, Plan,
};
use crate::settings::Settings;
use crate::telemetry::Metrics;
use crate::telemetry::figures::count;
use crate::writer::assemble::{TableError, schema};

use repair::RepairArguments;
pub(super) use verify::verify;

/// What a mirror did, or why it ended.
pub(super) type Mirrored = Result<mirror::Summary, Failure>;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct MirrorArguments {
    #[command(subcommand)]
    action: Option<MirrorAction>,

    /// Stop once everything up to the high watermarks seen at the start is mirrored
    #[arg(long)]
    until_end: bool,
}

#[derive(Debug, Subcommand)]
enum MirrorAction {
    /// Make days of the mirror again from the lake: documents, and rollups added up anew
    ///
    /// Stop the mirror first. Messages that the lake does not have yet keep their documents. An
    /// interrupted repair has to be run again. Without --yes it says what it would do.
    #[command(
        after_help = "Examples:\n  lake-writer mirror repair --from-lake\n  lake-writer mirror repair --from-lake --since 2026-01-30 --until 2026-02-01 --yes"
    )]
    Repair(RepairArguments),
}

/// A mirror that is about to run.
pub(super) struct Mirror {
    settings: Settings,
    mongo: Mongo,
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
}

impl Mirror {
    /// The mirror of these settings, if they have one.
    pub(super) fn configured(
        context: &Context,
        settings: &Settings,
    ) -> Result<Option<Self>, Failure> {
        if settings.mirror.mongodb.uri.is_none() {
            return Ok(None);
        }
        let (mongo, plan) = opened(context, settings)?;
        Ok(Some(Self {
            settings: settings.clone(),
            metrics: Arc::new(Metrics::new(mongo.place())),
            mongo,
            plan: Arc::new(plan),
        }))
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Finds the topic. What comes of it can run on any thread.
    pub(super) fn ready(self, context: &Context) -> Result<ReadyMirror, Failure> {
        let Self {
            mut settings,
            mongo,
            plan,
            metrics,
        } = self;
        let mongodb = &settings.mirror.mongodb;
        let kafka = &mut settings.source.kafka;
        let group = mongodb.group_id.clone();
        kafka.group_id = group.unwrap_or_else(|| format!("{}-mirror", kafka.group_id));
        let limits = Limits::new(mongodb);
        metrics.budget(mongodb.budget_bytes);
        let parts = MirrorParts {
            member: MemberParts {
                name: "mirror",
                source: open::source(&settings, &context.clock)?,
                drain_timeout: Duration::from_millis(settings.rotation.drain_timeout_ms),
                clock: context.clock.clone(),
                chance: Chance::from_entropy(),
                metrics,
                runtime: context.runtime.handle().clone(),
            },
            mongo,
            plan,
            limits,
            first_start: settings.source.kafka.first_start,
            accept_lost_offsets: settings.source.kafka.accept_lost_offsets,
        };
        Ok(ReadyMirror(parts))
    }
}

/// A mirror that only has to run.
pub(super) struct ReadyMirror(MirrorParts);

impl ReadyMirror {
    /// Runs until it is over.
    pub(super) fn run(self, mode: RunMode, stop: watch::Receiver<Stop>) -> Mirrored {
        Ok(mirror::run(self.0, mode, stop)?)
    }
}

/// Messages that a mirror has dealt with, and what became of them in words.
pub(super) fn told(summary: &mirror::Summary) -> (u64, String) {
    let mirror::Summary {
        documents,
        dead_letters,
        tombstones,
        ..
    } = *summary;
    let words = format!(
        "{} documents and {} dead letters in MongoDB",
        count(documents),
        count(dead_letters)
    );
    (documents + dead_letters + tombstones, words)
}

fn opened(context: &Context, settings: &Settings) -> Result<(Mongo, Plan), Failure> {
    let mongodb = &settings.mirror.mongodb;
    let schema = schema(&settings.table)?;
    let plan = Plan::new(mongodb, Arc::new(schema), settings.source.kafka.format)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let mongo = context.runtime.block_on(Mongo::open(mongodb));
    let mongo = mongo.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok((mongo, plan))
}

/// What `config check` says of the mirror.
pub(super) fn check(context: &Context, connect: bool) -> Result<String, Failure> {
    let (mongo, _) = opened(context, &context.settings)?;
    if !connect {
        return Ok(format!("{}, not asked", mongo.place()));
    }
    context.runtime.block_on(mongo.probe())?;
    Ok(format!("{} has transactions", mongo.place()))
}

fn missing() -> Failure {
    let message = "mirror.mongodb.uri is not set; write mongodb://host:port/?replicaSet=name";
    Failure::new(Exit::Usage, message)
}

pub(super) fn run(arguments: &Arguments, mirror: &MirrorArguments) -> Result<(), Failure> {
    if let Some(MirrorAction::Repair(repair)) = &mirror.action {
        return repair::run(arguments, repair);
    }
    let context = Context::new(arguments, Chatter::Settings)?;
    let stop = stop_on_signals(&context.runtime, &context.line)?;
    let settings = &context.settings;
    let configured = Mirror::configured(&context, settings)?.ok_or_else(missing)?;
    let metrics = vec![configured.metrics().clone()];
    let _server = running::serve_telemetry(&context, &metrics)?;
    let mode = match mirror.until_end {
        true => RunMode::UntilEnd,
        false => RunMode::Forever,
    };
    let shown = (!arguments.quiet).then(|| running::show_progress(&context, metrics));
    let ready = configured.ready(&context);
    let mirrored = ready.and_then(|mirror| mirror.run(mode, stop.subscribe()));
    if let Some(shown) = shown {
        shown.abort();
        context.line.show("");
    }
    let summary = mirrored?;
    match arguments.output {
        Output::Text => print(&summary_in_words(&summary)),
        Output::Json => print_json(&summary),
    }
}

fn summary_in_words(summary: &mirror::Summary) -> String {
    let mut text = format!(
        "mirrored {} documents by {} transactions",
        count(summary.documents),
        count(summary.transactions)
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

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        Self::new(Exit::Usage, super::exit::with_causes(&error))
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        let exit = match error.kind {
            FailureKind::Fenced => Exit::Fenced,
            FailureKind::Transient | FailureKind::Denied | FailureKind::Unfit => Exit::Store,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Source(error) => error.into(),
            MirrorError::Database(error) => error.into(),
            MirrorError::DrainTimeout(_) => Self::new(Exit::Interrupted, error.to_string()),
        }
    }
}
