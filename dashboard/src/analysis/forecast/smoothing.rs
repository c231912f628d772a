//! Exponential smoothing with level, damped trend and season, all additive: Holt and Winters, as a state space.
//!
//! ```text
//! series ─► parameters of the least squared error one step ahead ─► level, trend, seasons ─► steps to come
//! ```
//!
//! Variances of what is some steps ahead are those of the class of linear models in Hyndman, Koehler, Ord and
//! Snyder, *Forecasting with Exponential Smoothing*, 2008, chapter 6.

/// Shares of an error by which level, trend and season are put right, and what is left of a trend a step later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weights {
    pub(super) level: f64,
    pub(super) trend: f64,
    pub(super) season: f64,
    pub(super) damping: f64,
}

/// What is known after some steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) level: f64,
    pub(super) trend: f64,
    /// By place in the season, the next step's first; empty without one.
    pub(super) seasons: Vec<f64>,
}

/// A model that fits a series.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    weights: Weights,
    state: State,
    /// Variance of errors one step ahead.
    variance: f64,
}

/// A step to come: its mean, and the standard deviation around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ahead {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl State {
    /// What is expected of the next step.
    pub(super) fn expected(&self, damping: f64) -> f64 {
        self.level + damping * self.trend + self.seasons.first().unwrap_or(&0.0)
    }

    /// Goes one step on, in which `value` was seen. Returns the error of what was expected.
    pub(super) fn step(&mut self, weights: Weights, value: f64) -> f64 {
        let error = value - self.expected(weights.damping);
        self.level += weights.damping * self.trend + weights.level * error;
        self.trend = weights.damping * self.trend + weights.trend * error;
        if !self.seasons.is_empty() {
            self.seasons[0] += weights.season * error;
            self.seasons.rotate_left(1);
        }
        error
    }

    /// A first guess, from the first steps: a line through them, and around it the season's places, if
    /// it has any.
    fn first(series: &[f64], season: usize) -> Self {
        if season < 2 {
            let (level, trend) = line(&series[..series.len().min(10)]);
            return Self {
                level: level - trend,
                trend,
                seasons: Vec::new(),
            };
        }
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let (first, second) = (&series[..season], &series[season..2 * season]);
        let trend = (mean(second) - mean(first)) / season as f64;
        let level = mean(first) - trend * (season as f64 + 1.0) / 2.0;
        let around = |place: usize| {
            let at = |step: usize| series[step] - level - trend * (step + 1) as f64;
            (at(place) + at(place + season)) / 2.0
        };
        Self {
            level,
            trend,
            seasons: (0..season).map(around).collect(),
        }
    }
}

/// Height at the first point, and slope, of the line of least squares.
fn line(points: &[f64]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = points.iter().sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points.iter().enumerate() {
        let x = x as f64 - mean_x;
        xy += x * (y - mean_y);
        xx += x * x;
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    (mean_y - slope * mean_x, slope)
}

impl Fitted {
    /// The model that fits best: with or without a trend, and with a season of so many steps if that helps
    /// (Akaike's criterion). `None` of a series too short to tell errors from parameters.
    pub(super) fn best(series: &[f64], season: Option<usize>) -> Option<Self> {
        let seasons = season.filter(|season| series.len() >= 2 * season + season / 2);
        let shapes = [Some(0), seasons]
            .into_iter()
            .flatten()
            .flat_map(|season| [(season, false), (season, true)]);
        shapes
            .filter_map(|(season, trend)| Self::of(series, season, trend))
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, fitted)| fitted)
    }

    /// Steps of its season; 0 without one.
    pub(super) fn season(&self) -> usize {
        self.state.seasons.len()
    }

    /// The model of one shape, and Akaike's criterion of it.
    fn of(series: &[f64], season: usize, trend: bool) -> Option<(f64, Self)> {
        let parameters = 2 + if trend { 3 } else { 0 } + if season > 1 { season + 1 } else { 0 };
        let free = series.len().checked_sub(parameters + 1)?;
        if free < 2 {
            return None;
        }
        let mut first = State::first(series, season);
        if !trend {
            first.level += first.trend * (series.len().min(10) as f64) / 2.0;
            first.trend = 0.0;
        }
        let (weights, squares) = search(series, &first, season > 1, trend);
        let mut state = first;
        for value in series {
            state.step(weights, *value);
        }
        let n = series.len() as f64;
        // A series without any error would have a criterion without a bound.
        let least = 1e-12 * (1.0 + series.iter().map(|value| value * value).sum::<f64>());
        let criterion = n * (squares.max(least) / n).ln() + 2.0 * parameters as f64;
        let variance = squares / free as f64;
        Some((
            criterion,
            Self {
                weights,
                state,
                variance,
            },
        ))
    }

    /// The steps after the series.
    pub(super) fn ahead(&self, steps: usize) -> Vec<Ahead> {
        let w = self.weights;
        let season = self.season();
        let (mut damped, mut power, mut spread) = (0.0, 1.0, 1.0);
        let mut ahead = Vec::with_capacity(steps);
        for step in 0..steps {
            power *= w.damping;
            damped += power;
            let place = if season > 0 {
                self.state.seasons[step % season]
            } else {
                0.0
            };
            ahead.push(Ahead {
                mean: self.state.level + damped * self.state.trend + place,
                deviation: (self.variance * spread).sqrt(),
            });
            // What an error of now does to a step so far ahead.
            let again = season > 0 && (step + 1) % season == 0;
            let weight = w.level + w.trend * damped + if again { w.season } else { 0.0 };
            spread += weight * weight;
        }
        ahead
    }
}

/// The weights of the least squared errors, looked for on a grid and then around its best point.
fn search(series: &[f64], first: &State, season: bool, trend: bool) -> (Weights, f64) {
    let squares = |w: Weights| {
        let mut state = first.clone();
        series
            .iter()
            .map(|value| state.step(w, *value).powi(2))
            .sum::<f64>()
    };
    let levels = [0.02, 0.1, 0.3, 0.6, 0.9];
    let trends: &[f64] = if trend { &[0.0, 0.02, 0.1] } else { &[0.0] };
    let seasons: &[f64] = if season { &[0.01, 0.1, 0.3] } else { &[0.0] };
    let dampings: &[f64] = if trend { &[0.8, 0.9, 0.98] } else { &[0.0] };
    let mut best = (
        Weights {
            level: 0.5,
            trend: 0.0,
            season: 0.0,
            damping: 0.0,
        },
        f64::INFINITY,
    );
    for level in levels {
        for trend in trends {
            for season in seasons {
                for damping in dampings {
                    let weights = Weights {
                        level,
                        trend: trend.min(level),
                        season: season.min(1.0 - level),
                        damping: *damping,
                    };
                    let found = squares(weights);
                    if found < best.1 {
                        best = (weights, found);
                    }
                }
            }
        }
    }
    refine(best, squares, season, trend)
}

/// Steps from the best point along one weight after another, half as far each time that none helps.
fn refine(
    mut best: (Weights, f64),
    squares: impl Fn(Weights) -> f64,
    season: bool,
    trend: bool,
) -> (Weights, f64) {
    let mut far = 0.1;
    while far > 0.002 {
        let mut better = false;
        for (which, sign) in (0..4).flat_map(|which| [(which, 1.0), (which, -1.0)]) {
            let mut w = best.0;
            match which {
                0 => w.level += sign * far,
                1 if trend => w.trend += sign * far,
                2 if season => w.season += sign * far,
                3 if trend => w.damping += sign * far,
                _ => continue,
            }
            w.level = w.level.clamp(0.001, 0.999);
            w.trend = w.trend.clamp(0.0, w.level);
            w.season = w.season.clamp(0.0, 1.0 - w.level);
            if trend {
                w.damping = w.damping.clamp(0.8, 0.98);
            }
            let found = squares(w);
            if found < best.1 {
                best = (w, found);
                better = true;
            }
        }
        if !better {
            far /= 2.0;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::chance::Chance;

    fn weights(level: f64, trend: f64, season: f64, damping: f64) -> Weights {
        Weights {
            level,
            trend,
            season,
            damping,
        }
    }

    #[test]
    fn a_step_is_what_the_equations_say() {
        // Worked by hand: expected 10 + 0.5 * 2 + 3 = 14, error 6.
        let mut state = State {
            level: 10.0,
            trend: 2.0,
            seasons: vec![3.0, -3.0],
        };
        assert_eq!(state.step(weights(0.5, 0.25, 0.1, 0.5), 20.0), 6.0);
        assert_eq!((state.level, state.trend), (14.0, 2.5));
        assert_eq!(state.seasons, [-3.0, 3.6]);
    }

    #[test]
    fn simple_smoothing_forecasts_the_textbooks_value() {
        // Oil production of Saudi Arabia, 1996 to 2013, in million tonnes: with a weight of 0.83 and a first
        // level of 446.6, Hyndman and Athanasopoulos (Forecasting: Principles and Practice, 7.1) have 542.7.
        let oil = [
            445.36, 453.20, 454.41, 422.38, 456.04, 440.39, 425.19, 486.21, 500.43, 521.28, 508.95,
            488.89, 509.87, 456.72, 473.82, 525.95, 549.83, 542.34,
        ];
        let mut state = State {
            level: 446.6,
            trend: 0.0,
            seasons: Vec::new(),
        };
        for value in oil {
            state.step(weights(0.83, 0.0, 0.0, 0.0), value);
        }
        assert!((state.level - 542.7).abs() < 0.1, "{}", state.level);
    }

    #[test]
    fn what_repeats_itself_exactly_is_forecast_exactly() {
        let season = [5.0, 9.0, 40.0, 7.0, -3.0, 12.0, 30.0];
        let series: Vec<f64> = (0..56).map(|n| 100.0 + season[n % 7]).collect();
        let fitted = Fitted::best(&series, Some(7)).unwrap();
        assert_eq!(fitted.season(), 7);
        for (n, ahead) in fitted.ahead(14).iter().enumerate() {
            let expected = 100.0 + season[n % 7];
            assert!((ahead.mean - expected).abs() < 1e-6, "{n}: {ahead:?}");
            assert!(ahead.deviation < 1e-3);
        }
    }

    #[test]
    fn noise_has_no_season_and_a_level() {
        let mut chance = Chance(3);
        let series: Vec<f64> = (0..120).map(|_| 50.0 + chance.normal()).collect();
        let fitted = Fitted::best(&series, Some(24)).unwrap();
        assert_eq!(fitted.season(), 0);
        assert!((fitted.ahead(1)[0].mean - 50.0).abs() < 1.0);
        assert!((fitted.ahead(1)[0].deviation - 1.0).abs() < 0.2);
    }

    #[test]
    fn what_is_further_ahead_is_less_certain() {
        let mut chance = Chance(5);
        let mut level = 0.0;
        let series: Vec<f64> = (0..200)
            .map(|_| {
                level += chance.normal();
                level
            })
            .collect();
        let ahead = Fitted::best(&series, None).unwrap().ahead(9);
        // A random walk: the variance grows with the steps, so the deviation is three times as large at nine.
        assert!(
            ahead
                .windows(2)
                .all(|two| two[0].deviation < two[1].deviation)
        );
        let ratio = ahead[8].deviation / ahead[0].deviation;
        assert!((2.2..4.5).contains(&ratio), "{ratio}");
    }

    #[test]
    fn short_and_flat_series_are_no_trouble() {
        assert!(Fitted::best(&[1.0, 2.0, 3.0], Some(7)).is_none());
        let flat = Fitted::best(&[0.0; 40], Some(7)).unwrap();
        assert!(
            flat.ahead(10)
                .iter()
                .all(|ahead| ahead.mean == 0.0 && ahead.deviation == 0.0)
        );
    }
}
