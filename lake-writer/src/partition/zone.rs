//! Offsets from UTC, remembered.
//!
//! ```text
//! instant (µs, UTC) ─► OffsetCache ─► seconds east of UTC
//! ```

use std::ops::Range;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// Spans of time with one offset, learned hour by hour from the time zone database: rows come by
/// the million, changes of the clock twice a year.
#[derive(Debug)]
pub(crate) struct OffsetCache {
    zone: Tz,
    /// Disjoint, sorted, in microseconds of UTC; neighbours with the same offset are joined.
    spans: Vec<(Range<i64>, i32)>,
    last: (Range<i64>, i32),
}

impl OffsetCache {
    pub(crate) fn new(zone: Tz) -> Self {
        let last = if zone == Tz::UTC {
            (i64::MIN..i64::MAX, 0)
        } else {
            (0..0, 0)
        };
        Self {
            zone,
            spans: Vec::new(),
            last,
        }
    }

    /// Seconds east of UTC at an instant, which must lie in the years that chrono knows.
    pub(crate) fn offset_at(&mut self, micros: i64) -> i32 {
        if self.last.0.contains(&micros) {
            return self.last.1;
        }
        self.look_up(micros)
    }

    #[cold]
    fn look_up(&mut self, micros: i64) -> i32 {
        let at = self.spans.partition_point(|(span, _)| span.end <= micros);
        if let Some(found) = self.spans.get(at).filter(|(s, _)| s.contains(&micros)) {
            self.last = found.clone();
            return found.1;
        }
        let hour = micros.div_euclid(HOUR) * HOUR;
        let offset = ask(self.zone, hour);
        if offset == ask(self.zone, hour + HOUR - SECOND) {
            // No zone has ever changed its clock twice within an hour.
            self.learn(at, hour..hour + HOUR, offset);
            return offset;
        }
        // The clock changes inside this hour: such rows ask one by one.
        ask(self.zone, micros)
    }

    fn learn(&mut self, mut at: usize, mut span: Range<i64>, offset: i32) {
        if let Some(after) = self.spans.get(at)
            && after.0.start == span.end
            && after.1 == offset
        {
            span.end = after.0.end;
            self.spans.remove(at);
        }
        if at > 0 && self.spans[at - 1].0.end == span.start && self.spans[at - 1].1 == offset {
            at -= 1;
            span.start = self.spans[at].0.start;
            self.spans.remove(at);
        }
        self.spans.insert(at, (span.clone(), offset));
        self.last = (span, offset);
    }

    /// Whether the local hour that begins at `local_hour` (µs on the zone's clock) is shown under
    /// another offset than this one, too.
    pub(super) fn hour_repeats(&self, local_hour: i64, offset: i32) -> bool {
        let Some(start) = DateTime::from_timestamp_micros(local_hour).map(|time| time.naive_utc())
        else {
            return false;
        };
        let last = start + chrono::TimeDelta::seconds(3_599);
        [start, last].iter().any(|clock| {
            let offsets = self.zone.offset_from_local_datetime(clock);
            [offsets.earliest(), offsets.latest()]
                .into_iter()
                .flatten()
                .any(|other| other.fix().local_minus_utc() != offset)
        })
    }
}

fn ask(zone: Tz, micros: i64) -> i32 {
    DateTime::from_timestamp_micros(micros).map_or(0, |time| {
        zone.offset_from_utc_datetime(&time.naive_utc())
            .fix()
            .local_minus_utc()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_joined() {
        // GIVEN a year of instants, an hour apart, in a mixed order.
        let mut cache = OffsetCache::new(Tz::Europe__Paris);
        let start = 1_767_225_600 * SECOND;
        let hours = 365 * 24;
        // WHEN each is looked up.
        for step in 0..hours {
            cache.offset_at(start + (step * 7_919 % hours) * HOUR);
        }
        // THEN winter, summer and winter are left.
        let offsets: Vec<i32> = cache.spans.iter().map(|(_, offset)| *offset).collect();
        assert_eq!(offsets, [3_600, 7_200, 3_600]);
    }

    proptest! {
        #[test]
        fn the_cache_agrees_with_the_database(
            zone in prop::sample::select(vec![
                Tz::UTC, Tz::Europe__Paris, Tz::America__St_Johns, Tz::Australia__Lord_Howe,
                Tz::Africa__Casablanca, Tz::Asia__Kathmandu, Tz::Pacific__Apia,
            ]),
            instants in prop::collection::vec(-5_000_000_000i64..8_000_000_000, 1..200),
        ) {
            // GIVEN instants between 1811 and 2223 WHEN looked up in one cache THEN no answer
            // depends on what was looked up before.
            let mut cache = OffsetCache::new(zone);
            for second in instants {
                let micros = second * SECOND + 999_999;
                prop_assert_eq!(cache.offset_at(micros), ask(zone, micros));
            }
        }
    }
}
