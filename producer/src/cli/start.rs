//! From the command line to the exit code.
//!
//! Args ──► Plan ──► parts put together ──► run ──► summary
//!
//! Owns the wiring and what is printed where. The summary goes to standard output, unless the
//! messages do; progress and errors go to standard error.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;

use super::args::{Args, Command};
use super::plan::{FormatPlan, OriginPlan, Plan, SummaryPlan, Target};
use crate::clock::Clock;
use crate::company::till::Till;
use crate::deliver::{DeliverError, KafkaSink, LineSink, NowhereSink, Sink};
use crate::encode::{AvroEncoder, Encoder, JsonEncoder, Layout, LayoutError};
use crate::exit;
use crate::progress::Progress;
use crate::replay::{Replay, ReplayError};
use crate::run::{RunReport, Tools, run};
use crate::stop::Stop;
use crate::stream::{KeyBy, Origin, Stream};
use crate::summary::{Identity, Outcome, Summary, chain};

/// What the program gets from the machine it runs on.
#[derive(Debug)]
pub struct Surroundings {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The wish to stop; set by signals.
    pub stop: Arc<Stop>,
    /// Seed of a run that is given none.
    pub fallback_seed: u64,
}

/// Does what the command line says and returns the exit code (see [`exit`]).
pub fn start(args: &Args, surroundings: &Surroundings) -> u8 {
    if let Some(Command::Completions { shell }) = args.command {
        return print_completions(shell);
    }
    let plan = match Plan::new(
        args,
        Arc::clone(&surroundings.clock),
        surroundings.fallback_seed,
    ) {
        Ok(plan) => plan,
        Err(error) => return complain(&chain(&error), exit::USAGE),
    };
    match execute(plan, surroundings) {
        Ok(code) => code,
        Err(StartError::Deliver(error)) => complain(&chain(&error), exit::of_delivery(&error)),
        Err(StartError::Replay(error)) => complain(&chain(&error), exit::INPUT),
        Err(StartError::Layout(error)) => complain(&chain(&error), exit::INPUT),
    }
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

fn execute(plan: Plan, surroundings: &Surroundings) -> Result<u8, StartError> {
    let layout = Layout::shipped()?;
    let encoder = match plan.format {
        FormatPlan::Json(style, decimals) => {
            Encoder::Json(JsonEncoder::new(&layout, style, decimals, plan.stream.seed))
        }
        FormatPlan::Avro => Encoder::Avro(AvroEncoder::new(layout)),
    };
    let origin = match plan.origin {
        OriginPlan::Company(settings) => Origin::Company(Box::new(Till::new(settings))),
        OriginPlan::File(settings) => Origin::File(Box::new(Replay::open(settings)?)),
    };
    let topic = match &plan.target {
        Target::Kafka(settings) => Some(settings.topic.clone()),
        Target::Lines | Target::Nowhere => None,
    };
    let writes_lines = matches!(plan.target, Target::Lines);
    let mut sink = open_sink(plan.target, surroundings)?;
    let mut stream = Stream::new(origin, encoder, plan.stream);
    let stderr = std::io::stderr();
    let progress = if plan.summary.quiet {
        Progress::silent()
    } else {
        let is_terminal = stderr.is_terminal();
        Progress::on(Box::new(stderr), is_terminal)
    };
    let tools = Tools {
        clock: surroundings.clock.as_ref(),
        stop: &surroundings.stop,
        progress,
    };
    let report = run(&mut stream, sink.as_mut(), &plan.run, tools);
    let identity = Identity {
        topic,
        partitions: sink.partitions(),
        format: match plan.format {
            FormatPlan::Json(..) => "json",
            FormatPlan::Avro => "avro",
        },
        key: match plan.stream.key {
            KeyBy::Store => "store_id",
            KeyBy::Sale => "sale_id",
            KeyBy::Nothing => "none",
        },
        seed: plan.stream.seed,
        time_zone: plan.run.zone.name().to_owned(),
    };
    let (skipped, first_skipped) = stream.skipped();
    if let Some(first) = first_skipped {
        complain(
            &format!("{skipped} lines skipped, the first: {first}"),
            exit::DONE,
        );
    }
    let summary = Summary::new(identity, &report, skipped);
    let written = write_summary(&summary, &plan.summary, writes_lines);
    Ok(exit_code(&report, &summary, written))
}

fn open_sink(target: Target, surroundings: &Surroundings) -> Result<Box<dyn Sink>, DeliverError> {
    Ok(match target {
        Target::Lines => Box::new(LineSink::new(std::io::stdout())),
        Target::Nowhere => Box::new(NowhereSink),
        Target::Kafka(settings) => Box::new(KafkaSink::connect(
            &settings,
            Arc::clone(&surroundings.clock),
            Arc::clone(&surroundings.stop),
        )?),
    })
}

fn exit_code(report: &RunReport, summary: &Summary, written: Result<(), u8>) -> u8 {
    if let Some(error) = &report.failure {
        return complain(&chain(error), exit::of_run(error));
    }
    if summary.outcome == Outcome::Failed {
        let undelivered = report.deliveries.undelivered;
        let text = format!("{undelivered} messages were not delivered; see the summary");
        return complain(&text, exit::UNDELIVERED);
    }
    written.err().unwrap_or(exit::DONE)
}

/// Writes the summary where it is to go; the code of the failure if it cannot.
fn write_summary(summary: &Summary, plan: &SummaryPlan, stdout_is_taken: bool) -> Result<(), u8> {
    let json = || {
        summary
            .json()
            .map_err(|error| complain(&chain(&error), exit::OUTPUT))
    };
    if let Some(path) = &plan.file {
        write_whole(path, &json()?).map_err(|error| {
            let text = format!("failed to write the summary to {}: {error}", path.display());
            complain(&text, exit::OUTPUT)
        })?;
    }
    let text = if plan.json {
        format!("{}\n", json()?)
    } else if plan.quiet {
        return Ok(());
    } else {
        summary.to_string()
    };
    let written = if stdout_is_taken {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
    written.map_err(|error| {
        complain(
            &format!("failed to print the summary: {error}"),
            exit::OUTPUT,
        )
    })
}

/// Writes a file so that a reader finds all of it or nothing new.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn print_completions(shell: clap_complete::Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "sales-producer", &mut text);
    match std::io::stdout().write_all(&text) {
        Ok(()) => exit::DONE,
        Err(error) => complain(
            &format!("failed to print the completions: {error}"),
            exit::OUTPUT,
        ),
    }
}

/// Says what is wrong on standard error and hands the code on.
fn complain(text: &str, code: u8) -> u8 {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "sales-producer: {text}");
    code
}
