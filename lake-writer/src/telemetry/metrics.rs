//! The figures of a running writer, cheap to set and read by anyone at any time.
//!
//! ```text
//! poll, commit ─► Metrics (atomics) ─┬─► encode: OpenMetrics text
//!                                    ├─► snapshot: the progress line, the demo's screen
//!                                    └─► health: /livez, /readyz
//! ```
//!
//! Owns: names, labels and units of every metric.
//! Does not own: the clock. The engine says what time it is when it polls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};
use prometheus_client::registry::{Registry, Unit};

use super::event::{Away, CommitReport, EngineState, Phase};
use crate::decode::RejectReason;

/// One label whose values are known when the program is compiled.
type NamedLabel = [(&'static str, &'static str); 1];
/// The label `partition`.
type PartitionLabel = [(&'static str, i32); 1];

/// The figures that people look at while the writer runs, read at one moment. Counters since the
/// start of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What the engine is doing.
    pub state: EngineState,
    /// Messages read and decoded or rejected, read again after a restart of the engine included.
    pub consumed: u64,
    /// Rows of published commits.
    pub rows: u64,
    /// Dead letters of published commits.
    pub dead_letters: u64,
    /// Data files of published commits.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Published commits.
    pub commits: u64,
    /// Messages between what was read and the high watermarks, over all partitions of ours.
    pub lag: i64,
    /// Bytes of rows held.
    pub held_bytes: u64,
    /// Bytes encoded and not yet sent.
    pub encoded_bytes: u64,
    /// When the last commit record was put, microseconds since the epoch; `None` before the first.
    pub last_commit_micros: Option<i64>,
    /// Whether the brokers are out of reach.
    pub source_away: bool,
    /// Whether the store is out of reach.
    pub store_away: bool,
}

impl Snapshot {
    /// Figures of two tables that one process writes: counts added up, the state of the one that
    /// is less far, the older of the last commits.
    pub fn and(self, other: &Self) -> Self {
        Self {
            state: if other.state == EngineState::Running {
                self.state
            } else {
                other.state
            },
            consumed: self.consumed + other.consumed,
            rows: self.rows + other.rows,
            dead_letters: self.dead_letters + other.dead_letters,
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            commits: self.commits + other.commits,
            lag: self.lag + other.lag,
            held_bytes: self.held_bytes + other.held_bytes,
            encoded_bytes: self.encoded_bytes + other.encoded_bytes,
            last_commit_micros: self.last_commit_micros.min(other.last_commit_micros),
            source_away: self.source_away || other.source_away,
            store_away: self.store_away || other.store_away,
        }
    }
}

/// All metrics of one engine. Shared; every method may be called from any thread.
#[derive(Debug)]
pub struct Metrics {
    table: String,
    registry: Registry,
    intake: Intake,
    commits: Commits,
    engine: Engine,
}

#[derive(Debug, Default)]
struct Intake {
    consumed: Counter,
    dead_letters: Family<NamedLabel, Counter>,
    /// The counters' values once more, by name of the reason: a family cannot be listed.
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    tombstones: Counter,
    unknown_fields: Counter,
    /// The gauges' values once more: a family cannot be summed.
    lags: Mutex<BTreeMap<i32, i64>>,
    lag_rows: Family<PartitionLabel, Gauge>,
    lag_seconds: Family<PartitionLabel, Gauge<f64, AtomicU64>>,
}

#[derive(Debug)]
struct Commits {
    commits: Counter,
    rows: Counter,
    bytes: Counter,
    files: Counter,
    dead_letters: Counter,
    tombstones: Counter,
    lost_races: Counter,
    last_record: Gauge,
    last_seconds: Gauge<f64, AtomicU64>,
    last_micros: AtomicI64,
    phases: Family<NamedLabel, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Default)]
struct Engine {
    held: Gauge,
    encoded: Gauge,
    budget: Gauge,
    resident: Gauge,
    away: Family<NamedLabel, Gauge>,
    source_away: AtomicBool,
    store_away: AtomicBool,
    restarts: Family<NamedLabel, Counter>,
    states: Family<NamedLabel, Gauge>,
    state: AtomicU8,
    /// Milliseconds of the injected monotonic clock at the last turn of the loop.
    ticked_ms: AtomicU64,
}

/// 1 ms to 131 s, doubling: a record on a local disk takes one, a large publish on S3 some ten
/// thousand.
fn phase_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

impl Metrics {
    /// All figures at zero, for the table at `table_url` (without credentials), which labels them.
    pub fn new(table_url: &str) -> Self {
        let mut registry = Registry::with_prefix_and_labels(
            "lake_writer",
            std::iter::once(("table".into(), table_url.to_owned().into())),
        );
        let metrics = Self {
            table: table_url.to_owned(),
            intake: Intake::registered(&mut registry),
            commits: Commits::registered(&mut registry),
            engine: Engine::registered(&mut registry),
            registry,
        };
        for reason in [Away::Source, Away::Store] {
            metrics.away(reason, false);
        }
        metrics.state(EngineState::Starting);
        metrics
    }

    /// The table's URL, without credentials.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// So many more messages were read and decoded or rejected.
    pub fn consumed(&self, messages: u64) {
        self.intake.consumed.inc_by(messages);
    }

    /// The loop of the engine turned at this moment of its monotonic clock.
    pub fn polled(&self, now: Duration) {
        self.engine.ticked_ms.store(millis(now), Relaxed);
    }

    /// So many more messages were rejected for this reason.
    pub fn dead_letters(&self, reason: RejectReason, messages: u64) {
        let mut rejected = self.intake.rejected();
        *rejected.entry(reason.as_str()).or_default() += messages;
        drop(rejected);
        self.intake
            .dead_letters
            .get_or_create(&[("reason", reason.as_str())])
            .inc_by(messages);
    }

    /// Messages rejected so far, by name of the reason.
    pub fn rejected(&self) -> BTreeMap<&'static str, u64> {
        self.intake.rejected().clone()
    }

    /// So many more messages had no value.
    pub fn tombstones(&self, messages: u64) {
        self.intake.tombstones.inc_by(messages);
    }

    /// So many more fields were seen that the schema does not have.
    pub fn unknown_fields(&self, fields: u64) {
        self.intake.unknown_fields.inc_by(fields);
    }

    /// A source partition of ours is so many messages behind its high watermark.
    pub fn lag(&self, partition: i32, messages: i64) {
        self.intake.lags().insert(partition, messages);
        self.intake
            .lag_rows
            .get_or_create(&[("partition", partition)])
            .set(messages);
    }

    /// The last message read from a source partition of ours is so old; zero once the reader stands
    /// at the end.
    pub fn lag_age(&self, partition: i32, age: Duration) {
        self.intake
            .lag_seconds
            .get_or_create(&[("partition", partition)])
            .set(age.as_secs_f64());
    }

    /// These source partitions are no longer ours: another writer reports their lag.
    pub fn released(&self, partitions: &[i32]) {
        for partition in partitions {
            self.intake.lags().remove(partition);
            self.intake.lag_rows.remove(&[("partition", *partition)]);
            self.intake.lag_seconds.remove(&[("partition", *partition)]);
        }
    }

    /// A commit was published.
    pub fn committed(&self, report: &CommitReport) {
        let commits = &self.commits;
        commits.commits.inc();
        commits.rows.inc_by(report.rows);
        commits.bytes.inc_by(report.bytes);
        commits.files.inc_by(report.files);
        commits.dead_letters.inc_by(report.dead_letters);
        commits.tombstones.inc_by(report.tombstones);
        commits.last_record.set(signed(report.record));
        // Exact to the microsecond until the year 2255: 2^53 microseconds.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        commits.last_seconds.set(report.at_micros as f64 / 1e6);
        commits.last_micros.store(report.at_micros, Relaxed);
    }

    /// A phase took so long.
    pub fn phase(&self, phase: Phase, took: Duration) {
        self.commits
            .phases
            .get_or_create(&[("phase", phase.as_str())])
            .observe(took.as_secs_f64());
    }

    /// Another writer put the log record that this one was about to put.
    pub fn lost_race(&self) {
        self.commits.lost_races.inc();
    }

    /// Bytes of rows held, and of encoded files not yet sent.
    pub fn memory(&self, held: u64, encoded: u64) {
        self.engine.held.set(signed(held));
        self.engine.encoded.set(signed(encoded));
    }

    /// The limit that both together may reach.
    pub fn budget(&self, bytes: u64) {
        self.engine.budget.set(signed(bytes));
    }

    /// Something went out of reach or came back.
    pub fn away(&self, what: Away, away: bool) {
        match what {
            Away::Source => &self.engine.source_away,
            Away::Store => &self.engine.store_away,
        }
        .store(away, Relaxed);
        self.engine
            .away
            .get_or_create(&[("what", what.as_str())])
            .set(i64::from(away));
    }

    /// The engine dropped its open cut and began again from the log, for this cause: a fixed word.
    pub fn restart(&self, cause: &'static str) {
        self.engine
            .restarts
            .get_or_create(&[("cause", cause)])
            .inc();
    }

    /// The engine is doing this now.
    pub fn state(&self, now: EngineState) {
        self.engine.state.store(now as u8, Relaxed);
        for state in EngineState::ALL {
            self.engine
                .states
                .get_or_create(&[("state", state.as_str())])
                .set(i64::from(state == now));
        }
    }

    /// Moment of the engine's monotonic clock at which its loop last turned.
    pub fn last_polled(&self) -> Duration {
        Duration::from_millis(self.engine.ticked_ms.load(Relaxed))
    }

    /// The figures that people look at.
    pub fn snapshot(&self) -> Snapshot {
        let commits = &self.commits;
        let engine = &self.engine;
        let last_micros = commits.last_micros.load(Relaxed);
        Snapshot {
            state: EngineState::from_code(engine.state.load(Relaxed)),
            consumed: self.intake.consumed.get(),
            rows: commits.rows.get(),
            dead_letters: commits.dead_letters.get(),
            files: commits.files.get(),
            bytes: commits.bytes.get(),
            commits: commits.commits.get(),
            lag: self.intake.lags().values().sum(),
            held_bytes: unsigned(engine.held.get()),
            encoded_bytes: unsigned(engine.encoded.get()),
            last_commit_micros: (last_micros != 0).then_some(last_micros),
            source_away: engine.source_away.load(Relaxed),
            store_away: engine.store_away.load(Relaxed),
        }
    }

    /// Everything in the OpenMetrics text format, with the process's own memory as it is now.
    pub fn encode(&self) -> String {
        if let Some(bytes) = super::process::resident_bytes() {
            self.engine.resident.set(signed(bytes));
        }
        let mut text = String::with_capacity(8 << 10);
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

impl Intake {
    fn registered(registry: &mut Registry) -> Self {
        let intake = Self::default();
        registry.register(
            "messages_consumed",
            "Messages read and decoded or rejected",
            intake.consumed.clone(),
        );
        registry.register(
            "messages_rejected",
            "Messages that cannot be a row, by reason",
            intake.dead_letters.clone(),
        );
        registry.register(
            "tombstones_consumed",
            "Messages without a value",
            intake.tombstones.clone(),
        );
        registry.register(
            "unknown_fields",
            "Fields seen in messages that the schema does not have",
            intake.unknown_fields.clone(),
        );
        registry.register(
            "lag_messages",
            "Messages between what was read and the high watermark",
            intake.lag_rows.clone(),
        );
        registry.register_with_unit(
            "lag",
            "Age of the last message that was read, zero at the end of the partition",
            Unit::Seconds,
            intake.lag_seconds.clone(),
        );
        intake
    }

    fn rejected(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lags(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    fn registered(registry: &mut Registry) -> Self {
        let commits = Self {
            commits: Counter::default(),
            rows: Counter::default(),
            bytes: Counter::default(),
            files: Counter::default(),
            dead_letters: Counter::default(),
            tombstones: Counter::default(),
            lost_races: Counter::default(),
            last_record: Gauge::default(),
            last_seconds: Gauge::default(),
            last_micros: AtomicI64::new(0),
            phases: Family::new_with_constructor(phase_buckets),
        };
        for (name, help, counter) in [
            ("commits", "Published commits", &commits.commits),
            ("rows_committed", "Rows of published commits", &commits.rows),
            (
                "bytes_committed",
                "Bytes of data files of published commits",
                &commits.bytes,
            ),
            (
                "files_committed",
                "Data files of published commits",
                &commits.files,
            ),
            (
                "dead_letters_committed",
                "Dead letters of published commits",
                &commits.dead_letters,
            ),
            (
                "tombstones_committed",
                "Tombstones covered by published commits",
                &commits.tombstones,
            ),
            (
                "log_races_lost",
                "Log records that another writer put first",
                &commits.lost_races,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "last_commit_record",
            "Number of the last commit record",
            commits.last_record.clone(),
        );
        registry.register_with_unit(
            "last_commit_timestamp",
            "When the last commit record was put, since the epoch",
            Unit::Seconds,
            commits.last_seconds.clone(),
        );
        registry.register_with_unit(
            "phase_duration",
            "How long each phase of commits and starts took",
            Unit::Seconds,
            commits.phases.clone(),
        );
        commits
    }
}

impl Engine {
    fn registered(registry: &mut Registry) -> Self {
        let engine = Self::default();
        for (name, help, gauge) in [
            ("memory_held", "Rows held", &engine.held),
            (
                "memory_encoded",
                "Encoded and not yet sent",
                &engine.encoded,
            ),
            ("memory_budget", "Limit of both together", &engine.budget),
            (
                "process_resident",
                "Memory of the process",
                &engine.resident,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        registry.register(
            "away",
            "1 while the source or the store is out of reach",
            engine.away.clone(),
        );
        registry.register(
            "engine_restarts",
            "Times the engine dropped its open cut and began again from the log, by cause",
            engine.restarts.clone(),
        );
        registry.register(
            "engine_state",
            "1 for what the engine is doing, 0 for the others",
            engine.states.clone(),
        );
        engine
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests;
