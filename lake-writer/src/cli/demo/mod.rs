//! `demo`: sales through an embedded broker into Parquet on disk, before one's eyes.
//!
//! ```text
//! company (sales-producer) ─► embedded broker ─► the writer, as `run` has it ─► <dir>/sales
//!                                                   │                            │
//!                                │                  └────────► screen ◄──────────┘ ─► DuckDB
//!                                └─► the mirror, where `--set mirror.mongodb.uri=…` names a MongoDB
//! ```
//!
//! Owns: the scenery. The writer, its commits and its files are those of `run`.
//! Does not own: anything that a reader should rely on; the broker forgets all when it ends.

mod broker;
mod company;
mod lake;
mod screen;
mod query;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::mirror::{self, Mirror, Mirrored};
use super::open;
use super::run::{assemble, drive};
use super::signals::stop_on_signals;
use crate::clock::Chance;
use crate::member::{RunMode, Stop};
use crate::settings::{Sources, load};
use crate::store::Store;
use crate::store::probe::probe;
use crate::telemetry::{Metrics, health};
use crate::writer::Summary;

use broker::EmbeddedBroker;
use company::Company;
use lake::Lake;
use report::Report;
use screen::{Screen, Sight};

/// Partitions for a slow demo.
const FEWEST_PARTITIONS: u32 = 8;
/// The broker keeps 5 MiB of a partition: at this rate seven seconds of sales, which the writer may
/// be behind.
const RATE_PER_PARTITION: u32 = 2_500;
const TOPIC: &str = "sales";
/// The definition of a sale, put beside the lake so that other commands find it.
const SCHEMA: &str = include_str!("../../../../schemas/sale.avsc");
/// How often the screen is drawn on a terminal, and elsewhere a line written.
const DRAW_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(1);
/// How long the writer may take to join its group and claim the partitions.
const GET_READY: Duration = Duration::from_secs(60);
/// How long the writer may take to read what was sent, once nothing more is.
const CATCH_UP: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// How long sales are made, such as 30s or 5m
    #[arg(long, default_value = "30s", value_parser = duration)]
    duration: Duration,

    /// Sales a second
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,

    /// Folder of the lake; a second demo goes on with it
    #[arg(long, default_value = "demo-lake")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments, demo: &DemoArguments) -> Result<(), Failure> {
    let dir = prepare_folder(&demo.dir)?;
    let broker = EmbeddedBroker::start(TOPIC, partitions(demo.rate))
        .map_err(|error| Failure::of(Exit::Source, "start the embedded broker", &error))?;
    let context = context(arguments, &dir, &broker)?;
    let told = stop_on_signals(&context.runtime, &context.line)?.subscribe();
    let metrics = Arc::new(Metrics::new(&context.settings.table.url));
    let mirror = start_mirror(&context)?;
    let (store, writer) = start_writer(&context, &metrics)?;
    wait_until_ready(&context, &metrics, &writer);
    let company = Company::open(&broker.bootstrap_servers(), TOPIC, demo.rate)?;

    let mut stage = Stage {
        lake: Lake::new(store),
        screen: Screen::new(arguments.output, arguments.quiet),
        context,
        metrics,
        company,
        writer,
        mirror,
        told,
        demo,
    };
    let length = stage.play()?;
    let report = stage.end(length)?;
    report.show(arguments.output)
}

/// Makes the folder and puts the schema and a settings file into it, so that `log` or `config`
/// can be tried on the lake afterwards.
fn prepare_folder(dir: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        Failure::of(
            Exit::Store,
            &format!("use the folder `{}`", dir.display()),
            &error,
        )
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let dir = dir.canonicalize().map_err(failed)?;
    std::fs::write(dir.join("sale.avsc"), SCHEMA).map_err(failed)?;
    let url = toml::Value::String(lake_url(&dir));
    let settings =
        format!("# Written by `lake-writer demo`.\n[table]\nurl = {url}\nschema = \"sale.avsc\"\n");
    std::fs::write(dir.join("lake-writer.toml"), settings).map_err(failed)?;
    Ok(dir)
}

fn lake_url(dir: &Path) -> String {
    format!("file://{}/sales", dir.display())
}

/// Settings for trying out: everything as it is by default, but commits every few seconds.
fn context(arguments: &Arguments, dir: &Path, broker: &EmbeddedBroker) -> Result<Context, Failure> {
    let mut flags = vec![
        format!(
            "source.kafka.bootstrap_servers={}",
            broker.bootstrap_servers()
        ),
        format!("source.kafka.topic={TOPIC}"),
        "source.kafka.group_id=lake-writer-demo".into(),
        "rotation.max_age_ms=3000".into(),
    ];
    flags.extend(arguments.set.iter().cloned());
    let sources = Sources {
        file: Some(dir.join("lake-writer.toml")),
        env: Vec::new(),
        flags,
    };
    Context::with_settings(arguments, load(&sources)?.settings, Chatter::Little)
}

/// The writer on a thread of its own, and the way to stop it.
struct Writer {
    thread: JoinHandle<Result<Summary, Failure>>,
    stop: watch::Sender<Stop>,
}

fn start_writer(
    context: &Context,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Store>, Writer), Failure> {
    let table = open::table(&context.settings)?;
    let store = open::store(&context.settings)?;
    let mut chance = Chance::from_entropy();
    context
        .runtime
        .block_on(probe(store.as_ref(), &chance.hex_id()))?;
    let mut source = open::source(&context.settings, &context.clock)?;
    // Every demo has a broker of its own, so its topic is a new one to a lake that is gone on with.
    let topic = source.identify()?;
    let settings = &context.settings;
    let mut parts = assemble(
        context,
        settings,
        &table,
        store.clone(),
        source,
        metrics,
        chance,
    );
    parts.accept_topic_id = Some(topic.topic_id);
    let (stop, stopped) = watch::channel(Stop::Go);
    let thread = std::thread::spawn(move || drive(parts, RunMode::Forever, stopped));
    Ok((store, Writer { thread, stop }))
}

/// The mirror on a thread of its own, and how far it is.
struct RunningMirror {
    thread: JoinHandle<Mirrored>,
    stop: watch::Sender<Stop>,
    metrics: Arc<Metrics>,
}

/// The mirror, if a database was named. The broker being a new one, so must be the collection: the
/// checkpoints of another topic would refuse this one.
fn start_mirror(context: &Context) -> Result<Option<RunningMirror>, Failure> {
    let Some(mirror) = Mirror::configured(context, &context.settings)? else {
        return Ok(None);
    };
    let metrics = mirror.metrics().clone();
    let ready = mirror.ready(context)?;
    let (stop, stopped) = watch::channel(Stop::Go);
    let thread = std::thread::spawn(move || {
        let mirrored = ready.run(RunMode::Forever, stopped);
        if let Err(failure) = &mirrored {
            tracing::error!(%failure, "the mirror has stopped; the lake goes on");
        }
        mirrored
    });
    Ok(Some(RunningMirror {
        thread,
        stop,
        metrics,
    }))
}

/// Sales begin when they are waited for: what the broker keeps is little. A writer that does not
/// get so far says why when it is joined.
fn wait_until_ready(context: &Context, metrics: &Metrics, writer: &Writer) {
    let until = context.clock.monotonic() + GET_READY;
    while health::ready(metrics).is_err()
        && !writer.thread.is_finished()
        && context.clock.monotonic() < until
    {
        std::thread::sleep(DRAW_EVERY / 10);
    }
}

fn partitions(rate: u32) -> i32 {
    let partitions = rate.div_ceil(RATE_PER_PARTITION).max(FEWEST_PARTITIONS);
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// Everything that moves while the demo runs.
struct Stage<'a> {
    context: Context,
    metrics: Arc<Metrics>,
    company: Company,
    writer: Writer,
    mirror: Option<RunningMirror>,
    told: watch::Receiver<Stop>,
    lake: Lake,
    screen: Screen,
    demo: &'a DemoArguments,
}

impl Stage<'_> {
    /// Sells until the time is over, somebody interrupts, or something ends early. Returns how
    /// long it was.
    fn play(&mut self) -> Result<Duration, Failure> {
        let began = self.context.clock.monotonic();
        loop {
            let elapsed = self.context.clock.monotonic() - began;
            self.look(elapsed)?;
            let interrupted = *self.told.borrow() == Stop::Drain;
            let ended = self.writer.thread.is_finished() || self.company.is_finished();
            if elapsed >= self.demo.duration || interrupted || ended {
                return Ok(elapsed);
            }
            let pause = if self.screen.is_terminal() {
                DRAW_EVERY
            } else {
                LINE_EVERY
            };
            std::thread::sleep(pause.min(self.demo.duration.saturating_sub(elapsed)));
        }
    }

    fn look(&mut self, elapsed: Duration) -> Result<(), Failure> {
        let lake = &mut self.lake;
        self.context.runtime.block_on(lake.catch_up())?;
        self.screen.draw(&Sight {
            elapsed,
            duration: self.demo.duration,
            rate: self.demo.rate,
            sent: self.company.sent(),
            writer: self.metrics.snapshot(),
            now_micros: self.context.clock.wall_micros(),
            folders: self.lake.folders(),
            lake: self.lake.root(),
        })
    }

    /// Closes the shop, lets the writer come to the end, and counts.
    fn end(mut self, length: Duration) -> Result<Report, Failure> {
        let sent = self.company.close()?;
        let until = self.context.clock.monotonic() + CATCH_UP;
        self.wait_for(&self.metrics, &self.writer.thread, sent.messages, until);
        // A writer that has ended by itself says why below.
        let _ = self.writer.stop.send(Stop::Drain);
        while !self.writer.thread.is_finished() {
            std::thread::sleep(DRAW_EVERY / 10);
        }
        if let Some(mirror) = &self.mirror {
            self.wait_for(&mirror.metrics, &mirror.thread, sent.messages, until);
            let _ = mirror.stop.send(Stop::Drain);
        }
        self.look(length)?;
        self.screen.finish()?;
        let summary = match self.writer.thread.join() {
            Ok(summary) => summary?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let mirrored = self.mirror.map(|mirror| match mirror.thread.join() {
            Ok(mirrored) => mirrored.map(|summary| mirror::told(&summary)),
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let data = self.lake.data_glob();
        Ok(Report {
            mirrored,
            seconds: length.as_secs_f64(),
            sent: sent.messages,
            malformed: sent.malformed,
            written: summary,
            lake_rows: self.lake.rows(),
            lake_files: self.lake.files(),
            lake: self.lake.root().to_owned(),
            settings_file: self.demo.dir.join("lake-writer.toml"),
            answer: query::ask(&query::text(&data)),
            query: query::text(&data),
        })
    }
}

impl Stage<'_> {
    /// Waits until so many messages are read, in vain if who reads them ends.
    fn wait_for<T>(
        &self,
        metrics: &Metrics,
        reader: &JoinHandle<T>,
        messages: u64,
        until: Duration,
    ) {
        while metrics.snapshot().consumed < messages
            && !reader.is_finished()
            && self.context.clock.monotonic() < until
        {
            std::thread::sleep(DRAW_EVERY / 10);
        }
    }
}

/// `90`, `90s`, `5m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("`{text}` is not a duration; write 30s, 5m or 1h");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3_600),
        _ => None,
    };
    seconds
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_demo_has_more_partitions() {
        assert_eq!(partitions(1), 8);
        assert_eq!(partitions(20_000), 8);
        assert_eq!(partitions(100_000), 40);
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3_600)));
        for wrong in ["", "s", "0", "1d", "-5s", "1.5m", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
