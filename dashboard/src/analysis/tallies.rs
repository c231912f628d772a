//! What is known of sales one by one, in buckets of time: how amounts spread, and a sample of customers.
//!
//! ```text
//! parts that changed ─► what to read next ─► sales of that part ─► Bucket, in place of the one before
//! ```
//!
//! Buckets are minutes in the cube's window and local days before it, as the cube has them; parts of older days
//! are read when somebody looks at them. A bucket is always made of all of its sales, so nothing is added twice
//! and a corrected sale needs no subtraction.
//!
//! Owns: the buckets, what must be read, the bound on the sample. Does not own: reading (see `reader`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use super::bucket::Bucket;
use super::customers::Level;
use crate::calendar::{Calendar, Minute};
use crate::cube::{Cube, Parts};

/// Sales that are read in one go, unless one bucket has more.
const SALES_AT_ONCE: i64 = 200_000;

/// Minutes that are read in one go, at most. Those in between that have not changed are read along.
const UNREAD_AT_ONCE: Minute = 1_440;
const STALE_AT_ONCE: Minute = 10;

/// Parts of older days that are held.
const MOST_EDGES: usize = 64;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Local days, today included; none when sales are not read at all.
    pub days: u64,
    /// Customers in the sample, each counted once for every bucket and group: 16 bytes each.
    pub sample: usize,
}

/// What is to be read next: all sales from one minute to before another.
#[derive(Clone, Debug)]
pub struct Work {
    /// First minute.
    pub from: Minute,
    /// The minute after the last.
    pub to: Minute,
    /// How the sales are told apart.
    pub by: By,
    /// Whether something of it was read before.
    pub again: bool,
    unread: Parts,
    stale: Parts,
}

/// What the buckets of a [`Work`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One for each minute.
    Minute,
    /// One for each local day, by its first minute.
    Day,
    /// One for all.
    Stretch,
}

/// Which part of a period the buckets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// First minute: the period's, or the first that is kept.
    pub from: Minute,
    /// Whether every part of it was read once.
    pub complete: bool,
}

/// All buckets.
#[derive(Debug)]
pub struct Tallies {
    calendar: Calendar,
    limits: Limits,
    first_day: NaiveDate,
    window_start: Minute,
    minutes: BTreeMap<Minute, Bucket>,
    days: BTreeMap<NaiveDate, Bucket>,
    edges: BTreeMap<(Minute, Minute), Bucket>,
    wanted: BTreeSet<(Minute, Minute)>,
    unread: Parts,
    stale: Parts,
    reading: Option<Work>,
    days_turn: bool,
    level: Level,
    sample: usize,
    version: u64,
}

impl Tallies {
    /// Nothing is read yet.
    pub fn new(calendar: Calendar, limits: Limits, now: Minute) -> Self {
        let days_before = limits.days.saturating_sub(1);
        Self {
            calendar,
            limits,
            first_day: calendar.day_of(calendar.days_before(now, days_before)),
            window_start: Minute::MIN,
            minutes: BTreeMap::new(),
            days: BTreeMap::new(),
            edges: BTreeMap::new(),
            wanted: BTreeSet::new(),
            unread: Parts::default(),
            stale: Parts::default(),
            reading: None,
            days_turn: false,
            level: Level::default(),
            sample: 0,
            version: 0,
        }
    }

    /// What is kept.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// A bucket to read sales into.
    pub fn empty_bucket(&self) -> Bucket {
        Bucket::new(self.level, self.limits.sample / 2)
    }

    /// Changes with every bucket.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One customer in how many is in the sample.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Customers in the sample, and tallies.
    pub fn size(&self) -> (usize, usize) {
        (
            self.sample,
            self.buckets().map(|bucket| bucket.tallies.len()).sum(),
        )
    }

    /// Hears what has changed, and what day it is.
    pub fn hear(&mut self, touched: Parts, window_start: Minute, now: Minute) {
        let days_before = self.limits.days.saturating_sub(1);
        let first_day = self
            .calendar
            .day_of(self.calendar.days_before(now, days_before));
        let still = first_day == self.first_day && window_start == self.window_start;
        if still && touched.is_empty() {
            return;
        }
        if touched.everything {
            let version = self.version + 1;
            *self = Self::new(self.calendar, self.limits, now);
            self.version = version;
        }
        let (mut unread, mut stale) = (Parts::default(), Parts::default());
        for minute in touched.minutes {
            let known = self.minutes.contains_key(&minute);
            let parts = if known { &mut stale } else { &mut unread };
            parts.minutes.insert(minute);
        }
        for day in touched.days {
            let known = self.days.contains_key(&day) && !self.unread.days.contains(&day);
            let parts = if known { &mut stale } else { &mut unread };
            parts.days.insert(day);
            let calendar = self.calendar;
            self.edges
                .retain(|(from, _), _| calendar.day_of(*from) != day);
        }
        self.unread.extend(unread);
        self.stale.extend(stale);
        self.roll(window_start);
        self.first_day = first_day;
        for parts in [&mut self.unread, &mut self.stale] {
            parts.days = parts.days.split_off(&self.first_day);
        }
        self.days = self.days.split_off(&self.first_day);
        self.count();
    }

    /// Minutes before the window become days.
    fn roll(&mut self, window_start: Minute) {
        if window_start <= self.window_start {
            return;
        }
        self.window_start = window_start;
        let kept = self.minutes.split_off(&window_start);
        for (minute, bucket) in std::mem::replace(&mut self.minutes, kept) {
            let day = self.calendar.day_of(minute);
            let empty = self.empty_bucket();
            self.days.entry(day).or_insert(empty).merge(bucket);
        }
        self.unread.roll(self.calendar, window_start);
        self.stale.roll(self.calendar, window_start);
    }

    /// What to read next: what was never read first, newest first. `again` allows to read what was read before.
    pub fn next(&mut self, cube: &Cube, again: bool) -> Option<Work> {
        let mut work = self
            .minutes_to_read(cube, &self.unread.minutes, UNREAD_AT_ONCE, false)
            .or_else(|| self.edge_to_read().filter(|_| again))
            .or_else(|| self.days_to_read(cube, &self.unread.days, false));
        if work.is_none() && again {
            self.days_turn = !self.days_turn;
            let minutes = || self.minutes_to_read(cube, &self.stale.minutes, STALE_AT_ONCE, true);
            let days = || self.days_to_read(cube, &self.stale.days, true);
            work = if self.days_turn {
                days().or_else(minutes)
            } else {
                minutes().or_else(days)
            };
        }
        let mut work = work?;
        work.unread = self.take_parts(&work, true);
        work.stale = self.take_parts(&work, false);
        self.reading = Some(work.clone());
        Some(work)
    }

    fn minutes_to_read(
        &self,
        cube: &Cube,
        of: &BTreeSet<Minute>,
        at_once: Minute,
        again: bool,
    ) -> Option<Work> {
        let last = *of.last()?;
        let sales = |from, to| -> i64 {
            let cells = cube.minutes(from, to).flat_map(|(_, cells)| cells.values());
            cells.map(|sums| sums.count).sum()
        };
        let mut from = last;
        let mut total = sales(last, last + 1);
        for minute in of.range(last - at_once + 1..last).rev() {
            total += sales(*minute, from);
            if total > SALES_AT_ONCE {
                break;
            }
            from = *minute;
        }
        Some(Work::new(from, last + 1, By::Minute, again))
    }

    fn days_to_read(&self, cube: &Cube, of: &BTreeSet<NaiveDate>, again: bool) -> Option<Work> {
        let last = *of.last()?;
        let sales = |day: NaiveDate| -> i64 {
            let cells = cube.days(day, day.succ_opt().unwrap_or(day));
            cells
                .flat_map(|(_, cells)| cells.values())
                .map(|sums| sums.count)
                .sum()
        };
        let (mut from, mut total) = (last, sales(last));
        for day in of.iter().rev().skip(1) {
            total += sales(*day);
            // One stretch without a hole, so that nothing is read for nothing.
            if total > SALES_AT_ONCE || day.succ_opt() != Some(from) {
                break;
            }
            from = *day;
        }
        let after = last.checked_add_days(Days::new(1)).unwrap_or(last);
        let (from, to) = (
            self.calendar.first_minute(from),
            self.calendar.first_minute(after),
        );
        Some(Work::new(from, to.min(self.window_start), By::Day, again))
    }

    fn edge_to_read(&self) -> Option<Work> {
        let (from, to) = *self.wanted.first()?;
        Some(Work::new(from, to, By::Stretch, true))
    }

    /// Takes out what the work will have read.
    fn take_parts(&mut self, work: &Work, unread: bool) -> Parts {
        let calendar = self.calendar;
        let parts = if unread {
            &mut self.unread
        } else {
            &mut self.stale
        };
        let mut taken = Parts::default();
        match work.by {
            By::Minute => {
                taken.minutes = parts.minutes.range(work.from..work.to).copied().collect();
                parts
                    .minutes
                    .retain(|minute| !taken.minutes.contains(minute));
            }
            By::Day => {
                let days = calendar.day_of(work.from)..=calendar.day_of(work.to - 1);
                taken.days = parts.days.range(days).copied().collect();
                parts.days.retain(|day| !taken.days.contains(day));
            }
            By::Stretch => {}
        }
        taken
    }

    /// Takes the buckets that were read, by their first minutes. Not after everything was forgotten.
    pub fn put(&mut self, work: &Work, buckets: BTreeMap<Minute, Bucket>) {
        if self.reading.is_none() {
            return;
        }
        if work.by == By::Minute && work.from < self.window_start {
            // Midnight passed while it was read.
            return self.failed();
        }
        self.reading = None;
        let mut buckets = buckets;
        buckets.values_mut().for_each(Bucket::seal);
        self.level = buckets
            .values()
            .map(|bucket| bucket.level)
            .fold(self.level, Ord::max);
        let empty = self.empty_bucket();
        match work.by {
            By::Minute => {
                self.minutes
                    .retain(|minute, _| !(work.from..work.to).contains(minute));
                let asked = work.unread.minutes.union(&work.stale.minutes).copied();
                let found: BTreeSet<Minute> = buckets.keys().copied().chain(asked).collect();
                for minute in found {
                    let bucket = buckets.remove(&minute);
                    self.minutes
                        .insert(minute, bucket.unwrap_or_else(|| empty.clone()));
                    // It changed while it was read for the first time.
                    if self.unread.minutes.remove(&minute) {
                        self.stale.minutes.insert(minute);
                    }
                }
            }
            By::Day => {
                for day in work.unread.days.union(&work.stale.days) {
                    let bucket = buckets.remove(&self.calendar.first_minute(*day));
                    self.days
                        .insert(*day, bucket.unwrap_or_else(|| empty.clone()));
                    if self.unread.days.remove(day) {
                        self.stale.days.insert(*day);
                    }
                }
            }
            By::Stretch => {
                let edge = (work.from, work.to);
                if self.edges.len() >= MOST_EDGES {
                    self.edges.pop_first();
                }
                self.edges
                    .insert(edge, buckets.remove(&work.from).unwrap_or(empty));
                self.wanted.remove(&edge);
            }
        }
        self.count();
    }

    /// What was to be read could not be.
    pub fn failed(&mut self) {
        if let Some(work) = self.reading.take() {
            self.unread.extend(work.unread);
            self.stale.extend(work.stale);
            self.unread.roll(self.calendar, self.window_start);
            self.stale.roll(self.calendar, self.window_start);
        }
    }

    /// Asks for parts of older days, as [`Self::over`] has found them missing.
    pub fn want(&mut self, edges: &[(Minute, Minute)]) {
        let room = MOST_EDGES.saturating_sub(self.wanted.len());
        self.wanted.extend(edges.iter().take(room));
    }

    /// Every bucket from a minute to before another, and which parts of older days must be asked for.
    pub fn over(
        &self,
        from: Minute,
        to: Minute,
        mut take: impl FnMut(&Bucket),
    ) -> (Coverage, Vec<(Minute, Minute)>) {
        let calendar = self.calendar;
        let from = from.max(calendar.first_minute(self.first_day)).min(to);
        let mut missing = Vec::new();
        // Before anything was heard, nothing is there.
        let mut complete = self.window_start > Minute::MIN;
        let old_to = to.min(self.window_start);
        let mut start = from;
        while start < old_to {
            let day = calendar.day_of(start);
            let midnight = calendar.first_minute(day.succ_opt().unwrap_or(day));
            let end = midnight.min(old_to).max(start + 1);
            if start == calendar.first_minute(day) && end == midnight {
                self.days.get(&day).into_iter().for_each(&mut take);
                complete &= !self.is_unread(|parts| parts.days.contains(&day));
            } else if let Some(bucket) = self.edges.get(&(start, end)) {
                take(bucket);
            } else {
                missing.push((start, end));
            }
            start = end;
        }
        let minutes = from.max(self.window_start)..to.max(from).max(self.window_start);
        complete &= !self.is_unread(|parts| parts.minutes.range(minutes.clone()).next().is_some());
        self.minutes
            .range(minutes)
            .for_each(|(_, bucket)| take(bucket));
        let complete = complete && missing.is_empty();
        (Coverage { from, complete }, missing)
    }

    /// Whether what has changed from a minute to before another, but was not heard of yet, was read once at least.
    pub fn is_read(&self, touched: &Parts, from: Minute, to: Minute) -> bool {
        let days = self.calendar.day_of(from)..=self.calendar.day_of(to.max(from + 1) - 1);
        let read_once = |day: &NaiveDate| self.days.contains_key(day) || *day < self.first_day;
        !touched.everything
            && touched.days.range(days).all(read_once)
            && touched
                .minutes
                .range(from..to.max(from))
                .all(|minute| self.minutes.contains_key(minute))
    }

    fn is_unread(&self, has: impl Fn(&Parts) -> bool) -> bool {
        has(&self.unread) || self.reading.as_ref().is_some_and(|work| has(&work.unread))
    }

    fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        let days = self.days.values().chain(self.edges.values());
        self.minutes.values().chain(days)
    }

    /// Counts the sample again, and takes fewer customers into it while it is too large.
    fn count(&mut self) {
        self.version += 1;
        loop {
            let level = self.level;
            let days = self.days.values_mut().chain(self.edges.values_mut());
            for bucket in self.minutes.values_mut().chain(days) {
                if bucket.level != level {
                    bucket.thin(level);
                }
            }
            self.sample = self.buckets().map(|bucket| bucket.sample.len()).sum();
            if self.sample <= self.limits.sample {
                return;
            }
            self.level = Level(level.0 + 1);
        }
    }
}

impl Work {
    fn new(from: Minute, to: Minute, by: By, again: bool) -> Self {
        Self {
            from,
            to,
            by,
            again,
            unread: Parts::default(),
            stale: Parts::default(),
        }
    }
}

#[cfg(test)]
mod tests;
