//! Many seeds, as many as one likes, and one seed again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lake_writer::clock::{Clock, SystemClock};

use super::world::{Ran, run};

/// Seeds of a plain test run.
const SEEDS: u64 = 2_000;
/// Lines of the trace that a failure shows.
const SHOWN: usize = 80;

/// Figures of many runs.
#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    steps: u64,
    calls: u64,
    commits: u64,
    claims: u64,
    takeovers: u64,
    checkpoints: u64,
    replacements: u64,
    rows: u64,
    events: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, ran: &Ran) {
        self.seeds += 1;
        self.steps += ran.steps;
        self.calls += ran.calls;
        self.commits += ran.seen.commits;
        self.claims += ran.seen.claims;
        self.takeovers += ran.seen.takeovers;
        self.checkpoints += ran.seen.checkpoints;
        self.replacements += ran.seen.replacements;
        self.rows += ran.seen.rows;
        for (event, times) in &ran.events {
            *self.events.entry(event).or_default() += times;
        }
    }

    fn text(&self, seconds: f64) -> String {
        let rate = self.seeds as f64 / seconds.max(0.001);
        let mut text = format!(
            "{} seeds ({rate:.1} a second), {} steps, {} calls to the store, {} commits, {} claims, \
             {} takeovers, {} checkpoints, {} replacements, {} rows and dead letters\n",
            self.seeds,
            self.steps,
            self.calls,
            self.commits,
            self.claims,
            self.takeovers,
            self.checkpoints,
            self.replacements,
            self.rows
        );
        for (event, times) in &self.events {
            let _ = writeln!(text, "  {times:>10}  {event}");
        }
        text
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not `{value}`")),
    )
}

/// Runs a seed again with its trace, and says what happened and how to see it again.
fn tell(seed: u64) -> String {
    let again = run(seed, true);
    let lines = again.trace.len();
    let all = std::env::var("TRACE").is_ok_and(|trace| trace == "all");
    let from = if all {
        1
    } else {
        lines.saturating_sub(SHOWN).max(1)
    };
    let mut text = again.trace[..lines.min(1)].join("\n");
    let _ = writeln!(text, "\n… {from} lines …");
    text.push_str(&again.trace[from.min(lines)..].join("\n"));
    let failure = again
        .failure
        .unwrap_or_else(|| "it does not fail again: the trace is not one of the seed alone".into());
    let _ = write!(
        text,
        "\n\nseed {seed}: {failure}\n\nreplay with: SEED={seed} make simulate  (TRACE=all for every line)\n"
    );
    text
}

/// What a number of threads work on together.
#[derive(Debug)]
struct Work {
    clock: SystemClock,
    next: AtomicU64,
    end: u64,
    /// Seeds after which the figures are said.
    every: u64,
    totals: Mutex<Totals>,
    failed: Mutex<Option<u64>>,
}

impl Work {
    /// Runs seeds until all are done or one has failed.
    fn work(&self) {
        while lock(&self.failed).is_none() {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let ran = run(seed, false);
            let mut totals = lock(&self.totals);
            totals.add(&ran);
            if totals.seeds.is_multiple_of(self.every) {
                self.say(&totals);
            }
            if ran.failure.is_some() {
                lock(&self.failed).get_or_insert(seed);
            }
        }
    }

    fn say(&self, totals: &Totals) {
        eprint!("{}", totals.text(self.clock.monotonic().as_secs_f64()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs seeds from `first` on, on all cores, until `most` are done or one fails.
fn run_seeds(first: u64, most: u64, every: u64) {
    let work = Work {
        clock: SystemClock::new(),
        next: AtomicU64::new(first),
        end: first.saturating_add(most),
        every,
        totals: Mutex::default(),
        failed: Mutex::default(),
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work.work());
        }
    });
    work.say(&lock(&work.totals));
    let failed = *lock(&work.failed);
    if let Some(seed) = failed {
        panic!("{}", tell(seed));
    }
}

/// `SEED=7` replays one, `SEEDS=100000` runs as many, from `FROM=…` on, with figures `EVERY` so many.
#[test]
fn every_seed_keeps_the_promise() {
    if let Some(seed) = variable("SEED") {
        let told = tell(seed);
        assert!(run(seed, false).failure.is_none(), "{told}");
        eprintln!("{told}");
        return;
    }
    // GIVEN writers in a world where anything can go wrong WHEN it has, and all is calm again, THEN
    // a reader has found every message once, at any time no more than that, and nothing is left.
    run_seeds(
        variable("FROM").unwrap_or(0),
        variable("SEEDS").unwrap_or(SEEDS),
        variable("EVERY").unwrap_or(u64::MAX),
    );
}

#[test]
fn one_seed_is_one_trace() {
    for seed in 0..20 {
        // GIVEN a seed WHEN it runs twice THEN everything happens in the same order.
        let (one, other) = (run(seed, false), run(seed, true));
        assert_eq!(
            (one.steps, one.hash),
            (other.steps, other.hash),
            "seed {seed}"
        );
    }
}
