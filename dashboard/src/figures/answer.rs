//! The shape of the figures as JSON. Amounts and quantities are exact decimal texts.

use serde::Serialize;

use crate::calendar::{Minute, Step, rfc3339};
use crate::cube::Sums;
use crate::decimal;

/// All figures of a view.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// First minute of the period, and the one after it.
    #[serde(skip)]
    pub(super) range: (Minute, Minute),
    /// What they are figures of.
    pub period: PeriodAnswer,
    /// Counts up with every change.
    pub version: u64,
    /// False while older days are still being loaded or read again.
    pub complete: bool,
    /// Combinations of region, product and category known; when it grows, choices have changed.
    pub groups: usize,
    /// Sums over everything.
    pub totals: Totals,
    /// Points of the time axis, in order, without gaps.
    pub over_time: Vec<Point>,
    /// By region, largest amount first.
    pub by_region: Vec<Named>,
    /// By product, largest amount first.
    pub by_product: Vec<Named>,
    /// By category, largest amount first.
    pub by_category: Vec<Named>,
    /// The last sixty minutes, whatever the period; the current one is not over yet.
    pub per_minute: Vec<Point>,
}

/// A period, resolved.
#[derive(Clone, Debug, Serialize)]
pub struct PeriodAnswer {
    /// Its name, or `between`.
    pub name: &'static str,
    /// First moment.
    pub from: String,
    /// First moment after it.
    pub to: String,
    /// IANA time zone in which days are counted.
    pub time_zone: String,
    /// Width of a point of `over_time`.
    pub step: Step,
}

/// Sums over everything, and the average.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    #[serde(flatten)]
    sums: SumsAnswer,
    /// Amount by sale, rounded half away from zero; null of nothing.
    average: Option<String>,
}

/// Sums of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// When the step begins.
    pub start: String,
    #[serde(skip)]
    pub(super) minute: Minute,
    #[serde(flatten)]
    sums: SumsAnswer,
}

/// Sums of a region, product or category.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// Its name; empty for sales without.
    pub name: String,
    #[serde(flatten)]
    sums: SumsAnswer,
}

#[derive(Clone, Debug, Serialize)]
struct SumsAnswer {
    #[serde(skip)]
    exact: Sums,
    count: i64,
    amount: String,
    quantity: String,
}

impl Point {
    /// The exact sums.
    pub fn exact(&self) -> Sums {
        self.sums.exact
    }
}

impl Named {
    /// The exact sums.
    pub fn exact(&self) -> Sums {
        self.sums.exact
    }
}

/// Digits after the point.
#[derive(Clone, Copy, Debug)]
pub struct Scales {
    /// Of amounts.
    pub amount: u32,
    /// Of quantities.
    pub quantity: u32,
}

impl Scales {
    pub(super) fn totals(self, sums: Sums) -> Totals {
        let average = decimal::mean(sums.amount, sums.count);
        Totals {
            sums: self.sums(sums),
            average: average.map(|average| decimal::text(average, self.amount)),
        }
    }

    pub(super) fn point(self, minute: Minute, sums: Sums) -> Point {
        Point {
            start: rfc3339(minute),
            minute,
            sums: self.sums(sums),
        }
    }

    pub(super) fn named(self, name: String, sums: Sums) -> Named {
        Named {
            name,
            sums: self.sums(sums),
        }
    }

    fn sums(self, sums: Sums) -> SumsAnswer {
        SumsAnswer {
            exact: sums,
            count: sums.count,
            amount: decimal::text(sums.amount, self.amount),
            quantity: decimal::text(sums.quantity, self.quantity),
        }
    }
}
