//! Sums of all sales in memory: by the minute in a window of recent local days, by local day before it.
//!
//! ```text
//! loaded rollups, changes of rollups ─► Cube ─► sums of any period, region, product, category
//! ```
//!
//! Owns: what is added up, what a change adds, which parts must be read again.
//! Does not own: reading anything (see `feed`), the shape of answers (see `figures`).
//!
//! Several documents may hold partial sums of one minute and group. For minutes that still change the
//! cube keeps what each document said last, so that a change, which tells a document's new sums, can be
//! turned into a difference. Where that is not held, the change names what to read again.

mod sums;
mod groups;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;

pub use groups::{Group, GroupId, Groups};
pub use sums::Sums;

use crate::calendar::{Calendar, Minute};

/// A rollup document's `_id`, hashed to 128 bits.
pub type DocumentKey = u128;

/// Sums by group.
pub type Cells = HashMap<GroupId, Sums>;

/// One rollup document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Which document.
    pub key: DocumentKey,
    /// Its minute.
    pub minute: Minute,
    /// Its group.
    pub group: GroupId,
    /// Its sums, absolute.
    pub sums: Sums,
}

/// What happened to a rollup document.
#[derive(Clone, Debug)]
pub enum Change {
    /// It was inserted or replaced, or was read again.
    Put(Rollup),
    /// Some of its sums have new, absolute values.
    Update {
        /// Which document.
        key: DocumentKey,
        /// The new count, if it changed.
        count: Option<i64>,
        /// The new amount, if it changed.
        amount: Option<i128>,
        /// The new quantity, if it changed.
        quantity: Option<i128>,
    },
    /// It is gone.
    Delete(DocumentKey),
}

/// Parts of all time, as the cube holds it.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Minutes in the window.
    pub minutes: BTreeSet<Minute>,
    /// Days before the window.
    pub days: BTreeSet<NaiveDate>,
    /// All of it.
    pub everything: bool,
}

impl Parts {
    /// Makes days of the minutes before `window_start`, a local midnight.
    pub fn roll(&mut self, calendar: Calendar, window_start: Minute) {
        let kept = self.minutes.split_off(&window_start);
        for minute in std::mem::replace(&mut self.minutes, kept) {
            self.days.insert(calendar.day_of(minute));
        }
    }

    /// Whether it is no part at all.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty() && self.days.is_empty() && !self.everything
    }

    /// Adds what the other has.
    pub fn extend(&mut self, other: Self) {
        self.minutes.extend(other.minutes);
        self.days.extend(other.days);
        self.everything |= other.everything;
    }
}

#[derive(Debug, Default)]
struct Slot {
    cells: Cells,
    /// When it was last changed, in seconds of the feed's clock; its documents are held until some
    /// time after that. `None`: they are not held any more.
    documents_held_since: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    minute: Minute,
    group: GroupId,
    sums: Sums,
}

/// The sums.
#[derive(Debug)]
pub struct Cube {
    calendar: Calendar,
    /// The groups of all sums.
    pub groups: Groups,
    /// First minute of the window, the beginning of a local day.
    window_start: Minute,
    window: BTreeMap<Minute, Slot>,
    documents: HashMap<DocumentKey, Held>,
    archive: BTreeMap<NaiveDate, Cells>,
    archive_complete: bool,
    /// What must be read again, because a change could not be applied by itself. Everything, when a document
    /// that nothing is known of was deleted: it may have been of any day.
    pub unsettled: Parts,
    /// What has changed since somebody took it from here: of these minutes and days there may be other sales.
    /// Everything, when all sums were forgotten.
    pub touched: Parts,
    version: u64,
    archive_version: u64,
}

impl Cube {
    /// Nothing, with a window from `window_start`.
    pub fn new(calendar: Calendar, window_start: Minute) -> Self {
        Self {
            calendar,
            groups: Groups::default(),
            window_start,
            window: BTreeMap::new(),
            documents: HashMap::new(),
            archive: BTreeMap::new(),
            archive_complete: false,
            unsettled: Parts::default(),
            touched: Parts::default(),
            version: 0,
            archive_version: 0,
        }
    }

    /// Says what categories products are of.
    pub fn set_categories(&mut self, found: Vec<(Arc<str>, String)>) {
        for (product, category) in found {
            self.groups.set_category(&product, &category);
        }
        self.version += 1;
    }

    /// Forgets all sums, keeps the groups: everything will be loaded again.
    pub fn clear(&mut self, window_start: Minute) {
        let groups = std::mem::take(&mut self.groups);
        let (version, archive_version) = (self.version, self.archive_version);
        *self = Self::new(self.calendar, window_start);
        self.groups = groups;
        self.touched.everything = true;
        self.version = version + 1;
        self.archive_version = archive_version + 1;
    }

    /// Changes with every change of a sum.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Changes when a sum before the window may have changed in the database.
    pub fn archive_version(&self) -> u64 {
        self.archive_version
    }

    /// First minute of the window.
    pub fn window_start(&self) -> Minute {
        self.window_start
    }

    /// Whether the days before the window are loaded.
    pub fn archive_complete(&self) -> bool {
        self.archive_complete
    }

    /// First minute with a sale, if there is one.
    pub fn first_minute(&self) -> Option<Minute> {
        let day = self.archive.iter().find(|(_, cells)| !cells.is_empty());
        day.map(|(day, _)| self.calendar.first_minute(*day))
            .or_else(|| self.window.keys().next().copied())
    }

    /// Last minute with a sale, if there is one; for days before the window, the day's last.
    pub fn last_minute(&self) -> Option<Minute> {
        self.window.keys().next_back().copied().or_else(|| {
            let (day, _) = self.archive.iter().next_back()?;
            Some(self.calendar.first_minute(day.succ_opt()?) - 1)
        })
    }

    /// Sums of the window by minute, `from` included and `to` not.
    pub fn minutes(&self, from: Minute, to: Minute) -> impl Iterator<Item = (Minute, &Cells)> {
        let from = from.max(self.window_start);
        let range = from..to.max(from);
        self.window
            .range(range)
            .map(|(minute, slot)| (*minute, &slot.cells))
    }

    /// Sums before the window by local day, `from` included and `to` not.
    pub fn days(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> impl Iterator<Item = (NaiveDate, &Cells)> {
        self.archive
            .range(from..to.max(from))
            .map(|(day, cells)| (*day, cells))
    }

    /// Applies a change, or notes what must be read again for it. `now_s` is the feed's clock.
    ///
    /// False of an update whose document is not held: it is to be looked up and put.
    pub fn apply(&mut self, change: Change, now_s: u64) -> bool {
        match change {
            Change::Put(rollup) => self.put(&rollup, now_s),
            Change::Update {
                key,
                count,
                amount,
                quantity,
            } => match self.documents.get(&key) {
                None => return false,
                Some(held) => {
                    let sums = Sums {
                        count: count.unwrap_or(held.sums.count),
                        amount: amount.unwrap_or(held.sums.amount),
                        quantity: quantity.unwrap_or(held.sums.quantity),
                    };
                    let (minute, group) = (held.minute, held.group);
                    self.put(
                        &Rollup {
                            key,
                            minute,
                            group,
                            sums,
                        },
                        now_s,
                    );
                }
            },
            Change::Delete(key) => match self.documents.remove(&key) {
                Some(held) => {
                    self.take_out(&held);
                    self.version += 1;
                }
                None => self.unsettled.everything = true,
            },
        }
        true
    }

    fn put(&mut self, rollup: &Rollup, now_s: u64) {
        let minute = rollup.minute;
        if minute < self.window_start {
            let day = self.calendar.day_of(minute);
            self.unsettled.days.insert(day);
            self.touched.days.insert(day);
            self.archive_version += 1;
            return;
        }
        self.touched.minutes.insert(minute);
        let slot = self.window.entry(minute).or_insert_with(|| Slot {
            cells: Cells::new(),
            documents_held_since: Some(now_s),
        });
        if slot.documents_held_since.is_none() {
            self.unsettled.minutes.insert(minute);
            return;
        }
        slot.documents_held_since = Some(now_s);
        *slot.cells.entry(rollup.group).or_default() += rollup.sums;
        let held = Held {
            minute,
            group: rollup.group,
            sums: rollup.sums,
        };
        if let Some(before) = self.documents.insert(rollup.key, held) {
            self.take_out(&before);
        }
        self.version += 1;
    }

    fn take_out(&mut self, held: &Held) {
        self.touched.minutes.insert(held.minute);
        if let Some(slot) = self.window.get_mut(&held.minute)
            && let Some(sums) = slot.cells.get_mut(&held.group)
        {
            *sums -= held.sums;
            if sums.is_zero() {
                slot.cells.remove(&held.group);
            }
        }
    }

    /// Puts what was read of one minute in place of what is there.
    pub fn replace_minute(&mut self, minute: Minute, rollups: &[Rollup], now_s: u64) {
        self.documents.retain(|_, held| held.minute != minute);
        self.window.remove(&minute);
        self.touched.minutes.insert(minute);
        for rollup in rollups {
            self.put(rollup, now_s);
        }
        self.version += 1;
    }

    /// Puts what was read of one day before the window in place of what is there.
    pub fn replace_day(&mut self, day: NaiveDate, cells: Cells) {
        if day < self.calendar.day_of(self.window_start) {
            self.archive.insert(day, cells);
            self.touched.days.insert(day);
            self.version += 1;
            self.archive_version += 1;
        }
    }

    /// Takes all days before the window that were read at the start.
    pub fn complete_archive(&mut self, days: BTreeMap<NaiveDate, Cells>) {
        for (day, cells) in days {
            self.replace_day(day, cells);
        }
        self.archive_complete = true;
        self.version += 1;
        self.archive_version += 1;
    }

    /// Moves the window's start, a local midnight, forward: what lies before it is held by day.
    pub fn roll(&mut self, window_start: Minute) {
        if window_start <= self.window_start {
            return;
        }
        let kept = self.window.split_off(&window_start);
        for (minute, slot) in std::mem::replace(&mut self.window, kept) {
            let day = self
                .archive
                .entry(self.calendar.day_of(minute))
                .or_default();
            for (group, sums) in slot.cells {
                *day.entry(group).or_default() += sums;
            }
        }
        self.documents.retain(|_, held| held.minute >= window_start);
        self.unsettled.roll(self.calendar, window_start);
        self.touched.roll(self.calendar, window_start);
        self.window_start = window_start;
        self.version += 1;
        self.archive_version += 1;
    }

    /// Forgets the documents of minutes that have not changed since `before_s`; their sums stay.
    pub fn forget_documents(&mut self, before_s: u64) {
        let window = &mut self.window;
        self.documents.retain(|_, held| {
            window
                .get(&held.minute)
                .and_then(|slot| slot.documents_held_since)
                .is_some_and(|since| since >= before_s)
        });
        for slot in window.values_mut() {
            slot.documents_held_since =
                slot.documents_held_since.filter(|since| *since >= before_s);
        }
    }

    /// Documents whose last sums are held, and cells.
    pub fn size(&self) -> (usize, usize) {
        let window: usize = self.window.values().map(|slot| slot.cells.len()).sum();
        let archive: usize = self.archive.values().map(HashMap::len).sum();
        (self.documents.len(), window + archive)
    }
}

#[cfg(test)]
mod tests;
