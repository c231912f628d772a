//! How many messages may go out by now.
//!
//! elapsed time ──► Pace ──► allowance
//!
//! Owns the rate. A run that was held up catches up with at most one second's worth, so that a
//! broker that comes back is not flooded.

use std::time::Duration;

/// Most messages handed out at once: between two allowances signals and callbacks are looked at.
const MOST_AT_ONCE: u64 = 2_048;
/// How long to wait when nothing is allowed yet, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A rate in messages per second, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// As fast as it goes.
    Max,
    /// So many messages a second.
    PerSecond(f64),
}

/// Hands out allowances so that the rate is kept on average.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    /// Messages that the time passed so far was good for, as far as they were handed out or lost.
    spent: f64,
}

impl Pace {
    /// A pace that starts at elapsed time nought.
    pub fn new(rate: Rate) -> Self {
        Self { rate, spent: 0.0 }
    }

    /// How many messages may be sent now, given the time since the start. They count as sent.
    pub fn allowance(&mut self, elapsed: Duration) -> u64 {
        let Rate::PerSecond(rate) = self.rate else {
            return MOST_AT_ONCE;
        };
        let earned = elapsed.as_secs_f64() * rate;
        self.spent = self.spent.max(earned - rate.max(1.0));
        let allowed = ((earned - self.spent) as u64).min(MOST_AT_ONCE);
        self.spent += allowed as f64;
        allowed
    }

    /// How long to wait before anything can be allowed again.
    pub fn pause(&self, elapsed: Duration) -> Duration {
        let Rate::PerSecond(rate) = self.rate else {
            return Duration::ZERO;
        };
        let next = (self.spent + 1.0) / rate - elapsed.as_secs_f64();
        // Waking at most every millisecond keeps a high rate from costing a core.
        Duration::from_secs_f64(next.clamp(0.001, LONGEST_PAUSE.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(rate: f64, step_ms: u64, steps: u64) -> u64 {
        let mut pace = Pace::new(Rate::PerSecond(rate));
        (1..=steps)
            .map(|i| pace.allowance(Duration::from_millis(i * step_ms)))
            .sum()
    }

    #[test]
    fn the_rate_is_kept_whatever_the_steps() {
        for (rate, step_ms) in [(1000.0, 1), (1000.0, 7), (0.5, 100), (250_000.0, 5)] {
            let steps = 20_000 / step_ms;
            let expected = rate * (steps * step_ms) as f64 / 1000.0;
            let difference = (sent(rate, step_ms, steps) as f64 - expected).abs();
            assert!(
                difference <= 1.0,
                "{rate}/s in steps of {step_ms} ms: off by {difference}"
            );
        }
    }

    #[test]
    fn a_halt_is_caught_up_with_one_second_at_most() {
        let mut pace = Pace::new(Rate::PerSecond(100.0));
        assert_eq!(pace.allowance(Duration::from_secs(60)), 100);
        assert_eq!(pace.allowance(Duration::from_secs(61)), 100);
    }

    #[test]
    fn pauses_are_short() {
        let mut pace = Pace::new(Rate::PerSecond(0.01));
        pace.allowance(Duration::from_millis(1));
        assert_eq!(pace.pause(Duration::from_millis(1)), LONGEST_PAUSE);
    }
}
