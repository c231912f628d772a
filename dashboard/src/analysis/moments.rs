//! How numbers spread: count, sum, mean and standard deviation, added to one by one and to each other.

/// Count, exact sum and the sum of squared distances from the mean, by Welford's recurrence.
///
/// Numbers are integers of some scale. Only the distances are floats: they are taken between exact sums, so that
/// large numbers that lie close to each other keep their small spread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: i64,
    sum: i128,
    squares: f64,
}

impl Moments {
    /// Adds one number.
    pub fn push(&mut self, value: i128) {
        self.merge(&Self {
            count: 1,
            sum: value,
            squares: 0.0,
        });
    }

    /// Adds what others have seen, as if all numbers had been pushed here (Chan, Golub and LeVeque, 1979).
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count > 0 {
            let (here, there) = (self.count as f64, other.count as f64);
            let distance = self.distance(other);
            self.squares += distance * distance * (here * there / (here + there));
        }
        self.squares += other.squares;
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// From the other's mean to this one's, neither being of nothing.
    fn distance(&self, other: &Self) -> f64 {
        let counts = self.count as f64 * other.count as f64;
        let crosswise = |a: &Self, b: &Self| a.sum.checked_mul(i128::from(b.count));
        match (crosswise(self, other), crosswise(other, self)) {
            (Some(a), Some(b)) => a.saturating_sub(b) as f64 / counts,
            // Sums of more than 38 digits when multiplied: fifteen of them must do.
            _ => self.sum as f64 / self.count as f64 - other.sum as f64 / other.count as f64,
        }
    }

    /// How many numbers.
    pub fn count(&self) -> i64 {
        self.count
    }

    /// Their exact sum.
    pub fn sum(&self) -> i128 {
        self.sum
    }

    /// The standard deviation of the sample, in units of the scale's last digit; `None` of fewer than two.
    pub fn deviation(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.squares / (self.count - 1) as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::chance::Chance;

    fn of(values: &[i128]) -> Moments {
        let mut moments = Moments::default();
        for value in values {
            moments.push(*value);
        }
        moments
    }

    /// In integers, without a rounding before the last division.
    fn exactly(values: &[i128]) -> f64 {
        let n = values.len() as i128;
        let sum: i128 = values.iter().sum();
        let squares: i128 = values.iter().map(|value| value * value).sum();
        ((n * squares - sum * sum) as f64 / (n * (n - 1)) as f64).sqrt()
    }

    #[test]
    fn of_none_and_one_there_is_no_deviation() {
        assert_eq!(of(&[]).deviation(), None);
        assert_eq!(of(&[7]).deviation(), None);
        assert_eq!(of(&[7, 7]).deviation(), Some(0.0));
        // The example that every text has: a population deviation of 2, so a sample's of sqrt(32 / 7).
        let deviation = of(&[2, 4, 4, 4, 5, 5, 7, 9]).deviation().unwrap();
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn parts_in_any_order_are_the_whole() {
        let mut chance = Chance(1);
        for _ in 0..200 {
            let count = 2 + chance.below(400) as usize;
            let values: Vec<i128> = (0..count)
                .map(|_| i128::from(chance.below(2_000_000)) - 500_000)
                .collect();
            let expected = exactly(&values);
            let mut merged = Moments::default();
            let mut rest = values.as_slice();
            while !rest.is_empty() {
                let (part, after) = rest.split_at(1 + chance.below(rest.len() as u64) as usize);
                let mut part = of(part);
                part.merge(&merged);
                merged = part;
                rest = after;
            }
            assert_eq!(
                (merged.count(), merged.sum()),
                (count as i64, values.iter().sum())
            );
            let found = merged.deviation().unwrap();
            assert!(
                (found - expected).abs() <= 1e-11 * expected,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_small_spread_of_large_numbers_is_kept() {
        // As floats, all of these are the same number.
        let large = 10_i128.pow(24);
        let deviation = of(&[large + 1, large + 2, large + 3]).deviation();
        assert_eq!(deviation, Some(1.0));
    }

    #[test]
    fn sums_beyond_every_use_do_not_panic() {
        let huge = of(&[i128::MAX / 2, i128::MIN / 2, i128::MAX / 3]);
        assert!(huge.deviation().unwrap() > 1e37);
    }
}
