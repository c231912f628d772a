//! From a view to its figures.
//!
//! ```text
//! View + cube (+ history for parts of older days) ─► Figures
//! View + Figures + tallies of sales ─► Analysis
//! ```
//!
//! Owns: which part of a period comes from where, adding up, the shape of the answer.
//! Does not own: keeping the cube right (see `feed`), HTTP (see `web`).

mod view;
mod history;
mod answer;
mod analysed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use analysed::{Analysis, Customers, ForecastAnswer, Foretold, Spread, Spreads, Statistics};
pub use answer::{Figures, Named, PeriodAnswer, Point, Scales, Totals};
pub use history::History;
pub use view::{Period, View, ViewError};

use crate::analysis::Analysed;
use crate::analysis::forecast::Forecasts;
use crate::calendar::{Minute, Step, rfc3339};
use crate::cube::{Cells, Cube, Sums};
use crate::feed::Shared;
use crate::mirror::MirrorError;
use history::Slice;

/// Minutes of [`Figures::per_minute`].
const RECENT: Minute = 60;

/// Computes figures.
#[derive(Clone, Debug)]
pub struct Figurer {
    shared: Arc<Shared>,
    history: Arc<History>,
    analysed: Arc<Analysed>,
    forecasts: Arc<Forecasts>,
    scales: Scales,
}

/// Where the parts of a period are.
struct Plan {
    from: Minute,
    to: Minute,
    step: Step,
    /// Window's start when it was planned.
    window_start: Minute,
    /// Whole days before the window, by their first minutes.
    days: Option<(Minute, Minute)>,
    /// What the database must be asked for.
    slices: Vec<(Minute, Minute)>,
}

impl Figurer {
    /// Computes from the shared cube and tallies, and asks `history` for the rest.
    pub fn new(
        shared: Arc<Shared>,
        history: Arc<History>,
        analysed: Arc<Analysed>,
        scales: Scales,
    ) -> Self {
        Self {
            shared,
            history,
            analysed,
            forecasts: Arc::default(),
            scales,
        }
    }

    /// All figures of a view, of one moment of the cube.
    ///
    /// # Errors
    /// When the period needs the database and that is away.
    pub async fn figures(&self, view: &View) -> Result<Figures, MirrorError> {
        loop {
            let plan = self.plan(view.period);
            let mut slices = Vec::new();
            let mut current = true;
            for (from, to) in &plan.slices {
                let (slice, is_current) = self.history.slice(plan.step, *from, *to).await?;
                current &= is_current;
                slices.push(slice);
            }
            let cube = self.shared.cube();
            // At midnight the window moves: what was asked for is then not what is missing.
            if cube.window_start() == plan.window_start {
                return Ok(self.add_up(&cube, view, &plan, &slices, current));
            }
        }
    }

    fn plan(&self, period: Period) -> Plan {
        let (calendar, now) = (self.shared.calendar, self.shared.now());
        let cube = self.shared.cube();
        let window_start = cube.window_start();
        let (from, to) = period.range(calendar, now).unwrap_or_else(|| {
            let first = cube.first_minute().unwrap_or(now);
            (first, cube.last_minute().unwrap_or(now).max(first) + 1)
        });
        let step = Step::of_span(to - from);
        let mut plan = Plan {
            from,
            to,
            step,
            window_start,
            days: None,
            slices: Vec::new(),
        };
        let old_to = to.min(window_start);
        if from >= old_to {
            return plan;
        }
        if step.minutes().is_some() {
            plan.slices.push((from, old_to));
            return plan;
        }
        let floor = |minute| calendar.floor(Step::Day, minute);
        let first = if floor(from) == from {
            from
        } else {
            calendar.next(Step::Day, floor(from))
        };
        let last = floor(old_to);
        if first < last {
            plan.days = Some((first, last));
            plan.slices.extend([(from, first), (last, old_to)]);
        } else {
            plan.slices.push((from, old_to));
        }
        plan.slices.retain(|(from, to)| from < to);
        plan
    }

    fn add_up(
        &self,
        cube: &Cube,
        view: &View,
        plan: &Plan,
        slices: &[Arc<Slice>],
        current: bool,
    ) -> Figures {
        let (calendar, now) = (self.shared.calendar, self.shared.now());
        let passes = Passes::of(cube, view);
        let mut adder = Adder::default();
        let floor = |minute: Minute| calendar.floor(plan.step, minute).max(plan.from);
        for (minute, cells) in slices.iter().flat_map(|slice| &slice.steps) {
            adder.add(floor(*minute), cells, &passes);
        }
        if let Some((from, to)) = plan.days {
            for (day, cells) in cube.days(calendar.day_of(from), calendar.day_of(to)) {
                adder.add(floor(calendar.first_minute(day)), cells, &passes);
            }
        }
        // Minutes come in order, so a step's beginning is looked up once a step, not once a minute.
        let mut step = (plan.from, plan.from);
        for (minute, cells) in cube.minutes(plan.from, plan.to) {
            if minute >= step.1 {
                let start = calendar.floor(plan.step, minute);
                step = (start.max(plan.from), calendar.next(plan.step, start));
            }
            adder.add(step.0, cells, &passes);
        }
        let mut recent = Adder::default();
        for (minute, cells) in cube.minutes(now + 1 - RECENT, now + 1) {
            recent.add(minute, cells, &passes);
        }
        let archive = plan.days.is_none() && view.period != Period::All || cube.archive_complete();
        let old = plan.from < plan.window_start;
        let settled =
            (!old || cube.unsettled.days.is_empty() && current) && cube.groups.has_all_categories();
        self.answer(
            cube,
            view,
            plan,
            &adder,
            &recent,
            archive && settled && cube.unsettled.minutes.is_empty(),
        )
    }

    fn answer(
        &self,
        cube: &Cube,
        view: &View,
        plan: &Plan,
        adder: &Adder,
        recent: &Adder,
        complete: bool,
    ) -> Figures {
        let (calendar, now, scales) = (self.shared.calendar, self.shared.now(), self.scales);
        let mut total = Sums::default();
        let (mut regions, mut products, mut categories) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        for (id, sums) in &adder.by_group {
            let group = &cube.groups.list()[*id as usize];
            total += *sums;
            *regions.entry(&*group.region).or_insert_with(Sums::default) += *sums;
            *products
                .entry(&*group.product)
                .or_insert_with(Sums::default) += *sums;
            *categories
                .entry(cube.groups.category(group))
                .or_insert_with(Sums::default) += *sums;
        }
        // The axis ends with the data or now, not with a midnight to come.
        let last = cube.last_minute().unwrap_or(now).max(now) + 1;
        let mut over_time = Vec::new();
        let mut start = plan.from;
        while start < plan.to.min(last.max(plan.from + 1)) {
            let sums = adder.by_step.get(&start).copied().unwrap_or_default();
            over_time.push(scales.point(start, sums));
            start = calendar.next(plan.step, calendar.floor(plan.step, start));
        }
        let per_minute = (now + 1 - RECENT..=now)
            .map(|minute| {
                scales.point(
                    minute,
                    recent.by_step.get(&minute).copied().unwrap_or_default(),
                )
            })
            .collect();
        Figures {
            range: (plan.from, plan.to),
            period: PeriodAnswer {
                name: view.period.name(),
                from: rfc3339(plan.from),
                to: rfc3339(plan.to),
                time_zone: calendar.0.name().to_owned(),
                step: plan.step,
            },
            version: cube.version(),
            complete,
            groups: cube.groups.list().len(),
            totals: scales.totals(total),
            over_time,
            by_region: ranked(regions, scales),
            by_product: ranked(products, scales),
            by_category: ranked(categories, scales),
            per_minute,
        }
    }
}

fn ranked(sums: HashMap<&str, Sums>, scales: Scales) -> Vec<Named> {
    let mut list: Vec<(&str, Sums)> = sums.into_iter().collect();
    list.sort_by(|(a, x), (b, y)| y.amount.cmp(&x.amount).then(a.cmp(b)));
    list.into_iter()
        .map(|(name, sums)| scales.named(name.to_owned(), sums))
        .collect()
}

/// Which groups pass a view's filters, by their numbers.
struct Passes(Vec<bool>);

impl Passes {
    fn of(cube: &Cube, view: &View) -> Self {
        let wanted = |names: &std::collections::BTreeSet<String>, name: &str| {
            names.is_empty() || names.contains(name)
        };
        let groups = cube.groups.list().iter().map(|group| {
            wanted(&view.regions, &group.region)
                && wanted(&view.products, &group.product)
                && wanted(&view.categories, cube.groups.category(group))
        });
        Self(groups.collect())
    }
}

#[derive(Default)]
struct Adder {
    by_step: BTreeMap<Minute, Sums>,
    by_group: HashMap<u32, Sums>,
}

impl Adder {
    fn add(&mut self, step: Minute, cells: &Cells, passes: &Passes) {
        let mut total = Sums::default();
        for (group, sums) in cells {
            if passes.0.get(*group as usize).copied().unwrap_or(false) {
                total += *sums;
                *self.by_group.entry(*group).or_default() += *sums;
            }
        }
        if !total.is_zero() {
            *self.by_step.entry(step).or_default() += total;
        }
    }
}
