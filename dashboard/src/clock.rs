//! Time, injected, so that a page can be shown as it is at a moment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the process takes the time from.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Wall clock, milliseconds since the epoch in UTC. May jump.
    fn wall_ms(&self) -> i64;

    /// Time since some fixed moment; never goes backwards. For ages and timeouts.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock, or one whose wall clock stands still.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    fixed_ms: Option<i64>,
}

impl SystemClock {
    /// A clock whose wall clock always says `fixed_ms`, if there is one.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock enters"
    )]
    pub fn shared(fixed_ms: Option<i64>) -> Arc<dyn Clock> {
        Arc::new(Self {
            started: Instant::now(),
            fixed_ms,
        })
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock enters"
    )]
    fn wall_ms(&self) -> i64 {
        self.fixed_ms.unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                })
        })
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
