//! How many different customers: a sample of them that fits into memory, whatever is asked of it.
//!
//! Every customer's name is hashed, and the hash decides once and for all whether the customer is in the
//! sample: its first bits must be zeros. So a customer is either in the sample with every sale, or with none,
//! and the sample can be cut by region, product and minute, and put together again, without counting twice
//! (Gibbons' distinct sampling; a theta sketch with one theta for all of its parts). Where the sample holds
//! everybody, the count is exact.

use xxhash_rust::xxh3::xxh3_64;

/// Two-sided confidence of [`Estimate`], and the normal distribution's quantile for it.
pub const CONFIDENCE: f64 = 0.95;
const QUANTILE: f64 = 1.959_963_984_540_054;

/// What stands for a customer: uniform among 64 bits. Two customers share one with a chance of one in
/// 2^64 for each pair, so that a hundred million of them are counted right but for 0.0003 on average.
pub(super) fn hash(customer: &str) -> u64 {
    xxh3_64(customer.as_bytes())
}

/// One customer in two to the power of this is in the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u32);

/// A number of customers, and between which numbers it lies with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The number.
    pub customers: u64,
    /// Not fewer than this.
    pub low: u64,
    /// Not more than this.
    pub high: u64,
}

impl Level {
    /// Whether a customer is in the sample.
    pub fn keeps(self, hash: u64) -> bool {
        hash.leading_zeros() >= self.0
    }

    /// How many customers there are, when so many different ones of the sample are among them.
    ///
    /// The bounds are those of the score interval of a binomial distribution, which holds for few as well.
    pub fn estimate(self, kept: u64) -> Estimate {
        let theta = 0.5_f64.powi(self.0.try_into().unwrap_or(i32::MAX));
        let r = kept as f64;
        let spread = QUANTILE * QUANTILE * (1.0 - theta);
        let root = (spread * spread + 4.0 * r * spread).sqrt();
        let bound = |sign: f64| (2.0 * r + spread + sign * root) / 2.0 / theta;
        Estimate {
            customers: (r / theta).round() as u64,
            // There are at least those that are seen.
            low: (bound(-1.0).floor().max(0.0) as u64).max(kept),
            high: bound(1.0).ceil() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::analysis::chance::Chance;

    #[test]
    fn a_sample_of_everybody_is_exact() {
        for kept in [0, 1, 2, 1_000_000] {
            let exact = Estimate {
                customers: kept,
                low: kept,
                high: kept,
            };
            assert_eq!(Level(0).estimate(kept), exact);
        }
    }

    #[test]
    fn nobody_in_the_sample_is_not_nobody() {
        let estimate = Level(4).estimate(0);
        assert_eq!((estimate.customers, estimate.low), (0, 0));
        assert!((16..100).contains(&estimate.high), "{estimate:?}");
    }

    #[test]
    fn the_bounds_hold_as_often_as_they_say() {
        let mut chance = Chance(7);
        let (mut inside, mut asked) = (0, 0);
        for run in 0..600_u64 {
            // GIVEN customers by name, each with several sales
            let customers = 50 + chance.below(4_000);
            let level = Level(1 + (run % 5) as u32);
            // WHEN those of the sample are counted
            let mut kept = HashSet::new();
            for sale in 0..customers * 2 {
                let hash = hash(&format!("{run}/C{}", sale % customers));
                if level.keeps(hash) {
                    kept.insert(hash);
                }
            }
            let estimate = level.estimate(kept.len() as u64);
            asked += 1;
            inside += u32::from((estimate.low..=estimate.high).contains(&customers));
        }
        // THEN the number lies between the bounds in 95 of 100 cases, within what 600 of them can tell
        let share = f64::from(inside) / f64::from(asked);
        assert!((CONFIDENCE - 0.03..=1.0).contains(&share), "{share}");
    }

    #[test]
    fn the_error_shrinks_with_the_root_of_what_is_kept() {
        let width = |kept| {
            let estimate = Level(8).estimate(kept);
            (estimate.high - estimate.low) as f64 / estimate.customers as f64
        };
        assert!((width(10_000) - 2.0 * QUANTILE / 100.0).abs() < 0.001);
        assert!((width(100) / width(10_000) - 10.0).abs() < 0.3);
    }
}
