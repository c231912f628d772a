//! Decimals between Arrow's unscaled integers and BSON's Decimal128.
//!
//! Owns: the bits of a Decimal128 in its binary form (BID), as IEEE 754-2008 has them: a sign, an
//! exponent of ten biased by 6176, and an integer coefficient of up to 34 digits.

use mongodb::bson::Decimal128;

/// Digits that a Decimal128 holds exactly.
pub const DIGITS: u8 = 34;

const EXPONENT_BIAS: i32 = 6_176;
const COEFFICIENT_BITS: u32 = 113;
const SIGN: u128 = 1 << 127;
/// Both bits set: a special value, or a coefficient that no decimal of 34 digits has.
const SPECIAL: u128 = 0b11 << 125;

/// `unscaled` times ten to the power of minus `scale`.
pub fn encode(unscaled: i128, scale: i8) -> [u8; 16] {
    let exponent = (EXPONENT_BIAS - i32::from(scale)).unsigned_abs();
    let sign = if unscaled < 0 { SIGN } else { 0 };
    let bits = sign | (u128::from(exponent) << COEFFICIENT_BITS) | unscaled.unsigned_abs();
    bits.to_le_bytes()
}

/// The unscaled integer of `value` at `scale`; `None` when it has no exact one.
pub fn decode(value: Decimal128, scale: i8) -> Option<i128> {
    let bits = u128::from_le_bytes(value.bytes());
    if bits & SPECIAL == SPECIAL {
        return None;
    }
    let magnitude = i128::try_from(bits & ((1 << COEFFICIENT_BITS) - 1)).ok()?;
    let biased = i32::try_from((bits & !SIGN) >> COEFFICIENT_BITS).ok()?;
    let shift = biased - EXPONENT_BIAS + i32::from(scale);
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let unscaled = if magnitude == 0 {
        0
    } else if shift >= 0 {
        magnitude.checked_mul(power?)?
    } else {
        let power = power?;
        (magnitude % power == 0).then_some(magnitude / power)?
    };
    Some(if bits & SIGN == 0 {
        unscaled
    } else {
        -unscaled
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spoken(unscaled: i128, scale: i8) -> String {
        Decimal128::from_bytes(encode(unscaled, scale)).to_string()
    }

    #[test]
    fn decimals_read_as_the_driver_reads_them() {
        assert_eq!(spoken(1234, 2), "12.34");
        assert_eq!(spoken(-5, 3), "-0.005");
        assert_eq!(spoken(0, 2), "0.00");
        assert_eq!(spoken(10_i128.pow(34) - 1, 0), "9".repeat(34));
    }

    #[test]
    fn what_is_no_exact_decimal_is_told() {
        let read = |text: &str, scale| decode(text.parse().expect("a decimal"), scale);
        assert_eq!(read("1.5", 2), Some(150));
        assert_eq!(read("1.5E3", 2), Some(150_000));
        assert_eq!(read("1.255", 2), None);
        assert_eq!(read("NaN", 2), None);
        assert_eq!(read("Infinity", 2), None);
    }

    proptest! {
        #[test]
        fn a_decimal_comes_back(unscaled in -(10_i128.pow(34) - 1)..10_i128.pow(34), scale in 0_i8..20) {
            let value = Decimal128::from_bytes(encode(unscaled, scale));
            prop_assert_eq!(decode(value, scale), Some(unscaled));
        }
    }
}
