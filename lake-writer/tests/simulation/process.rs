//! A process: an engine on a thread of its own, and its tasks on a runtime of its own.
//!
//! ```text
//! start ─► turns of the engine, runs of its tasks ─► over by itself, or killed at any await
//! ```
//!
//! Owns: what a process is made of and how it ends. Its tasks move only when they are run, so that a
//! frozen process is one that nobody runs.
//! Does not own: calls that have left it, which live on in the network's runtime.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use lake_writer::batch::MemoryBudget;
use lake_writer::clock::Chance;
use lake_writer::member::{MemberParts, RunMode, Stop};
use lake_writer::settings::{self, Compression, FirstStart, Format};
use lake_writer::stage::Sorting;
use lake_writer::store::Store;
use lake_writer::store::fault::FaultStore;
use lake_writer::table::Schema;
use lake_writer::table::spec::Spec;
use lake_writer::telemetry::Metrics;
use lake_writer::writer::assemble::{CutMaker, Table};
use lake_writer::writer::{self, Summary, WriterError, WriterParts};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::source::MemberSource;
use super::time::ProcessClock;
use super::turn::{Handle, Killed, Pause, Seat, handover};
use super::world::Shared;

/// How an engine's thread ended, unless it was killed.
#[derive(Debug)]
pub(crate) enum Ended {
    Run(Result<Summary, WriterError>),
    Panicked(String),
}

pub(crate) type EngineSeat = Seat<Ended>;

/// One writer process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) budget: Arc<MemoryBudget>,
    /// When the engine's wait is over.
    pub(crate) due: Duration,
    /// Step at which it is run again after it was frozen.
    pub(crate) frozen_until: u64,
    pub(crate) off_micros: Arc<AtomicI64>,
    /// Whether its tasks may have something to do.
    pub(crate) woken: bool,
    tasks: Option<Runtime>,
    engine: Handle<Ended>,
    thread: Option<JoinHandle<()>>,
}

/// A runtime that moves only when it is run, through everything that is ready.
pub(crate) fn still_runtime() -> Runtime {
    Builder::new_current_thread()
        .event_interval(100_000)
        .build()
        .expect("a runtime without drivers")
}

/// Runs whatever is ready on a runtime.
pub(crate) fn run_ready(runtime: &Runtime) {
    runtime.block_on(tokio::task::yield_now());
}

impl Process {
    pub(crate) fn start(shared: &Shared, id: u32, mode: RunMode) -> Self {
        let tasks = still_runtime();
        let (engine, seat) = handover();
        let (stop, stopped) = watch::channel(Stop::Go);
        let off_micros = Arc::new(AtomicI64::new(0));
        let budget = MemoryBudget::new(shared.scenario.budget_bytes);
        let clock = Arc::new(ProcessClock::new(
            &shared.time,
            &off_micros,
            Some(seat.clone()),
        ));
        let parts = parts(shared, id, &tasks, &seat, clock, &budget);
        let thread = std::thread::Builder::new().name(format!("process {id}"));
        let thread = thread.spawn(move || {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                seat.begin();
                writer::run(parts, mode, stopped)
            }));
            match ran {
                Ok(result) => seat.over(Ended::Run(result)),
                Err(panic) if panic.is::<Killed>() => {}
                Err(panic) => seat.over(Ended::Panicked(panic_text(panic.as_ref()))),
            }
        });
        Self {
            id,
            stop,
            budget,
            due: shared.time.now(),
            frozen_until: 0,
            off_micros,
            woken: false,
            tasks: Some(tasks),
            engine,
            thread: Some(thread.expect("a thread")),
        }
    }

    /// Lets the engine run to its next wait. `Some` when it is over.
    pub(crate) fn turn(&mut self, now: Duration) -> Option<Ended> {
        self.woken = true;
        match self.engine.run() {
            Some(Pause::Waits(at_most)) => {
                self.due = now + at_most;
                None
            }
            Some(Pause::Over(ended)) => {
                self.join();
                Some(ended)
            }
            None => Some(Ended::Panicked("the engine's thread is gone".into())),
        }
    }

    /// Runs the tasks that are ready.
    pub(crate) fn run_tasks(&mut self) {
        self.woken = false;
        if let Some(tasks) = &self.tasks {
            run_ready(tasks);
        }
    }

    /// Ends the process where it stands: the engine at its wait, each task at its await.
    pub(crate) fn kill(&mut self) {
        self.engine.kill();
        self.join();
        self.tasks = None;
    }

    /// A process whose engine is over exits, whatever its tasks are doing.
    pub(crate) fn exit(&mut self) {
        self.tasks = None;
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.kill();
        }
    }
}

/// The store as a process reaches it.
pub(crate) fn client(shared: &Shared, process: u32) -> Arc<dyn Store> {
    let inner = Arc::new(shared.memory.clone());
    let faults = shared.network.of(process);
    Arc::new(FaultStore::detached(inner, faults, shared.requests.clone()))
}

fn parts(
    shared: &Shared,
    id: u32,
    tasks: &Runtime,
    seat: &EngineSeat,
    clock: Arc<ProcessClock>,
    budget: &Arc<MemoryBudget>,
) -> WriterParts {
    let store = client(shared, id);
    let metrics = Arc::new(Metrics::new("memory:"));
    let cuts = CutMaker {
        table: table().clone(),
        format: Format::Json,
        parquet: settings::Parquet {
            compression: Compression::None,
            ..settings::Parquet::default()
        },
        budget: Arc::clone(budget),
        store: store.clone(),
        runtime: tasks.handle().clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    shared.topic.brokers().group.join(id);
    WriterParts {
        member: MemberParts {
            name: "lake",
            source: Box::new(MemberSource {
                topic: shared.topic.clone(),
                oracle: shared.oracle.clone(),
                trace: shared.trace.clone(),
                seat: seat.clone(),
                process: id,
                reading: BTreeMap::new(),
                paused: false,
            }),
            drain_timeout: shared.scenario.drain_timeout,
            clock,
            chance: chance(shared, id),
            metrics,
            runtime: tasks.handle().clone(),
        },
        store,
        definition: table().definition(&table_settings()),
        make_cut: cuts.into_make_cut(),
        rotation: shared.scenario.rotation,
        first_start: FirstStart::Earliest,
        accept_topic_id: None,
        accept_lost_offsets: shared.scenario.accept_lost,
        upkeep: shared.scenario.upkeep,
    }
}

/// Ids of a process, none of which another has.
pub(crate) fn chance(shared: &Shared, process: u32) -> Chance {
    Chance::from_seed(shared.scenario.seed.wrapping_mul(1_000_003) ^ (u64::from(process) << 40))
}

pub(crate) fn table_settings() -> settings::Table {
    settings::Table {
        url: "memory:".into(),
        partition_by: vec!["region".into()],
        ..settings::Table::default()
    }
}

/// The table that all runs write.
pub(crate) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let schema = Schema::from_avsc(
            r#"{"type":"record","name":"Sale","fields":[
                {"name":"region","type":"string"},
                {"name":"amount","type":"long"}]}"#,
        )
        .expect("a schema");
        let spec = Spec::parse(&table_settings().partition_by, &schema, "UTC").expect("a spec");
        let sorting = Sorting::parse(&[], &schema).expect("no order");
        Table {
            schema: Arc::new(schema),
            spec: Arc::new(spec),
            sorting,
        }
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".into())
}
