//! Time and chance, injected, so that every run can be replayed from a seed.
//!
//! Owns: the two places where the real clock and real randomness enter the process.
//! Does not own: time zones (see `partition`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Where the process takes the time from.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Wall clock, microseconds since the epoch in UTC. May jump; never used to decide order.
    fn wall_micros(&self) -> i64;

    /// Time since some fixed moment; never goes backwards. For ages and timeouts.
    fn monotonic(&self) -> Duration;

    /// Keeps the calling thread waiting.
    fn sleep(&self, duration: Duration);

    /// Becomes ready after a while, and keeps no thread.
    fn pass(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock enters"
    )]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock enters"
    )]
    fn wall_micros(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn pass(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Identifiers and jitter, from one seed.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    /// A generator whose every draw follows from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A generator seeded by the operating system.
    pub fn from_entropy() -> Self {
        Self(StdRng::from_os_rng())
    }

    /// A generator of its own for a part of the process, drawn from this one.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.0.random())
    }

    /// 16 lower-case hexadecimal characters, for sessions, nonces and file names.
    pub fn hex_id(&mut self) -> String {
        format!("{:016x}", self.0.random::<u64>())
    }

    /// A duration up to `most`: keeps apart what many writers do at the same interval.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.0.random_range(0.0..=1.0))
    }

    /// A duration between half of `base` and `base`: spreads retries of many writers.
    pub fn jitter(&mut self, base: Duration) -> Duration {
        base.mul_f64(self.0.random_range(0.5..=1.0))
    }
}
