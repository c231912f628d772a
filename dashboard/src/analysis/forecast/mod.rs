//! What comes after a series, how sure that is, and how well it would have foretold what is known.
//!
//! ```text
//! sums of full steps ─► all but the last few ─► error of these few
//!                    └► all                  ─► steps to come, with bounds
//! ```
//!
//! Owns: how many steps, bounds, the errors. Does not own: the model (see `smoothing`), where sums come from.

mod smoothing;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use crate::calendar::Step;
use smoothing::{Ahead, Fitted};

/// Full steps without which nothing is forecast.
pub const FEWEST_STEPS: usize = 12;

/// Two-sided confidence of the bounds, and the normal distribution's quantile for it.
pub const CONFIDENCE: f64 = 0.95;
const QUANTILE: f64 = 1.959_963_984_540_054;

/// What is forecast of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Steps after which the series repeats itself, where that was found to help.
    pub season: Option<usize>,
    /// The steps after the series, in order.
    pub steps: Vec<Foretold>,
    /// How well the last steps would have been forecast from those before.
    pub held_back: HeldBack,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foretold {
    /// What is expected.
    pub value: f64,
    /// It is not less than this, with [`CONFIDENCE`].
    pub low: f64,
    /// It is not more than this.
    pub high: f64,
}

/// The last steps of the series against what the steps before them foretold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldBack {
    /// How many.
    pub steps: usize,
    /// Absolute errors by what there was; `None` where there was nothing.
    pub relative_error: Option<f64>,
    /// Absolute errors by those of the guess that each step is as the one a season, or a step, before it:
    /// below 1 is better than that. `None` where that guess makes none.
    pub scaled_error: Option<f64>,
    /// How many lie between their bounds.
    pub inside: usize,
}

/// Steps after which sales repeat themselves: hours of a day, days of a week, months of a year.
pub fn season(step: Step) -> Option<usize> {
    match step {
        Step::QuarterHour => Some(96),
        Step::Hour => Some(24),
        Step::Day => Some(7),
        Step::Month => Some(12),
        Step::Minute | Step::FiveMinutes => None,
    }
}

/// Forecasts that were made, so that one is made once a step and not once a sale or viewer.
#[derive(Debug, Default)]
pub struct Forecasts(Mutex<HashMap<u128, Option<Forecast>>>);

/// Forecasts that are kept; with one more, all are forgotten.
const MOST_KEPT: usize = 256;

impl Forecasts {
    /// As [`forecast`], unless the same series was asked for before.
    pub fn of(&self, series: &[f64], season: Option<usize>) -> Option<Forecast> {
        let words = series.iter().map(|value| value.to_bits());
        let words = words.chain([season.unwrap_or(0) as u64]);
        let key = xxh3_128(&words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>());
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = kept().get(&key) {
            return made.clone();
        }
        let made = forecast(series, season);
        let mut kept = kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(key, made.clone());
        made
    }
}

/// Forecasts a series of full steps; `None` of fewer than [`FEWEST_STEPS`].
pub fn forecast(series: &[f64], season: Option<usize>) -> Option<Forecast> {
    if series.len() < FEWEST_STEPS {
        return None;
    }
    let ahead = (series.len() / 6).clamp(2, season.unwrap_or(12));
    let (known, held_back) = series.split_at(series.len() - ahead);
    // Where nothing was ever below zero, nothing is foretold there.
    let floor = if series.iter().any(|value| *value < 0.0) {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let before = Fitted::best(known, season)?;
    let foretold = bounded(&before.ahead(ahead), floor);
    let fitted = Fitted::best(series, season)?;
    Some(Forecast {
        season: Some(fitted.season()).filter(|season| *season > 0),
        steps: bounded(&fitted.ahead(ahead), floor),
        held_back: compare(&foretold, held_back, known, before.season().max(1)),
    })
}

fn bounded(ahead: &[Ahead], floor: f64) -> Vec<Foretold> {
    let bounds = |ahead: &Ahead| Foretold {
        value: ahead.mean.max(floor),
        low: (ahead.mean - QUANTILE * ahead.deviation).max(floor),
        high: (ahead.mean + QUANTILE * ahead.deviation).max(floor),
    };
    ahead.iter().map(bounds).collect()
}

fn compare(foretold: &[Foretold], seen: &[f64], known: &[f64], season: usize) -> HeldBack {
    let pairs = || foretold.iter().zip(seen);
    let errors: f64 = pairs().map(|(told, seen)| (told.value - seen).abs()).sum();
    let there: f64 = seen.iter().map(|value| value.abs()).sum();
    let naive = known.iter().zip(known.iter().skip(season));
    let naive: Vec<f64> = naive
        .map(|(before, after)| (after - before).abs())
        .collect();
    let usual = naive.iter().sum::<f64>() / naive.len().max(1) as f64;
    HeldBack {
        steps: seen.len(),
        relative_error: (there > 0.0).then(|| errors / there),
        scaled_error: (usual > 0.0).then(|| errors / seen.len() as f64 / usual),
        inside: pairs()
            .filter(|(told, seen)| (told.low..=told.high).contains(*seen))
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::chance::Chance;

    #[test]
    fn little_history_foretells_nothing() {
        assert_eq!(forecast(&[1.0; FEWEST_STEPS - 1], Some(24)), None);
        assert!(forecast(&[1.0; FEWEST_STEPS], Some(24)).is_some());
    }

    #[test]
    fn the_bounds_hold_what_comes_about_as_often_as_they_say() {
        // GIVEN days of shops: a rhythm of 24 hours, a slow growth, and chance
        let mut chance = Chance(11);
        let (mut inside, mut asked) = (0, 0);
        let mut closer = 0.0;
        for run in 0..60 {
            let series: Vec<f64> = (0..240)
                .map(|hour| {
                    let day = (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin();
                    1_000.0 + 400.0 * day + 0.5 * f64::from(hour) + 60.0 * chance.normal()
                })
                .collect();
            // WHEN the last day is foretold from the others
            let (known, last) = series.split_at(216);
            let told = forecast(known, Some(24)).unwrap();
            assert_eq!(told.season, Some(24), "run {run}");
            for (step, seen) in told.steps.iter().zip(last) {
                asked += 1;
                inside += i32::from((step.low..=step.high).contains(seen));
                closer += (step.value - seen).abs();
            }
        }
        // THEN bounds of 95 % hold most of it, errors are about those of chance (its mean distance is 48)
        let share = f64::from(inside) / f64::from(asked);
        assert!((0.90..=0.985).contains(&share), "{share} of {asked}");
        assert!(
            closer / f64::from(asked) < 60.0,
            "{}",
            closer / f64::from(asked)
        );
    }

    #[test]
    fn errors_are_of_steps_that_were_held_back() {
        // GIVEN a rhythm of seven days that breaks in the last week alone
        let mut series: Vec<f64> = (0..70).map(|day| f64::from(10 + day % 7)).collect();
        let right = forecast(&series, Some(7)).unwrap().held_back;
        for value in &mut series[63..] {
            *value *= 2.0;
        }
        let broken = forecast(&series, Some(7)).unwrap().held_back;
        // THEN what was held back was foretold as it had been before: half of what came
        assert_eq!((right.steps, right.inside), (7, 7));
        assert!(right.relative_error.unwrap() < 1e-6);
        assert!(
            (broken.relative_error.unwrap() - 0.5).abs() < 0.01,
            "{broken:?}"
        );
        assert_eq!(broken.inside, 0);
    }

    #[test]
    fn revenue_that_was_never_negative_is_not_foretold_so() {
        let mut chance = Chance(13);
        let series: Vec<f64> = (0..60).map(|_| chance.normal().max(0.0)).collect();
        let told = forecast(&series, Some(7)).unwrap();
        assert!(
            told.steps
                .iter()
                .all(|step| step.low >= 0.0 && step.low <= step.value)
        );
        let with_returns: Vec<f64> = series.iter().map(|value| value - 1.0).collect();
        assert!(forecast(&with_returns, Some(7)).unwrap().steps[0].low < -1.0);
    }

    #[test]
    fn scaled_error_is_against_the_guess_of_a_season_before() {
        let told = |value| Foretold {
            value,
            low: value - 1.0,
            high: value + 1.0,
        };
        let known = [1.0, 5.0, 3.0, 9.0];
        let found = compare(&[told(4.0), told(10.0)], &[5.0, 10.5], &known, 2);
        // Errors of 1 and 0.5, mean 0.75; the guess was wrong by 2 and 4, mean 3.
        assert_eq!(found.scaled_error, Some(0.25));
        assert_eq!(found.relative_error, Some(1.5 / 15.5));
        assert_eq!((found.steps, found.inside), (2, 2));
    }
}
