//! Time, injected: everything that asks what time it is takes a [`Clock`].
//!
//! machine's clock ──► Clock ──► live event times, pacing, progress, rates
//!
//! Owns the two clocks of the machine. Does not own what is done with them.

use std::fmt::Debug;
use std::time::Duration;

/// Wall clock, monotonic clock and sleep.
pub trait Clock: Debug + Send + Sync {
    /// Microseconds since the epoch, UTC. May jump.
    fn wall_us(&self) -> i64;
    /// Time since an arbitrary fixed moment. Never goes back.
    fn monotonic(&self) -> Duration;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods)] // The one place where the machine's clock enters.
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // The one place where the machine's clock enters.
    fn wall_us(&self) -> i64 {
        let now = std::time::SystemTime::now();
        match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A clock that stands still until it is told to go on: for tests and replays.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_us: std::sync::atomic::AtomicI64,
    elapsed_us: std::sync::atomic::AtomicU64,
}

impl ManualClock {
    /// A clock that shows `wall_us`, microseconds since the epoch.
    pub fn at(wall_us: i64) -> Self {
        Self {
            wall_us: wall_us.into(),
            elapsed_us: 0.into(),
        }
    }

    /// Lets both clocks go on.
    pub fn advance(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.elapsed_us
            .fetch_add(us, std::sync::atomic::Ordering::Relaxed);
        let signed = i64::try_from(us).unwrap_or(i64::MAX);
        self.wall_us
            .fetch_add(signed, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall_us(&self) -> i64 {
        self.wall_us.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.elapsed_us.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Sleeping is what makes time pass on this clock.
    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}
