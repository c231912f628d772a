//! Numbers: JSON's grammar, and exact values for integers and decimals.
//!
//! ```text
//! digits ─► Number (sign, digits as an integer, power of ten) ─► i32, i64, i128, f32, f64
//! ```
//!
//! Owns: the grammar of RFC 8259, section 6; scaling without loss: a number that its column cannot
//! hold exactly is refused, never rounded (but for `float` and `double`, which are binary and take
//! the nearest value, as every reader of JSON does).
//! Does not own: which columns take numbers (`append`).

use super::super::{Reject, RejectReason, reject};
use super::scan::Cursor;

/// Digits that always fit in a u64.
const EASY_DIGITS: usize = 19;

const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A number as it is written: ±`digits` × 10^-`scale`.
pub(super) struct Number<'a> {
    negative: bool,
    /// All digits as one integer; of no use when there are too many (see `easy`).
    digits: u64,
    /// Digits after the point, less the exponent; saturated.
    scale: i32,
    /// Whether `digits` is exact.
    easy: bool,
    text: &'a [u8],
}

/// Why a number does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Digits other than zero are left after those that the type keeps.
    Fraction,
    /// The number is too large.
    Range,
}

impl Number<'_> {
    /// The number times ten to the power of `scale`, when that is an integer of at most 18 digits.
    #[inline]
    pub(super) fn scaled_easy(&self, scale: u8) -> Option<i64> {
        if !self.easy {
            return None;
        }
        let digits = if self.scale == i32::from(scale) {
            self.digits
        } else {
            let up = usize::try_from(i32::from(scale).checked_sub(self.scale)?).ok()?;
            self.digits.checked_mul(*POWERS.get(up)?)?
        };
        if digits >= POWERS[18] {
            return None;
        }
        let value = digits as i64;
        Some(if self.negative { -value } else { value })
    }

    /// The number times ten to the power of `scale`, exactly, if it is an integer of at most 38
    /// digits.
    pub(super) fn scaled(&self, scale: u8) -> Result<i128, Unfit> {
        if let Some(value) = self.scaled_easy(scale) {
            return Ok(i128::from(value));
        }
        // All digits of the mantissa, without the zeros around them.
        let mantissa = self
            .text
            .split(|b| matches!(b, b'e' | b'E'))
            .next()
            .unwrap_or(&[]);
        let digits: Vec<u8> = mantissa
            .iter()
            .filter(|b| b.is_ascii_digit())
            .copied()
            .collect();
        let first = digits.iter().position(|d| *d != b'0');
        let last = digits.iter().rposition(|d| *d != b'0');
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(0);
        };
        let zeros_behind = (digits.len() - 1 - last) as i64;
        let up = i64::from(scale) - i64::from(self.scale) + zeros_behind;
        let significant = &digits[first..=last];
        if up < 0 {
            return Err(Unfit::Fraction);
        }
        if significant.len() as i64 + up > 38 {
            return Err(Unfit::Range);
        }
        let value = significant
            .iter()
            .fold(0_i128, |n, d| n * 10 + i128::from(d - b'0'))
            * 10_i128.pow(up as u32);
        Ok(if self.negative { -value } else { value })
    }

    /// The number as a `long` or `int`, when it is a whole one.
    #[inline]
    pub(super) fn whole(&self) -> Result<i64, Unfit> {
        match self.scaled_easy(0) {
            Some(value) => Ok(value),
            None => self
                .scaled(0)
                .and_then(|n| i64::try_from(n).map_err(|_| Unfit::Range)),
        }
    }

    /// The nearest `double`.
    pub(super) fn double(&self) -> Result<f64, Unfit> {
        // Both digits and the power of ten are exact in a double up to here, so that one division
        // or multiplication rounds once, which is right.
        if self.easy && self.digits < 1 << 53 && self.scale.unsigned_abs() <= 22 {
            let power = 10_f64.powi(self.scale.abs());
            let digits = self.digits as f64;
            let value = if self.scale < 0 {
                digits * power
            } else {
                digits / power
            };
            return Ok(if self.negative { -value } else { value });
        }
        let text = std::str::from_utf8(self.text).map_err(|_| Unfit::Range)?;
        let value: f64 = text.parse().map_err(|_| Unfit::Range)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Unfit::Range)
        }
    }

    /// The nearest `float`, rounded once from the decimal digits.
    pub(super) fn float(&self) -> Result<f32, Unfit> {
        let text = std::str::from_utf8(self.text).map_err(|_| Unfit::Range)?;
        let value: f32 = text.parse().map_err(|_| Unfit::Range)?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Unfit::Range)
        }
    }
}

impl<'a> Cursor<'a> {
    /// Takes a number.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Box<Reject>> {
        let doc = self.doc;
        match scan(doc, self.pos) {
            Ok((number, end)) => {
                self.pos = end;
                Ok(number)
            }
            Err(at) => {
                self.pos = at;
                Err(self.malformed("a digit"))
            }
        }
    }
}

/// Reads a number that is all of `text`.
pub(super) fn parse(text: &[u8]) -> Option<Number<'_>> {
    scan(text, 0)
        .ok()
        .filter(|(_, end)| *end == text.len())
        .map(|(number, _)| number)
}

/// Reads the number that begins at `start`; gives it and where it ends, or where a digit is
/// missing.
#[inline(always)]
fn scan(doc: &[u8], start: usize) -> Result<(Number<'_>, usize), usize> {
    let mut pos = start;
    let mut digits = 0_u64;
    let digit = |pos: usize| {
        let value = doc.get(pos).map_or(0xff, |b| b.wrapping_sub(b'0'));
        (value < 10).then_some(u64::from(value))
    };
    let negative = doc.get(pos) == Some(&b'-');
    pos += usize::from(negative);
    let first = digit(pos).ok_or(pos)?;
    let whole_start = pos;
    pos += 1;
    if first != 0 {
        digits = first;
        while let Some(d) = digit(pos) {
            digits = digits.wrapping_mul(10).wrapping_add(d);
            pos += 1;
        }
    }
    // After a leading zero another digit is left for the caller, who finds no number there.
    let mut count = pos - whole_start;
    let mut scale = 0;
    if doc.get(pos) == Some(&b'.') {
        pos += 1;
        let fraction_start = pos;
        while let Some(d) = digit(pos) {
            digits = digits.wrapping_mul(10).wrapping_add(d);
            pos += 1;
        }
        let fraction = pos - fraction_start;
        if fraction == 0 {
            return Err(pos);
        }
        count += fraction;
        scale = i32::try_from(fraction).unwrap_or(i32::MAX);
    }
    if let Some(b'e' | b'E') = doc.get(pos) {
        let (exponent, end) = exponent(doc, pos + 1)?;
        scale = scale.saturating_sub(exponent);
        pos = end;
    }
    let number = Number {
        negative,
        digits,
        scale,
        easy: count <= EASY_DIGITS,
        text: doc.get(start..pos).unwrap_or(&[]),
    };
    Ok((number, pos))
}

/// The exponent behind `e`, saturated far outside of what any type holds.
fn exponent(doc: &[u8], start: usize) -> Result<(i32, usize), usize> {
    let sign = doc.get(start).copied();
    let mut pos = start + usize::from(matches!(sign, Some(b'+' | b'-')));
    let first = pos;
    let mut value = 0_i32;
    while let Some(byte @ b'0'..=b'9') = doc.get(pos) {
        value = value
            .saturating_mul(10)
            .saturating_add(i32::from(byte - b'0'));
        pos += 1;
    }
    if pos == first {
        return Err(pos);
    }
    Ok((if sign == Some(b'-') { -value } else { value }, pos))
}

/// Says why a number does not fit a column.
#[cold]
pub(super) fn unfit(why: Unfit, column: &str) -> Box<Reject> {
    let detail = match why {
        Unfit::Fraction => format!("more digits than {column} keeps; they are not rounded away"),
        Unfit::Range => format!("too large for {column}"),
    };
    reject(RejectReason::OutOfRange, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(text: &str, scale: u8) -> Result<i128, Unfit> {
        parse(text.as_bytes()).expect("a number").scaled(scale)
    }

    #[test]
    fn decimals_are_exact() {
        for (text, scale, value) in [
            ("4.35", 2, Ok(435)),
            ("8.7", 2, Ok(870)),
            ("8.700", 2, Ok(870)),
            ("8.701", 2, Err(Unfit::Fraction)),
            ("-0", 2, Ok(0)),
            ("-0.00", 2, Ok(0)),
            ("0e999999999999", 2, Ok(0)),
            ("1e2", 2, Ok(10_000)),
            ("1E+2", 0, Ok(100)),
            ("1e-2", 2, Ok(1)),
            ("1e-3", 2, Err(Unfit::Fraction)),
            ("1000e-3", 0, Ok(1)),
            ("0.1e1", 0, Ok(1)),
            ("0.000000000000000000000000000000000000000001e42", 0, Ok(1)),
            ("100000000000000000000000000000000000000000e-41", 0, Ok(1)),
            ("1e37", 0, Ok(10_i128.pow(37))),
            ("1e38", 0, Err(Unfit::Range)),
            ("1e99999999999999999999", 0, Err(Unfit::Range)),
            ("1e-99999999999999999999", 0, Err(Unfit::Fraction)),
            (
                "99999999999999999999999999999999999999",
                0,
                Ok(10_i128.pow(38) - 1),
            ),
            (
                "-99999999999999999999999999999999999999",
                0,
                Ok(1 - 10_i128.pow(38)),
            ),
            ("999999999999999999", 0, Ok(999_999_999_999_999_999)),
            ("18446744073709551616", 0, Ok(18_446_744_073_709_551_616)),
        ] {
            assert_eq!(scaled(text, scale), value, "{text} with scale {scale}");
        }
    }

    #[test]
    fn whole_numbers_reach_the_ends_of_i64() {
        let whole = |text: &str| parse(text.as_bytes()).expect("a number").whole();
        assert_eq!(whole("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(whole("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(whole("9223372036854775808"), Err(Unfit::Range));
        assert_eq!(whole("-9223372036854775809"), Err(Unfit::Range));
        assert_eq!(whole("5.0"), Ok(5));
        assert_eq!(whole("5.5"), Err(Unfit::Fraction));
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        for text in [
            "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1_0", "NaN",
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
