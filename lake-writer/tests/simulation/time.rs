//! Time that moves when the scheduler says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use lake_writer::clock::Clock;

use super::process::EngineSeat;

/// Begin of all runs, 2026-01-31T12:00:00Z.
const BEGIN_MICROS: i64 = 1_769_860_800_000_000;

/// The time of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Moves on to `then`; never back.
    pub(crate) fn reach(&self, then: Duration) {
        let micros = u64::try_from(then.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_max(micros, Ordering::Relaxed);
    }
}

/// The clock of one process: its wall clock is wrong by as much as it was set off.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    time: Time,
    off_micros: Arc<AtomicI64>,
    seat: Option<EngineSeat>,
}

impl ProcessClock {
    pub(crate) fn new(time: &Time, off_micros: &Arc<AtomicI64>, seat: Option<EngineSeat>) -> Self {
        Self {
            time: time.clone(),
            off_micros: Arc::clone(off_micros),
            seat,
        }
    }
}

impl Clock for ProcessClock {
    fn wall_micros(&self) -> i64 {
        let since = i64::try_from(self.time.now().as_micros()).unwrap_or(i64::MAX / 4);
        BEGIN_MICROS + since + self.off_micros.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.time.now()
    }

    fn sleep(&self, duration: Duration) {
        if let Some(seat) = &self.seat {
            seat.wait(duration);
        }
    }

    /// At once: tasks wait for nothing but the network, whose delays are longer and by chance.
    fn pass(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
