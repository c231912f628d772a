//! Whether the writer is alive, and whether it is doing its work.

use std::time::Duration;

use super::event::EngineState;
use super::metrics::Metrics;

/// An answer for an orchestrator: nothing to say, or what is the matter.
pub type Verdict = Result<(), String>;

/// Whether the engine's loop turns. A process that fails this is stuck and should be restarted.
///
/// A start may take as long as the log is long, so it is alive until its first turn; an outage is
/// waited out by a loop that turns, so it is alive too.
pub fn live(metrics: &Metrics, now: Duration, timeout: Duration) -> Verdict {
    let last = metrics.last_polled();
    match metrics.snapshot().state {
        EngineState::Stopped => Err("the engine has stopped".into()),
        EngineState::Starting if last.is_zero() => Ok(()),
        _ => {
            let still = now.saturating_sub(last);
            if still <= timeout {
                Ok(())
            } else {
                Err(format!(
                    "the engine's loop has not turned for {} ms, the limit is {} ms",
                    still.as_millis(),
                    timeout.as_millis()
                ))
            }
        }
    }
}

/// Whether source partitions are claimed and both ends are in reach.
pub fn ready(metrics: &Metrics) -> Verdict {
    let snapshot = metrics.snapshot();
    let mut lacking = Vec::new();
    match snapshot.state {
        EngineState::Running => {}
        EngineState::Waiting => lacking.push("no source partition is assigned".to_owned()),
        other => lacking.push(format!("the engine is {}", other.as_str())),
    }
    if snapshot.source_away {
        lacking.push("the brokers are out of reach".into());
    }
    if snapshot.store_away {
        lacking.push("the store is out of reach".into());
    }
    if lacking.is_empty() {
        Ok(())
    } else {
        Err(lacking.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Away;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_loop_that_stands_still_is_not_alive() {
        let metrics = Metrics::new("file:///lake");
        // GIVEN a start that takes its time THEN it is alive
        assert_eq!(live(&metrics, LIMIT * 2, LIMIT), Ok(()));
        // GIVEN a loop that turned at 100 s
        metrics.state(EngineState::Running);
        metrics.polled(Duration::from_secs(100));
        // THEN it is alive for the limit, and not longer
        assert_eq!(live(&metrics, Duration::from_secs(130), LIMIT), Ok(()));
        let verdict = live(&metrics, Duration::from_millis(130_001), LIMIT);
        assert_eq!(
            verdict,
            Err("the engine's loop has not turned for 30001 ms, the limit is 30000 ms".into())
        );
        // AND a later session that begins again must turn as well
        metrics.state(EngineState::Starting);
        assert!(live(&metrics, Duration::from_secs(131), LIMIT).is_err());
    }

    #[test]
    fn readiness_names_everything_that_is_lacking() {
        let metrics = Metrics::new("file:///lake");
        assert_eq!(ready(&metrics), Err("the engine is starting".into()));
        metrics.state(EngineState::Running);
        assert_eq!(ready(&metrics), Ok(()));
        metrics.state(EngineState::Waiting);
        metrics.away(Away::Source, true);
        metrics.away(Away::Store, true);
        assert_eq!(
            ready(&metrics),
            Err(
                "no source partition is assigned; the brokers are out of reach; \
                 the store is out of reach"
                    .into()
            )
        );
    }
}
