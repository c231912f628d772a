//! Exact numbers: a BSON number as an integer of a fixed scale, and back as text.
//!
//! Nothing here passes through a float. A number that the scale cannot hold is an error, never rounded.

use mongodb::bson::{Bson, Decimal128};

/// A number that cannot be taken as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inexact {
    /// A float, a text, or anything else that is no exact number.
    #[error("is no exact number (Decimal128, int or long)")]
    Kind,
    /// More digits after the point than the scale has.
    #[error("has more digits after the point than the configured scale")]
    Scale,
    /// Beyond 127 bits at this scale, or not finite.
    #[error("is too large or not finite")]
    Range,
}

/// The value of `number` times ten to the power of `scale`.
///
/// # Errors
/// When it is no exact number or not a whole multiple of the scale's last digit.
pub fn scaled(number: &Bson, scale: u32) -> Result<i128, Inexact> {
    match number {
        Bson::Int32(value) => shift(i128::from(*value), 0, scale),
        Bson::Int64(value) => shift(i128::from(*value), 0, scale),
        Bson::Decimal128(value) => decimal128(value, scale),
        _ => Err(Inexact::Kind),
    }
}

/// Coefficient and exponent of IEEE 754 decimal128 in its binary integer encoding.
fn decimal128(value: &Decimal128, scale: u32) -> Result<i128, Inexact> {
    const BIAS: i32 = 6176;
    let bits = u128::from_le_bytes(value.bytes());
    let negative = bits >> 127 == 1;
    if bits >> 125 & 0b11 == 0b11 {
        // Infinity and NaN; or a coefficient beyond 34 digits, which stands for 0.
        return match bits >> 123 & 0b1111 {
            0b1111 => Err(Inexact::Range),
            _ => Ok(0),
        };
    }
    let exponent = i32::try_from(bits >> 113 & 0x3fff).map_err(|_| Inexact::Range)? - BIAS;
    let coefficient = i128::try_from(bits & ((1_u128 << 113) - 1)).map_err(|_| Inexact::Range)?;
    let coefficient = if negative { -coefficient } else { coefficient };
    shift(coefficient, exponent, scale)
}

fn shift(coefficient: i128, exponent: i32, scale: u32) -> Result<i128, Inexact> {
    if coefficient == 0 {
        return Ok(0);
    }
    let places = exponent + i32::try_from(scale).map_err(|_| Inexact::Range)?;
    let power = 10_i128.checked_pow(places.unsigned_abs());
    if places >= 0 {
        let power = power.ok_or(Inexact::Range)?;
        coefficient.checked_mul(power).ok_or(Inexact::Range)
    } else {
        match power {
            Some(power) if coefficient % power == 0 => Ok(coefficient / power),
            _ => Err(Inexact::Scale),
        }
    }
}

/// `12345` at scale 2 as `123.45`.
pub fn text(value: i128, scale: u32) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let places = scale as usize;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

/// `sum / count`, rounded half away from zero to the sum's own scale; `None` of nothing.
pub fn mean(sum: i128, count: i64) -> Option<i128> {
    let count = i128::from(count);
    if count <= 0 {
        return None;
    }
    let (quotient, rest) = (sum / count, sum % count);
    let away = i128::from(rest.abs() * 2 >= count) * sum.signum();
    Some(quotient + away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn numbers_keep_every_digit() {
        for (number, scale, expected) in [
            (decimal("0.1"), 2, Ok(10)),
            (decimal("-12.34"), 2, Ok(-1_234)),
            (decimal("1E+3"), 2, Ok(100_000)),
            (decimal("1.500"), 2, Ok(150)),
            (decimal("0E-20"), 2, Ok(0)),
            (decimal("90071992547409.93"), 2, Ok(9_007_199_254_740_993)),
            (decimal("1.005"), 2, Err(Inexact::Scale)),
            (decimal("1E-6000"), 2, Err(Inexact::Scale)),
            (decimal("1E+6000"), 2, Err(Inexact::Range)),
            (decimal("NaN"), 2, Err(Inexact::Range)),
            (decimal("Infinity"), 2, Err(Inexact::Range)),
            (Bson::Int32(7), 2, Ok(700)),
            (Bson::Int64(-7), 0, Ok(-7)),
            (Bson::Double(0.1), 2, Err(Inexact::Kind)),
        ] {
            assert_eq!(scaled(&number, scale), expected, "{number}");
        }
    }

    #[test]
    fn text_has_the_scales_digits() {
        for (value, scale, expected) in [
            (12_345, 2, "123.45"),
            (-5, 2, "-0.05"),
            (0, 2, "0.00"),
            (7, 0, "7"),
        ] {
            assert_eq!(text(value, scale), expected);
        }
    }

    #[test]
    fn a_mean_is_rounded_half_away_from_zero() {
        assert_eq!(mean(10, 4), Some(3));
        assert_eq!(mean(-10, 4), Some(-3));
        assert_eq!(mean(9, 4), Some(2));
        assert_eq!(mean(0, 4), Some(0));
        assert_eq!(mean(5, 0), None);
    }
}
