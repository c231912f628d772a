//! What is added up.

use std::ops::{AddAssign, SubAssign};

/// Exact sums over some sales; amounts and quantities are integers of the configured scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sales.
    pub count: i64,
    /// What was paid.
    pub amount: i128,
    /// Pieces.
    pub quantity: i128,
}

impl Sums {
    /// Whether nothing is left of it.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.amount += other.amount;
        self.quantity += other.quantity;
    }
}

impl SubAssign for Sums {
    fn sub_assign(&mut self, other: Self) {
        self.count -= other.count;
        self.amount -= other.amount;
        self.quantity -= other.quantity;
    }
}
