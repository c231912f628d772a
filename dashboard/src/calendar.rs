//! Minutes, local days and the steps of a time axis.
//!
//! A moment is a number of whole minutes since the epoch in UTC; a day is one of the page's time zone.
//! Steps below a day are cut in UTC, which agrees with the zone's hours wherever its offset is whole hours.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeZone as _};
use chrono_tz::Tz;
use serde::Serialize;

/// Minutes since the epoch in UTC.
pub type Minute = i64;

/// The width of a point on a time axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// One minute.
    Minute,
    /// Five minutes.
    FiveMinutes,
    /// A quarter of an hour.
    QuarterHour,
    /// An hour.
    Hour,
    /// A day of the time zone.
    Day,
    /// A month of the time zone.
    Month,
}

impl Step {
    /// The step that gives a period some dozens to a few hundreds of points.
    pub fn of_span(minutes: i64) -> Self {
        const HOUR: i64 = 60;
        const DAY: i64 = 24 * HOUR;
        match minutes {
            ..=120 => Self::Minute,
            121..=720 => Self::FiveMinutes,
            721..=2_940 => Self::QuarterHour,
            // Fourteen days, and an hour more at the end of summer time.
            2_941.. if minutes <= 14 * DAY + HOUR => Self::Hour,
            _ if minutes <= 400 * DAY => Self::Day,
            _ => Self::Month,
        }
    }

    /// Width in minutes of a step below a day.
    pub fn minutes(self) -> Option<i64> {
        match self {
            Self::Minute => Some(1),
            Self::FiveMinutes => Some(5),
            Self::QuarterHour => Some(15),
            Self::Hour => Some(60),
            Self::Day | Self::Month => None,
        }
    }
}

/// The time zone in which the page counts days.
#[derive(Clone, Copy, Debug)]
pub struct Calendar(pub Tz);

impl Calendar {
    /// The local day of a minute.
    pub fn day_of(self, minute: Minute) -> NaiveDate {
        DateTime::from_timestamp(minute.saturating_mul(60), 0)
            .unwrap_or_default()
            .with_timezone(&self.0)
            .date_naive()
    }

    /// The first minute of a local day.
    pub fn first_minute(self, day: NaiveDate) -> Minute {
        // Where midnight is skipped, the day begins with its first hour that exists.
        let midnight = day.and_hms_opt(0, 0, 0).unwrap_or_default();
        (0..24)
            .find_map(|hour| {
                let local = midnight + chrono::Duration::hours(hour);
                self.0.from_local_datetime(&local).earliest()
            })
            .map_or(0, |moment| moment.timestamp().div_euclid(60))
    }

    /// The first minute of the step that holds `minute`.
    pub fn floor(self, step: Step, minute: Minute) -> Minute {
        match step.minutes() {
            Some(width) => minute.div_euclid(width) * width,
            None => {
                let day = self.day_of(minute);
                let first = if step == Step::Month {
                    day.with_day(1)
                } else {
                    Some(day)
                };
                self.first_minute(first.unwrap_or(day))
            }
        }
    }

    /// The first minute of the step after the one that begins at `start`.
    pub fn next(self, step: Step, start: Minute) -> Minute {
        match step.minutes() {
            Some(width) => start + width,
            None => {
                let day = self.day_of(start);
                let next = if step == Step::Month {
                    day.checked_add_months(chrono::Months::new(1))
                } else {
                    day.checked_add_days(Days::new(1))
                };
                self.first_minute(next.unwrap_or(day)).max(start + 1)
            }
        }
    }

    /// The first minute of the local day that is `days` before the one of `minute`.
    pub fn days_before(self, minute: Minute, days: u64) -> Minute {
        let day = self.day_of(minute);
        self.first_minute(day.checked_sub_days(Days::new(days)).unwrap_or(day))
    }
}

/// `2026-01-31T12:00:00Z`, or the epoch for a minute that no date can hold.
pub fn rfc3339(minute: Minute) -> String {
    DateTime::from_timestamp(minute.saturating_mul(60), 0)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Calendar = Calendar(chrono_tz::Europe::Paris);

    fn minute(text: &str) -> Minute {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp() / 60
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let summer = minute("2026-07-01T22:30:00Z");
        assert_eq!(PARIS.day_of(summer).to_string(), "2026-07-02");
        assert_eq!(
            rfc3339(PARIS.floor(Step::Day, summer)),
            "2026-07-01T22:00:00Z"
        );
        assert_eq!(
            rfc3339(PARIS.floor(Step::Month, summer)),
            "2026-06-30T22:00:00Z"
        );
    }

    #[test]
    fn the_days_of_a_clock_change_have_23_and_25_hours() {
        for (start, hours) in [("2026-03-28T23:00:00Z", 23), ("2026-10-24T22:00:00Z", 25)] {
            let start = minute(start);
            assert_eq!(PARIS.next(Step::Day, start) - start, hours * 60);
        }
    }

    #[test]
    fn months_follow_each_other() {
        let january = minute("2025-12-31T23:00:00Z");
        assert_eq!(
            rfc3339(PARIS.next(Step::Month, january)),
            "2026-01-31T23:00:00Z"
        );
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_begins_at_one() {
        let zone = Calendar(chrono_tz::America::Santiago);
        let day = NaiveDate::from_ymd_opt(2025, 9, 7).unwrap();
        assert_eq!(rfc3339(zone.first_minute(day)), "2025-09-07T04:00:00Z");
    }
}
