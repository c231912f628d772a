//! What is going on, in one line: for a terminal, and once in a while for the log.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use super::figures::{ago, bytes, count};
use super::metrics::{Metrics, Snapshot};
use super::terminal::StatusLine;
use crate::clock::Clock;

/// How often the line on a terminal is written.
const LINE_EVERY: Duration = Duration::from_millis(500);
/// How often the log gets one where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Rates between two looks.
#[derive(Debug)]
struct Pace {
    at: Duration,
    consumed: u64,
    /// Messages a second, smoothed so that the figure can be read.
    rate: f64,
}

impl Pace {
    fn look(&mut self, now: Duration, consumed: u64) -> f64 {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        if elapsed > 0.0 {
            let news = u32::try_from(consumed.saturating_sub(self.consumed)).unwrap_or(u32::MAX);
            let rate = f64::from(news) / elapsed;
            // Three looks ago counts an eighth.
            self.rate = if self.rate == 0.0 {
                rate
            } else {
                self.rate.midpoint(rate)
            };
            self.at = now;
            self.consumed = consumed;
        }
        self.rate
    }
}

/// Shows progress until the future is dropped: a line on standard error when that is a terminal,
/// else a log line a minute. Several tables of one process are added up.
pub async fn show(metrics: Vec<Arc<Metrics>>, clock: Arc<dyn Clock>, line: StatusLine) {
    let look = || {
        let snapshots = metrics.iter().map(|metrics| metrics.snapshot());
        snapshots.reduce(|sum, next| sum.and(&next))
    };
    let Some(at_first) = look() else {
        return;
    };
    let is_terminal = std::io::stderr().is_terminal();
    let mut pace = Pace {
        at: clock.monotonic(),
        consumed: at_first.consumed,
        rate: 0.0,
    };
    let mut ticks = tokio::time::interval(if is_terminal { LINE_EVERY } else { LOG_EVERY });
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let Some(snapshot) = look() else {
            return;
        };
        let rate = pace.look(clock.monotonic(), snapshot.consumed);
        if is_terminal {
            line.show(&in_words(&snapshot, rate, clock.wall_micros()));
        } else {
            tracing::info!(
                state = snapshot.state.as_str(),
                messages_per_second = rate.round(),
                lag = snapshot.lag,
                rows_committed = snapshot.rows,
                held_bytes = snapshot.held_bytes,
                "progress"
            );
        }
    }
}

/// `running · 42,310/s · lag 1,200 · held 31.2 MiB · 1,234,567 rows in 312 files · last commit 3 s ago`
fn in_words(snapshot: &Snapshot, rate: f64, now_micros: i64) -> String {
    #[allow(clippy::cast_possible_truncation, reason = "rates are far below 2^63")]
    let rate = rate.round() as i64;
    let mut parts = vec![
        snapshot.state.as_str().to_owned(),
        format!("{}/s", count(rate)),
        format!("lag {}", count(snapshot.lag)),
        format!(
            "held {}",
            bytes(snapshot.held_bytes + snapshot.encoded_bytes)
        ),
        format!(
            "{} rows in {} files",
            count(snapshot.rows),
            count(snapshot.files)
        ),
    ];
    if snapshot.dead_letters > 0 {
        parts.push(format!("{} dead letters", count(snapshot.dead_letters)));
    }
    match snapshot.last_commit_micros {
        Some(at) => parts.push(format!("last commit {} ago", ago(now_micros - at))),
        None => parts.push("no commit yet".into()),
    }
    for (away, what) in [
        (snapshot.source_away, "brokers"),
        (snapshot.store_away, "store"),
    ] {
        if away {
            parts.push(format!("{what} out of reach"));
        }
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Away, CommitReport, EngineState};

    #[test]
    fn the_line_says_what_an_operator_looks_for() {
        // GIVEN a writer that committed ten seconds ago and lost its brokers
        let metrics = Metrics::new("file:///lake");
        metrics.state(EngineState::Running);
        metrics.lag(0, 1_200);
        metrics.memory(3 << 20, 1 << 20);
        metrics.committed(&CommitReport {
            rows: 1_234_567,
            files: 312,
            dead_letters: 4,
            at_micros: 1_000_000,
            ..CommitReport::default()
        });
        metrics.away(Away::Source, true);

        // WHEN the line is made
        let line = in_words(&metrics.snapshot(), 42_310.4, 11_000_000);

        // THEN it is all there
        assert_eq!(
            line,
            "running · 42,310/s · lag 1,200 · held 4.0 MiB · 1,234,567 rows in 312 files · \
             4 dead letters · last commit 10 s ago · brokers out of reach"
        );
    }

    #[test]
    fn the_rate_is_that_of_the_last_looks() {
        let mut pace = Pace {
            at: Duration::ZERO,
            consumed: 0,
            rate: 0.0,
        };
        assert_eq!(pace.look(Duration::from_secs(1), 1_000).round(), 1_000.0);
        assert_eq!(pace.look(Duration::from_secs(2), 1_000).round(), 500.0);
        assert_eq!(pace.look(Duration::from_secs(2), 1_000).round(), 500.0);
    }
}
