//! When a commit is due.
//!
//! ```text
//! Contents of the open cut + now ─► Rotation ─► Option<RotationReason>
//! ```

use std::time::Duration;

use crate::settings;

/// What was read since the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Rows, held or encoded.
    pub rows: u64,
    /// Messages that could not be rows.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
    /// Bytes of the files: those encoded, and an estimate for the rows still held.
    pub encoded_bytes: u64,
    /// Milliseconds between the earliest and the latest timestamp of the messages.
    pub event_span_ms: u64,
    /// When the first message came, on the monotonic clock; `None` when there was none.
    pub first_at: Option<Duration>,
}

impl Contents {
    /// Messages of any sort.
    pub fn messages(&self) -> u64 {
        self.rows + self.dead_letters + self.tombstones
    }

    /// Whether there was no message.
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }
}

/// A commit happens when the first of these is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Messages, of which rows are the most.
    pub max_rows: u64,
    /// Bytes of the files.
    pub max_bytes: u64,
    /// Time since the first message.
    pub max_age: Duration,
    /// Milliseconds between the messages' own timestamps; without a limit when `None`.
    pub max_event_span_ms: Option<u64>,
}

/// Why a commit is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationReason {
    /// As many messages as a commit may have.
    Rows,
    /// As many bytes.
    Bytes,
    /// The first message has waited long enough.
    Age,
    /// The messages' own timestamps lie as far apart as they may.
    EventSpan,
}

impl Rotation {
    /// The rule of the settings.
    pub fn new(settings: &settings::Rotation) -> Self {
        Self {
            max_rows: settings.max_rows,
            max_bytes: settings.max_bytes,
            max_age: Duration::from_millis(settings.max_age_ms),
            max_event_span_ms: settings.max_event_span_ms,
        }
    }

    /// Whether a commit is due, and why. An empty cut never is.
    pub fn due(&self, contents: &Contents, now: Duration) -> Option<RotationReason> {
        let first_at = contents.first_at?;
        if contents.messages() >= self.max_rows {
            Some(RotationReason::Rows)
        } else if contents.encoded_bytes >= self.max_bytes {
            Some(RotationReason::Bytes)
        } else if now.saturating_sub(first_at) >= self.max_age {
            Some(RotationReason::Age)
        } else if self
            .max_event_span_ms
            .is_some_and(|most| contents.event_span_ms >= most)
        {
            Some(RotationReason::EventSpan)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rotation = Rotation {
        max_rows: 100,
        max_bytes: 1_000,
        max_age: Duration::from_secs(60),
        max_event_span_ms: None,
    };

    fn contents(rows: u64, encoded_bytes: u64) -> Contents {
        Contents {
            rows,
            encoded_bytes,
            first_at: Some(Duration::from_secs(10)),
            ..Contents::default()
        }
    }

    #[test]
    fn the_first_limit_that_is_reached_counts() {
        let now = Duration::from_secs(20);
        // GIVEN a cut WHEN it is below every limit THEN no commit is due.
        assert_eq!(RULE.due(&contents(99, 999), now), None);
        // WHEN one limit is reached THEN that is the reason.
        assert_eq!(RULE.due(&contents(100, 0), now), Some(RotationReason::Rows));
        assert_eq!(
            RULE.due(&contents(1, 1_000), now),
            Some(RotationReason::Bytes)
        );
        let later = Duration::from_secs(70);
        assert_eq!(RULE.due(&contents(1, 1), later), Some(RotationReason::Age));
    }

    #[test]
    fn event_time_counts_where_it_is_asked_for() {
        // GIVEN messages that were made an hour apart
        let contents = Contents {
            event_span_ms: 3_600_000,
            ..contents(2, 2)
        };
        let now = Duration::from_secs(20);
        // WHEN event time has no limit THEN no commit is due
        assert_eq!(RULE.due(&contents, now), None);
        // WHEN it has one that is reached THEN that is the reason
        let rule = Rotation {
            max_event_span_ms: Some(3_600_000),
            ..RULE
        };
        assert_eq!(rule.due(&contents, now), Some(RotationReason::EventSpan));
    }

    #[test]
    fn messages_that_are_no_rows_count_too() {
        // GIVEN a topic of dead letters and tombstones alone.
        let contents = Contents {
            dead_letters: 60,
            tombstones: 40,
            ..contents(0, 0)
        };
        // WHEN there are as many as rows may be THEN a commit is due: the offsets move on.
        assert_eq!(
            RULE.due(&contents, Duration::from_secs(11)),
            Some(RotationReason::Rows)
        );
    }

    #[test]
    fn an_empty_cut_is_never_due() {
        let century = Duration::from_secs(3_200_000_000);
        assert_eq!(RULE.due(&Contents::default(), century), None);
    }
}
