//! What sales one by one say of a view: statistics, customers, forecast; and their shape as JSON.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use serde::Serialize;

use super::{Figurer, Figures, Passes, PeriodAnswer, Scales, View};
use crate::analysis::forecast::{self, HeldBack};
use crate::analysis::{self, Coverage, Tally};
use crate::calendar::{Minute, rfc3339};
use crate::cube::Cube;
use crate::decimal;

/// Everything that is computed of a view beside its sums.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// What it is of.
    pub period: PeriodAnswer,
    /// How amounts spread; null where sales are not read.
    pub statistics: Option<Statistics>,
    /// How many customers; null where sales are not read.
    pub customers: Option<Customers>,
    /// What comes next.
    pub forecast: ForecastAnswer,
}

/// From where on sales were read for an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Covered {
    /// First moment: the period's, or the first of the days that are kept.
    pub from: String,
    /// First moment after it.
    pub to: String,
    /// False until all sales in between were read once.
    pub complete: bool,
}

/// How amounts of sales spread.
#[derive(Clone, Debug, Serialize)]
pub struct Statistics {
    /// Of which time.
    #[serde(flatten)]
    pub covered: Covered,
    /// Of all sales.
    pub total: Spread,
    /// By region, largest amount first.
    pub by_region: Vec<Spreads>,
    /// By product, largest amount first.
    pub by_product: Vec<Spreads>,
}

/// Count, sum, mean and standard deviation of amounts.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// Sales with an amount.
    pub count: i64,
    /// Exact sum.
    pub amount: String,
    /// Amount by sale, rounded half away from zero; null of nothing.
    pub mean: Option<String>,
    /// Standard deviation of the sample, in the currency; null of fewer than two.
    pub deviation: Option<f64>,
    #[serde(skip)]
    exact: (i128, Option<i128>),
}

/// The same of a region or product.
#[derive(Clone, Debug, Serialize)]
pub struct Spreads {
    /// Its name; empty for sales without.
    pub name: String,
    /// Of its sales.
    #[serde(flatten)]
    pub spread: Spread,
}

/// How many different customers.
#[derive(Clone, Debug, Serialize)]
pub struct Customers {
    /// Of which time.
    #[serde(flatten)]
    pub covered: Covered,
    /// How many, as estimated from the sample.
    pub estimate: u64,
    /// Not fewer than this.
    pub low: u64,
    /// Not more than this.
    pub high: u64,
    /// How sure the bounds are.
    pub confidence: f64,
    /// Whether everybody is in the sample, so that the number is exact.
    pub exact: bool,
    /// Sales.
    pub sales: i64,
    /// Sales whose customer is known.
    pub identified: i64,
}

/// Why there is a forecast, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForecastStatus {
    /// There is one.
    Made,
    /// Too few full steps are known.
    Short,
    /// The period ends before now.
    Over,
    /// Older days are still being read.
    Waiting,
}

/// Revenue to come, by the steps of the view's time axis.
#[derive(Clone, Debug, Serialize)]
pub struct ForecastAnswer {
    /// Whether there is one.
    pub status: ForecastStatus,
    /// Full steps it is made from. The step that is not over is none of them.
    pub known_steps: usize,
    /// Fewer of them are too few.
    pub fewest_steps: usize,
    /// Steps after which revenue repeats itself; null where no season was found to help.
    pub season: Option<usize>,
    /// How sure the bounds are.
    pub confidence: f64,
    /// The steps to come, the one that is not over first.
    pub steps: Vec<Foretold>,
    /// How well the last steps would have been forecast.
    pub held_back: Option<HeldBackAnswer>,
}

/// One step of a forecast.
#[derive(Clone, Debug, Serialize)]
pub struct Foretold {
    /// When it begins.
    pub start: String,
    /// What is expected.
    pub amount: String,
    /// Not less than this.
    pub low: String,
    /// Not more than this.
    pub high: String,
    #[serde(skip)]
    exact: (Minute, [i128; 3]),
}

/// Errors of steps that were held back.
#[derive(Clone, Debug, Serialize)]
pub struct HeldBackAnswer {
    /// How many.
    pub steps: usize,
    /// Sum of absolute errors by sum of amounts; null where there were none.
    pub relative_error: Option<f64>,
    /// Mean absolute error by that of the guess that nothing changes from season to season.
    pub scaled_error: Option<f64>,
    /// How many lie between their bounds.
    pub inside: usize,
}

impl Spread {
    /// Sum and rounded mean, exact.
    pub fn exact(&self) -> (i128, Option<i128>) {
        self.exact
    }
}

impl Foretold {
    /// First minute, and the amounts: what is expected, the lower and the upper bound.
    pub fn exact(&self) -> (Minute, [i128; 3]) {
        self.exact
    }
}

impl From<HeldBack> for HeldBackAnswer {
    fn from(held_back: HeldBack) -> Self {
        Self {
            steps: held_back.steps,
            relative_error: held_back.relative_error,
            scaled_error: held_back.scaled_error,
            inside: held_back.inside,
        }
    }
}

/// Hashes are uniform already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // The first bits of all hashes in a thin sample are zeros, and a table looks at some of them.
        self.0 = hash.rotate_left(32);
    }
}

impl Figurer {
    /// What sales one by one say of a view whose figures are computed. Parts of older days that nobody has looked
    /// at before are asked for, and are there some moments later.
    pub fn analysis(&self, view: &View, figures: &Figures) -> Analysis {
        let (statistics, customers) = match self.tallied(view, figures) {
            Some((statistics, customers)) => (Some(statistics), Some(customers)),
            None => (None, None),
        };
        Analysis {
            period: figures.period.clone(),
            statistics,
            customers,
            forecast: self.forecast(figures),
        }
    }

    fn tallied(&self, view: &View, figures: &Figures) -> Option<(Statistics, Customers)> {
        let cube = self.shared.cube();
        let tallies = self.analysed.tallies();
        if tallies.limits().days == 0 {
            return None;
        }
        let passes = Passes::of(&cube, view);
        let passes = |group: u32| passes.0.get(group as usize).copied().unwrap_or(false);
        let (from, to) = figures.range;
        let mut by_group: HashMap<u32, Tally> = HashMap::new();
        let mut seen: HashSet<u64, BuildHasherDefault<AsItIs>> = HashSet::default();
        let (mut covered, missing) = tallies.over(from, to, |bucket| {
            for (group, tally) in bucket.tallies.iter().filter(|(group, _)| passes(**group)) {
                by_group.entry(*group).or_default().merge(tally);
            }
            let sample = bucket.sample.iter().filter(|(group, _)| passes(*group));
            seen.extend(sample.map(|(_, hash)| *hash));
        });
        let level = tallies.level();
        let heard = tallies.is_read(&cube.touched, from, to);
        drop(tallies);
        if !missing.is_empty() {
            self.analysed.tallies_mut().want(&missing);
        }
        covered.complete &= figures.complete && heard;
        let covered = answer(covered, to);
        let statistics = statistics(&cube, &by_group, covered.clone(), self.scales);
        let estimate = level.estimate(seen.len() as u64);
        let sum = |of: fn(&Tally) -> i64| by_group.values().map(of).sum();
        let customers = Customers {
            covered,
            estimate: estimate.customers,
            low: estimate.low,
            high: estimate.high,
            confidence: analysis::CONFIDENCE,
            exact: estimate.low == estimate.high,
            sales: sum(|tally| tally.sales),
            identified: sum(|tally| tally.identified),
        };
        Some((statistics, customers))
    }

    fn forecast(&self, figures: &Figures) -> ForecastAnswer {
        let (calendar, now, step) = (self.shared.calendar, self.shared.now(), figures.period.step);
        let end = |start: Minute| calendar.next(step, calendar.floor(step, start));
        let full = |start: Minute| {
            calendar.floor(step, start) == start && end(start) <= now.min(figures.range.1)
        };
        let points: Vec<_> = figures
            .over_time
            .iter()
            .filter(|point| full(point.minute))
            .collect();
        // History begins with the first sale, in the middle of its step.
        let empty = points.iter().take_while(|point| point.exact().count == 0);
        let points = match empty.count() {
            0 => points.as_slice(),
            empty => points.get(empty + 1..).unwrap_or_default(),
        };
        let series: Vec<f64> = points
            .iter()
            .map(|point| point.exact().amount as f64)
            .collect();
        let made = match (figures.complete, figures.range.1 > now) {
            (false, _) => Err(ForecastStatus::Waiting),
            (true, false) => Err(ForecastStatus::Over),
            (true, true) => self
                .forecasts
                .of(&series, forecast::season(step))
                .ok_or(ForecastStatus::Short),
        };
        let mut answer = ForecastAnswer {
            status: made.as_ref().err().copied().unwrap_or(ForecastStatus::Made),
            known_steps: series.len(),
            fewest_steps: forecast::FEWEST_STEPS,
            season: None,
            confidence: forecast::CONFIDENCE,
            steps: Vec::new(),
            held_back: None,
        };
        if let (Ok(made), Some(last)) = (made, points.last()) {
            let mut start = last.minute;
            let steps = made.steps.iter().map(|step| {
                start = end(start);
                foretold(start, [step.value, step.low, step.high], self.scales)
            });
            answer.steps = steps.collect();
            answer.season = made.season;
            answer.held_back = Some(made.held_back.into());
        }
        answer
    }
}

fn answer(covered: Coverage, to: Minute) -> Covered {
    Covered {
        from: rfc3339(covered.from),
        to: rfc3339(to),
        complete: covered.complete,
    }
}

fn statistics(
    cube: &Cube,
    by_group: &HashMap<u32, Tally>,
    covered: Covered,
    scales: Scales,
) -> Statistics {
    let mut total = Tally::default();
    let (mut regions, mut products) = (HashMap::new(), HashMap::new());
    for (id, tally) in by_group {
        let group = &cube.groups.list()[*id as usize];
        total.merge(tally);
        let names = [
            (&mut regions, &*group.region),
            (&mut products, &*group.product),
        ];
        for (list, name) in names {
            let list: &mut HashMap<&str, Tally> = list;
            list.entry(name).or_default().merge(tally);
        }
    }
    Statistics {
        covered,
        total: spread(&total, scales),
        by_region: ranked(regions, scales),
        by_product: ranked(products, scales),
    }
}

fn ranked(tallies: HashMap<&str, Tally>, scales: Scales) -> Vec<Spreads> {
    let mut list: Vec<(&str, Tally)> = tallies.into_iter().collect();
    list.sort_by(|(a, x), (b, y)| {
        let larger = y.moments.sum().cmp(&x.moments.sum());
        larger.then(a.cmp(b))
    });
    list.into_iter()
        .map(|(name, tally)| Spreads {
            name: name.to_owned(),
            spread: spread(&tally, scales),
        })
        .collect()
}

fn spread(tally: &Tally, scales: Scales) -> Spread {
    let moments = &tally.moments;
    let mean = decimal::mean(moments.sum(), moments.count());
    let unit = 10_f64.powi(i32::try_from(scales.amount).unwrap_or(0));
    Spread {
        count: moments.count(),
        amount: decimal::text(moments.sum(), scales.amount),
        mean: mean.map(|mean| decimal::text(mean, scales.amount)),
        deviation: moments.deviation().map(|deviation| deviation / unit),
        exact: (moments.sum(), mean),
    }
}

fn foretold(start: Minute, values: [f64; 3], scales: Scales) -> Foretold {
    // Out of range only where a forecast makes no sense: then the last number there is.
    let exact = values.map(|value| value.round() as i128);
    let [amount, low, high] = exact.map(|value| decimal::text(value, scales.amount));
    Foretold {
        start: rfc3339(start),
        amount,
        low,
        high,
        exact: (start, exact),
    }
}
