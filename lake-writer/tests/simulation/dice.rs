//! Chance of a run: everything is drawn from one seed.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A generator of one part of a run.
#[derive(Debug)]
pub(crate) struct Dice(SmallRng);

impl Dice {
    /// The `part`-th generator of a seed; parts do not disturb each other.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mixed =
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ part.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        Self(SmallRng::seed_from_u64(mixed))
    }

    /// Whether something happens that does so `per_mille` times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.0.random_range(0..1_000) < per_mille
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// A number of the range, both ends included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0.random()
    }
}
