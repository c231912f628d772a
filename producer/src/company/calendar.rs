//! How busy the company is at any moment, and where: opening hours, the hours of the day, the days
//! of the week and the seasons, all by the clock on the wall in Paris.
//!
//! local half hour ──► Bustle (how many sales, shared among outlets)
//!
//! Owns the curves. Their unit is the average day: summed over the half hours of a year and
//! divided by its days they give 1. Does not own the mapping of positions to moments (`timeline`).

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use chrono_tz::Europe::Paris;

use super::stores::StoreKind;

/// The ways a sale is made: the three kinds of store, the web, the app.
pub const OUTLETS: usize = 5;
/// Index of the web among the outlets.
pub const WEB: usize = 3;
/// Index of the app among the outlets.
pub const APP: usize = 4;

/// Microseconds of a half hour: the grain of every curve.
pub const HALF_HOUR_US: i64 = 1_800_000_000;

/// What part of the sales each outlet makes over a year, roughly.
const OUTLET_SHARES: [f64; OUTLETS] = [0.42, 0.28, 0.14, 0.10, 0.06];

/// Footfall in stores by hour, relative: a peak before noon and one after work.
const STORE_HOURS: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 6.0, 8.5, 9.0, 6.5, 5.0, 6.0, 7.0, 8.0, 9.5, 9.5,
    6.5, 3.5, 2.0, 0.0, 0.0,
];
/// Orders on the web by hour, relative: at the desk at noon, on the sofa in the evening.
const ONLINE_HOURS: [f64; 24] = [
    1.5, 0.7, 0.4, 0.3, 0.3, 0.5, 1.2, 2.5, 3.5, 4.5, 5.0, 5.5, 6.5, 6.0, 4.5, 4.5, 4.8, 5.2, 6.0,
    7.0, 8.5, 9.0, 6.5, 3.5,
];
/// Monday to Sunday.
const STORE_WEEKDAYS: [f64; 7] = [0.85, 0.88, 0.98, 0.92, 1.12, 1.45, 1.0];
/// Monday to Sunday.
const ONLINE_WEEKDAYS: [f64; 7] = [1.05, 1.0, 0.98, 0.95, 0.9, 0.92, 1.2];
/// January to December: clearance sales in January and July, an empty August, Christmas.
const MONTHS: [f64; 12] = [
    1.0, 0.88, 0.93, 0.97, 0.97, 1.02, 1.03, 0.85, 1.0, 0.98, 1.08, 1.34,
];

/// How busy one half hour is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bustle {
    /// Cumulated weights of the outlets; the last one is the whole half hour, in average days.
    cumulated: [f64; OUTLETS],
}

impl Bustle {
    /// Sales in this half hour, in average days. Never nought: the web does not close.
    pub fn total(&self) -> f64 {
        self.cumulated[OUTLETS - 1]
    }

    /// The outlet that a draw in `[0, 1)` falls on. A closed store is never drawn.
    #[inline]
    pub fn outlet(&self, unit: f64) -> usize {
        let point = unit * self.total();
        self.cumulated
            .iter()
            .position(|&until| point < until)
            .unwrap_or(WEB)
    }
}

/// The curves of the company, normalized.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// What brings each outlet's curve to its share of the average day.
    factors: [f64; OUTLETS],
}

impl Calendar {
    /// The company's calendar: always the same.
    pub fn new() -> Self {
        // 2026 stands for every year; others differ in what weekdays their seasons fall on, by
        // less than one percent.
        let raw = Self {
            factors: [1.0; OUTLETS],
        };
        let mut sums = [0.0; OUTLETS];
        let mut days = 0.0;
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default();
        for date in first.iter_days().take_while(|date| date.year() == 2026) {
            days += 1.0;
            for half_hour in 0..48 {
                let weights = raw.weights(date, half_hour);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += weight;
                }
            }
        }
        let factors = std::array::from_fn(|i| OUTLET_SHARES[i] * days / sums[i]);
        Self { factors }
    }

    /// How busy the half hour is that contains a moment, given in microseconds since the epoch.
    pub fn at(&self, us: i64) -> Bustle {
        let local = DateTime::from_timestamp_micros(us)
            .unwrap_or_default()
            .with_timezone(&Paris);
        let half_hour = local.hour() * 2 + local.minute() / 30;
        let mut cumulated = self.weights(local.date_naive(), half_hour);
        for i in 1..OUTLETS {
            cumulated[i] += cumulated[i - 1];
        }
        Bustle { cumulated }
    }

    fn weights(&self, date: NaiveDate, half_hour: u32) -> [f64; OUTLETS] {
        let weekday = date.weekday().num_days_from_monday();
        let hour = (half_hour / 2) as usize;
        let season = season(date);
        let store = STORE_HOURS[hour] * STORE_WEEKDAYS[weekday as usize] * season;
        let online = ONLINE_HOURS[hour] * ONLINE_WEEKDAYS[weekday as usize] * season;
        let mut weights = [0.0; OUTLETS];
        for (kind, weight) in StoreKind::ALL.into_iter().zip(&mut weights) {
            if !is_holiday(date) && kind.open_half_hours(weekday).contains(&half_hour) {
                *weight = store;
            }
        }
        weights[WEB] = online;
        weights[APP] = online;
        for (weight, factor) in weights.iter_mut().zip(self.factors) {
            *weight *= factor;
        }
        weights
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

/// The days on which every store is closed.
fn is_holiday(date: NaiveDate) -> bool {
    matches!((date.month(), date.day()), (1 | 5, 1) | (12, 25))
}

fn season(date: NaiveDate) -> f64 {
    let rush = match (date.month(), date.day()) {
        (12, 12..=24) => 1.25,
        (12, 26..=31) => 0.85,
        _ => 1.0,
    };
    MONTHS[date.month0() as usize] * rush
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Bustle {
        let us = DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_micros();
        Calendar::new().at(us)
    }

    fn outlets(bustle: &Bustle) -> std::collections::BTreeSet<usize> {
        (0..1000)
            .map(|i| bustle.outlet(f64::from(i) / 1000.0))
            .collect()
    }

    #[test]
    fn a_year_of_half_hours_is_a_year_of_average_days() {
        let calendar = Calendar::new();
        let start = DateTime::parse_from_rfc3339("2026-01-01T00:00:00+01:00").unwrap();
        let sum: f64 = (0..365 * 48)
            .map(|i| {
                calendar
                    .at(start.timestamp_micros() + i * HALF_HOUR_US)
                    .total()
            })
            .sum();
        assert!((sum - 365.0).abs() < 0.5, "{sum}");
    }

    #[test]
    fn stores_open_by_the_clock_of_paris() {
        // GIVEN a Tuesday, in winter and in summer. WHEN the clock in Paris shows 8:15 and 8:45.
        // THEN large stores are closed before half past eight and open after it.
        for offset in ["2026-01-13T08:15:00+01:00", "2026-07-14T08:15:00+02:00"] {
            assert!(!outlets(&at(offset)).contains(&0), "{offset}");
            let later = offset.replace("08:15", "08:45");
            assert!(outlets(&at(&later)).contains(&0), "{later}");
        }
    }

    #[test]
    fn at_night_on_sunday_afternoon_and_on_holidays_there_is_the_web() {
        assert_eq!(outlets(&at("2026-01-13T03:00:00+01:00")), [WEB, APP].into());
        assert_eq!(outlets(&at("2026-05-01T11:00:00+02:00")), [WEB, APP].into());
        assert_eq!(
            outlets(&at("2026-01-18T15:00:00+01:00")),
            [2, WEB, APP].into()
        );
    }

    #[test]
    fn saturday_is_busier_than_monday_and_christmas_than_august() {
        let saturday = at("2026-03-14T17:00:00+01:00").total();
        let monday = at("2026-03-09T17:00:00+01:00").total();
        assert!(saturday > 1.3 * monday, "{saturday} {monday}");
        let december = at("2026-12-17T17:00:00+01:00").total();
        let august = at("2026-08-20T17:00:00+02:00").total();
        assert!(december > 1.5 * august, "{december} {august}");
    }
}
