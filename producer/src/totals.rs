//! What was sent, counted exactly: the figures that a lake can be checked against.
//!
//! Fact of each message ──► Totals ──► summary
//!
//! Owns counts and sums by day and region. Sums are whole hundredths in 128 bits: no float, no
//! overflow. Does not own what becomes of a message once it is sent (`deliver`).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeZone};
use chrono_tz::Tz;

use crate::encode::Flaw;

/// What a message is, seen by whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'a> {
    /// A row that a reader of the topic will find.
    Row(Row<'a>),
    /// A message that no reader can decode.
    Malformed(Flaw),
}

/// What is counted of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Microseconds since the epoch, UTC.
    pub sold_at_us: i64,
    /// Region by its name.
    pub region: &'a str,
    /// Hundredths of the currency.
    pub amount_cents: i64,
    /// Sent later than its event time suggests.
    pub late: bool,
    /// Its `sale_id` was sent before.
    pub duplicate: bool,
}

/// Rows and money, with and without the rows whose `sale_id` had come before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows, duplicates included.
    pub rows: u64,
    /// Sum of `amount` over these rows, in hundredths.
    pub amount_cents: i128,
    /// Rows that are duplicates of earlier ones.
    pub duplicate_rows: u64,
    /// Sum of `amount` over the duplicates, in hundredths.
    pub duplicate_amount_cents: i128,
}

impl Tally {
    /// Rows with different `sale_id`s.
    pub fn distinct_rows(&self) -> u64 {
        self.rows - self.duplicate_rows
    }

    /// Sum of `amount` with each `sale_id` taken once, in hundredths.
    pub fn distinct_amount_cents(&self) -> i128 {
        self.amount_cents - self.duplicate_amount_cents
    }

    fn count(&mut self, row: &Row<'_>) {
        self.rows += 1;
        self.amount_cents += i128::from(row.amount_cents);
        if row.duplicate {
            self.duplicate_rows += 1;
            self.duplicate_amount_cents += i128::from(row.amount_cents);
        }
    }

    /// Adds another part of the sales.
    pub fn add(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.amount_cents += other.amount_cents;
        self.duplicate_rows += other.duplicate_rows;
        self.duplicate_amount_cents += other.duplicate_amount_cents;
    }
}

/// Counts and sums of a run or of a part of it.
#[derive(Debug, Clone)]
pub struct Totals {
    messages: u64,
    value_bytes: u64,
    late: u64,
    malformed: BTreeMap<Flaw, u64>,
    regions: HashMap<String, usize>,
    /// One tally per region seen so far, by day.
    days: BTreeMap<NaiveDate, Vec<Tally>>,
    day: Day,
    first_us: Option<i64>,
    last_us: Option<i64>,
}

/// The day counted last: taken out of the map, as the next row is mostly of the same day.
#[derive(Debug, Clone)]
struct Day {
    zone: Tz,
    date: NaiveDate,
    /// The instants of this day, half-open; empty before the first row.
    span_us: std::ops::Range<i64>,
    tallies: Vec<Tally>,
}

impl Totals {
    /// Nothing yet. Days are those of `zone`.
    pub fn new(zone: Tz) -> Self {
        Self {
            messages: 0,
            value_bytes: 0,
            late: 0,
            malformed: BTreeMap::new(),
            regions: HashMap::new(),
            days: BTreeMap::new(),
            day: Day {
                zone,
                date: NaiveDate::default(),
                span_us: 0..0,
                tallies: Vec::new(),
            },
            first_us: None,
            last_us: None,
        }
    }

    /// Counts one message with a value of so many bytes.
    #[inline]
    pub fn count(&mut self, fact: &Fact<'_>, value_bytes: usize) {
        self.messages += 1;
        self.value_bytes += value_bytes as u64;
        match fact {
            Fact::Malformed(flaw) => *self.malformed.entry(*flaw).or_default() += 1,
            Fact::Row(row) => self.count_row(row),
        }
    }

    fn count_row(&mut self, row: &Row<'_>) {
        if !self.day.span_us.contains(&row.sold_at_us) {
            self.turn_to(row.sold_at_us);
        }
        self.first_us = Some(
            self.first_us
                .map_or(row.sold_at_us, |us| us.min(row.sold_at_us)),
        );
        self.last_us = Some(
            self.last_us
                .map_or(row.sold_at_us, |us| us.max(row.sold_at_us)),
        );
        self.late += u64::from(row.late && !row.duplicate);
        let region = self.region(row.region);
        if self.day.tallies.len() <= region {
            self.day.tallies.resize(region + 1, Tally::default());
        }
        self.day.tallies[region].count(row);
    }

    fn region(&mut self, name: &str) -> usize {
        if let Some(&index) = self.regions.get(name) {
            return index;
        }
        let index = self.regions.len();
        self.regions.insert(name.to_owned(), index);
        index
    }

    /// Puts the day in hand back and takes the day of `us`.
    fn turn_to(&mut self, us: i64) {
        self.put_back();
        let utc = DateTime::from_timestamp_micros(us).unwrap_or_default();
        self.day.date = utc.with_timezone(&self.day.zone).date_naive();
        let next = self.day.date.succ_opt().unwrap_or(NaiveDate::MAX);
        self.day.span_us =
            start_of_day(self.day.date, self.day.zone)..start_of_day(next, self.day.zone);
        self.day.tallies = self.days.remove(&self.day.date).unwrap_or_default();
    }

    fn put_back(&mut self) {
        let tallies = std::mem::take(&mut self.day.tallies);
        if !tallies.is_empty() {
            self.days.insert(self.day.date, tallies);
        }
        self.day.span_us = 0..0;
    }

    /// Adds what another part of the run has counted.
    pub fn merge(&mut self, mut other: Totals) {
        self.put_back();
        other.put_back();
        self.messages += other.messages;
        self.value_bytes += other.value_bytes;
        self.late += other.late;
        for (flaw, count) in other.malformed {
            *self.malformed.entry(flaw).or_default() += count;
        }
        self.first_us = [self.first_us, other.first_us].into_iter().flatten().min();
        self.last_us = [self.last_us, other.last_us].into_iter().flatten().max();
        let mut index_here = vec![0; other.regions.len()];
        for (name, &index) in &other.regions {
            index_here[index] = self.region(name);
        }
        for (date, tallies) in other.days {
            let day = self.days.entry(date).or_default();
            for (tally, &region) in tallies.iter().zip(&index_here) {
                if day.len() <= region {
                    day.resize(region + 1, Tally::default());
                }
                day[region].add(tally);
            }
        }
    }

    /// All messages: rows and malformed ones.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes of all values, without keys and before compression.
    pub fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    /// Rows sent later than their event time suggests, duplicates not counted.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Malformed messages by their flaw.
    pub fn malformed(&self) -> &BTreeMap<Flaw, u64> {
        &self.malformed
    }

    /// Earliest and latest event time, microseconds since the epoch.
    pub fn event_times_us(&self) -> Option<(i64, i64)> {
        self.first_us.zip(self.last_us)
    }

    /// Tallies by day and region, in order, without empty ones.
    pub fn by_date_and_region(&self) -> BTreeMap<(NaiveDate, &str), Tally> {
        let mut names = vec![""; self.regions.len()];
        for (name, &index) in &self.regions {
            names[index] = name;
        }
        let in_hand = (!self.day.tallies.is_empty()).then_some((&self.day.date, &self.day.tallies));
        self.days
            .iter()
            .chain(in_hand)
            .flat_map(|(date, tallies)| {
                tallies
                    .iter()
                    .zip(&names)
                    .map(|(tally, name)| ((*date, *name), *tally))
            })
            .filter(|(_, tally)| tally.rows > 0)
            .collect()
    }
}

/// The first instant of a local day, microseconds since the epoch. Where clocks skip midnight, the
/// first instant after the gap.
pub fn start_of_day(date: NaiveDate, zone: Tz) -> i64 {
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    (0..=48)
        .filter_map(|quarters| {
            let later = midnight.checked_add_signed(chrono::TimeDelta::minutes(quarters * 15))?;
            zone.from_local_datetime(&later).earliest()
        })
        .map(|instant| instant.timestamp_micros())
        .next()
        .unwrap_or_else(|| midnight.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, region: &'static str, amount_cents: i64, duplicate: bool) -> Fact<'static> {
        let sold_at_us = DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp_micros();
        Fact::Row(Row {
            sold_at_us,
            region,
            amount_cents,
            late: false,
            duplicate,
        })
    }

    fn facts() -> Vec<Fact<'static>> {
        vec![
            row("2026-01-30T10:00:00Z", "Bretagne", 1230, false),
            row("2026-01-30T22:59:59.999999Z", "Île-de-France", 5, false),
            row("2026-01-30T23:00:00Z", "Île-de-France", 70, false),
            row("2026-01-30T23:00:00Z", "Île-de-France", 70, true),
            Fact::Malformed(Flaw::Truncated),
            row("2026-01-30T11:00:00Z", "Bretagne", -30, false),
        ]
    }

    fn count(zone: Tz, facts: &[Fact<'static>]) -> Totals {
        let mut totals = Totals::new(zone);
        for fact in facts {
            totals.count(fact, 10);
        }
        totals
    }

    #[test]
    fn rows_fall_on_the_days_of_the_zone() {
        let facts = facts();
        for (zone, last_day) in [(Tz::UTC, 30), (Tz::Europe__Paris, 31)] {
            let totals = count(zone, &facts);
            let tallies = totals.by_date_and_region();
            let on = |day, region| {
                let date = NaiveDate::from_ymd_opt(2026, 1, day).unwrap();
                tallies.get(&(date, region)).copied().unwrap_or_default()
            };
            assert_eq!(on(30, "Bretagne").rows, 2);
            assert_eq!(on(30, "Bretagne").amount_cents, 1200);
            let late_evening = on(last_day, "Île-de-France");
            assert_eq!(late_evening.duplicate_rows, 1);
            assert_eq!(late_evening.duplicate_amount_cents, 70);
            assert_eq!(tallies.values().map(|t| t.rows).sum::<u64>(), 5);
            assert_eq!((totals.messages(), totals.value_bytes()), (6, 60));
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        // GIVEN the same facts counted at once and in two parts of any size. THEN all is equal.
        let facts = facts();
        let whole = count(Tz::Europe__Paris, &facts);
        for cut in 0..=facts.len() {
            let mut merged = count(Tz::Europe__Paris, &facts[..cut]);
            merged.merge(count(Tz::Europe__Paris, &facts[cut..]));
            assert_eq!(
                merged.by_date_and_region(),
                whole.by_date_and_region(),
                "cut at {cut}"
            );
            assert_eq!(merged.messages(), whole.messages());
            assert_eq!(merged.malformed(), whole.malformed());
            assert_eq!(merged.event_times_us(), whole.event_times_us());
        }
    }

    #[test]
    fn days_with_another_length_keep_their_bounds() {
        // GIVEN the two days on which Paris changes its clocks. THEN they have 23 and 25 hours.
        for (month, day, hours) in [(3, 29, 23), (10, 25, 25)] {
            let date = NaiveDate::from_ymd_opt(2026, month, day).unwrap();
            let next = date.succ_opt().unwrap();
            let length =
                start_of_day(next, Tz::Europe__Paris) - start_of_day(date, Tz::Europe__Paris);
            assert_eq!(length, hours * 3_600_000_000);
        }
    }
}
