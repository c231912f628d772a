//! Instants to years, months, days and hours of the table's clock.
//!
//! ```text
//! timestamp or date ─► Calendar ─► bucket (an integer) ─► `2026-01-31`
//! ```
//!
//! Owns: the range of years, daylight saving.
//! Does not own: ids of partitions (`router`).

use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;

use crate::table::Kind;
use crate::table::spec::Transform;

use super::zone::OffsetCache;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// The clock at 0001-01-01 00:00, and past the end of 9999: the years that SQL's DATE, Spark and
/// Python can read. A folder of another year would break every query over the table.
const FIRST: i64 = -719_162 * DAY;
const END: i64 = 2_932_897 * DAY;

/// Which span of the clock a row falls into. Equal buckets are equal folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    /// Years, months, days or hours of the clock, from some origin.
    number: i64,
    /// Seconds east of UTC; 0 except for hours.
    offset: i32,
}

/// The clock that one partition field is read from.
#[derive(Debug)]
pub(super) struct Calendar {
    transform: Transform,
    micros_per_unit: i64,
    /// `None` when the value is a wall clock already.
    zone: Option<OffsetCache>,
    /// The day that was asked for last, with its year or month.
    last_day: (i64, i64),
}

impl Calendar {
    /// The clock of a column. `Identity` is a date's own text.
    pub(super) fn new(kind: &Kind, transform: Transform, zone: Tz) -> Self {
        let (micros_per_unit, zoned) = match kind {
            Kind::TimestampMillis => (1_000, true),
            Kind::TimestampMicros => (1, true),
            Kind::LocalTimestampMillis => (1_000, false),
            Kind::LocalTimestampMicros => (1, false),
            _ => (DAY, false),
        };
        Self {
            transform: match transform {
                Transform::Identity => Transform::Date,
                other => other,
            },
            micros_per_unit,
            zone: zoned.then(|| OffsetCache::new(zone)),
            last_day: (i64::MIN, 0),
        }
    }

    /// The bucket of a value in its column's unit; `None` outside the years 1 to 9999.
    pub(super) fn bucket(&mut self, value: i64) -> Option<Bucket> {
        // Overflow lands outside the years below.
        let micros = value.saturating_mul(self.micros_per_unit);
        if !(FIRST - DAY..END + DAY).contains(&micros) {
            return None;
        }
        let offset = self.zone.as_mut().map_or(0, |zone| zone.offset_at(micros));
        let clock = micros + i64::from(offset) * SECOND;
        if !(FIRST..END).contains(&clock) {
            return None;
        }
        Some(match self.transform {
            Transform::Hour => Bucket {
                number: clock.div_euclid(HOUR),
                offset,
            },
            Transform::Date | Transform::Identity => Bucket {
                number: clock.div_euclid(DAY),
                offset: 0,
            },
            Transform::Year | Transform::Month => Bucket {
                number: self.year_or_month(clock.div_euclid(DAY)),
                offset: 0,
            },
        })
    }

    fn year_or_month(&mut self, day: i64) -> i64 {
        if self.last_day.0 != day {
            let date = date_of(day);
            let year = i64::from(date.year());
            self.last_day = match self.transform {
                Transform::Year => (day, year),
                _ => (day, year * 12 + i64::from(date.month0())),
            };
        }
        self.last_day.1
    }

    /// How a bucket is written in a path.
    pub(super) fn text(&self, bucket: Bucket) -> String {
        let Bucket { number, offset } = bucket;
        match self.transform {
            Transform::Year => format!("{number:04}"),
            Transform::Month => {
                format!(
                    "{:04}-{:02}",
                    number.div_euclid(12),
                    number.rem_euclid(12) + 1
                )
            }
            Transform::Date | Transform::Identity => format!("{}", date_of(number)),
            Transform::Hour => {
                let hour = number.rem_euclid(24);
                let text = format!("{}-{hour:02}", date_of(number.div_euclid(24)));
                match &self.zone {
                    Some(zone) if zone.hour_repeats(number * HOUR, offset) => {
                        text + &offset_text(offset)
                    }
                    _ => text,
                }
            }
        }
    }
}

/// Days since 1970-01-01 as a date; the year has been checked.
fn date_of(day: i64) -> NaiveDate {
    let since_year_one = i32::try_from(day + 719_163).unwrap_or(i32::MAX);
    NaiveDate::from_num_days_from_ce_opt(since_year_one).unwrap_or(NaiveDate::MAX)
}

/// `+0200`; seconds are written when there are any.
fn offset_text(offset: i32) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (minutes, seconds) = (offset.abs() / 60, offset.abs() % 60);
    let text = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    if seconds == 0 {
        text
    } else {
        format!("{text}{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(rfc3339: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(rfc3339)
            .expect("a timestamp")
            .timestamp_micros()
    }

    fn text(transform: Transform, zone: Tz, rfc3339: &str) -> String {
        let mut calendar = Calendar::new(&Kind::TimestampMicros, transform, zone);
        let bucket = calendar.bucket(micros(rfc3339)).expect("a year of ours");
        calendar.text(bucket)
    }

    #[test]
    fn each_function_writes_its_span() {
        let instant = "2026-01-31T23:30:00Z";
        for (transform, utc, paris) in [
            (Transform::Year, "2026", "2026"),
            (Transform::Month, "2026-01", "2026-02"),
            (Transform::Date, "2026-01-31", "2026-02-01"),
            (Transform::Hour, "2026-01-31-23", "2026-02-01-00"),
        ] {
            // GIVEN an instant late in January WHEN written in UTC and in Paris THEN the zone's
            // clock counts.
            assert_eq!(text(transform, Tz::UTC, instant), utc);
            assert_eq!(text(transform, Tz::Europe__Paris, instant), paris);
        }
    }

    #[test]
    fn the_missing_hour_is_missing() {
        // GIVEN 2026-03-29 in Paris, where 02:00 to 03:00 does not exist.
        // WHEN the instants before and after are written.
        // THEN hour 03 follows hour 01, without an offset, and the day is one.
        let hour = |instant| text(Transform::Hour, Tz::Europe__Paris, instant);
        assert_eq!(hour("2026-03-29T00:59:59.999999Z"), "2026-03-29-01");
        assert_eq!(hour("2026-03-29T01:00:00Z"), "2026-03-29-03");
        let date = |instant| text(Transform::Date, Tz::Europe__Paris, instant);
        assert_eq!(date("2026-03-28T23:00:00Z"), "2026-03-29");
        assert_eq!(date("2026-03-29T21:59:59Z"), "2026-03-29");
        assert_eq!(date("2026-03-29T22:00:00Z"), "2026-03-30");
    }

    #[test]
    fn the_doubled_hour_is_two_partitions() {
        // GIVEN 2026-10-25 in Paris, where 02:00 to 03:00 happens twice.
        // WHEN instants of both are written.
        // THEN each carries its offset, and the hours around them do not.
        let hour = |instant| text(Transform::Hour, Tz::Europe__Paris, instant);
        assert_eq!(hour("2026-10-24T23:59:59Z"), "2026-10-25-01");
        assert_eq!(hour("2026-10-25T00:00:00Z"), "2026-10-25-02+0200");
        assert_eq!(hour("2026-10-25T00:59:59Z"), "2026-10-25-02+0200");
        assert_eq!(hour("2026-10-25T01:00:00Z"), "2026-10-25-02+0100");
        assert_eq!(hour("2026-10-25T02:00:00Z"), "2026-10-25-03");
        let west = |instant| text(Transform::Hour, Tz::America__New_York, instant);
        assert_eq!(west("2026-11-01T05:30:00Z"), "2026-11-01-01-0400");
        assert_eq!(west("2026-11-01T06:30:00Z"), "2026-11-01-01-0500");
    }

    #[test]
    fn a_change_of_half_an_hour_is_told_apart_too() {
        // GIVEN Lord Howe Island, whose clock went from 02:00 (+11:00) to 01:30 (+10:30).
        // WHEN both passes of 01:30 are written THEN they differ.
        let hour = |instant| text(Transform::Hour, Tz::Australia__Lord_Howe, instant);
        assert_eq!(hour("2026-04-04T14:45:00Z"), "2026-04-05-01+1100");
        assert_eq!(hour("2026-04-04T15:15:00Z"), "2026-04-05-01+1030");
    }

    #[test]
    fn hours_and_instants_are_one_to_one() {
        // GIVEN every quarter of an hour of 2026 in three zones WHEN written THEN one text never
        // covers two separate spans of time.
        for zone in [
            Tz::Europe__Paris,
            Tz::America__St_Johns,
            Tz::Australia__Lord_Howe,
        ] {
            let mut seen = std::collections::HashSet::new();
            let mut last = String::new();
            let mut calendar = Calendar::new(&Kind::TimestampMicros, Transform::Hour, zone);
            let start = micros("2026-01-01T00:00:00Z");
            for quarter in 0..365 * 24 * 4 {
                let bucket = calendar
                    .bucket(start + quarter * HOUR / 4)
                    .expect("in 2026");
                let text = calendar.text(bucket);
                if text != last {
                    assert!(seen.insert(text.clone()), "{zone}: {text} came back");
                    last = text;
                }
            }
        }
    }

    #[test]
    fn years_outside_one_to_9999_have_no_bucket() {
        // GIVEN the borders, seconds taken for milliseconds' thousandfold, and the type's ends.
        let mut utc = Calendar::new(&Kind::TimestampMicros, Transform::Date, Tz::UTC);
        for (instant, expected) in [
            (micros("0001-01-01T00:00:00Z"), Some("0001-01-01")),
            (micros("0001-01-01T00:00:00Z") - 1, None),
            (micros("9999-12-31T23:59:59.999999Z"), Some("9999-12-31")),
            (micros("9999-12-31T23:59:59.999999Z") + 1, None),
            (micros("2026-01-31T00:00:00Z") * 1_000, None),
            (i64::MIN, None),
            (i64::MAX, None),
            (-1, Some("1969-12-31")),
        ] {
            // WHEN a bucket is asked for THEN only years that readers know have one.
            let text = utc.bucket(instant).map(|bucket| utc.text(bucket));
            assert_eq!(text.as_deref(), expected);
        }
        let mut paris = Calendar::new(&Kind::TimestampMicros, Transform::Date, Tz::Europe__Paris);
        assert_eq!(paris.bucket(micros("9999-12-31T23:30:00Z")), None);
    }

    #[test]
    fn other_units_and_wall_clocks() {
        // GIVEN 2026-01-31 23:30 in milliseconds, as a wall clock, and as a date.
        let instant = micros("2026-01-31T23:30:00Z");
        let write = |kind: Kind, value| {
            let mut calendar = Calendar::new(&kind, Transform::Date, Tz::Europe__Paris);
            let bucket = calendar.bucket(value)?;
            Some(calendar.text(bucket))
        };
        // WHEN written by Paris THEN only an instant is moved by the zone.
        let day = |text: &str| Some(text.to_owned());
        assert_eq!(
            write(Kind::TimestampMillis, instant / 1_000),
            day("2026-02-01")
        );
        assert_eq!(
            write(Kind::LocalTimestampMillis, instant / 1_000),
            day("2026-01-31")
        );
        assert_eq!(
            write(Kind::LocalTimestampMicros, instant),
            day("2026-01-31")
        );
        assert_eq!(
            write(Kind::Date, instant.div_euclid(DAY)),
            day("2026-01-31")
        );
        assert_eq!(write(Kind::Date, i64::from(i32::MAX)), None);
        assert_eq!(
            write(Kind::TimestampMillis, instant),
            None,
            "micros as millis"
        );
    }
}
