//! Text to the types of a sale's fields, exactly.
//!
//! Owns conversions. Decimals go from digits to hundredths without a float between. Errors are
//! fragments that follow the name of the column.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// The largest amount of a decimal(18,2), in hundredths.
pub(super) const MAX_CENTS: u64 = 999_999_999_999_999_999;
/// More digits than this cannot be a price; it bounds the work on foreign input.
const MAX_DECIMAL_LENGTH: usize = 64;
/// The part of a refused value that an error shows.
const SHOWN_CHARS: usize = 40;

/// What an epoch number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds, as in the schema.
    #[default]
    Micros,
}

/// How moments are written in a file.
#[derive(Debug, Clone)]
pub struct TimeReading {
    /// A pattern of strftime; RFC 3339 and its relatives when `None`.
    pub format: Option<String>,
    /// What a whole number counts.
    pub epoch_unit: EpochUnit,
    /// The zone of moments that name none.
    pub zone: Tz,
}

pub(super) fn uuid(text: &str) -> Result<[u8; 16], String> {
    uuid::Uuid::try_parse(text)
        .map(uuid::Uuid::into_bytes)
        .map_err(|_| {
            format!(
                "is {}, not a UUID; leave sale_id out to have one made for each line",
                shown(text)
            )
        })
}

pub(super) fn integer(text: &str) -> Result<i32, String> {
    text.parse()
        .map_err(|_| format!("is {}, not a whole number of 32 bits", shown(text)))
}

/// A decimal with up to two decimals in hundredths. Exponents are taken, as JSON has them.
pub(super) fn cents(text: &str, comma: bool, round: bool) -> Result<i64, String> {
    let wrong = || {
        let mark = if comma { "12,30" } else { "12.30" };
        let hint = if !comma && text.contains(',') {
            "; is --decimal-comma missing?"
        } else {
            ""
        };
        format!("is {}, not a decimal such as {mark}{hint}", shown(text))
    };
    if text.len() > MAX_DECIMAL_LENGTH {
        return Err(wrong());
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().map_err(|_| wrong())?;
            (mantissa, exponent)
        }
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let mark = if comma { ',' } else { '.' };
    let (whole, fraction) = unsigned.split_once(mark).unwrap_or((unsigned, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    // The value is 0.digits times ten to the power of `point`; hundredths end two places later.
    let point = i64::from(exponent) + whole.len() as i64;
    let end = point + 2;
    let mut value: u64 = 0;
    for place in 0..end.max(0) {
        let digit = digits
            .get(place as usize)
            .map_or(0, |digit| u64::from(digit - b'0'));
        value = value * 10 + digit;
        if value > MAX_CENTS {
            return Err(format!(
                "is {}, more than 16 digits before the point",
                shown(text)
            ));
        }
        if value == 0 && place as usize >= digits.len() {
            break;
        }
    }
    // What is left behind the last place: nothing, or something to be rounded.
    let rest = digits
        .get(usize::try_from(end).unwrap_or(0)..)
        .unwrap_or(&[]);
    if rest.iter().any(|digit| *digit != b'0') {
        if !round {
            return Err(format!(
                "is {}, more than two decimals; add --round to round",
                shown(text)
            ));
        }
        // With a negative end the first digit stands below the place that decides.
        value += u64::from(end >= 0 && rest[0] >= b'5');
    }
    let signed = value as i64;
    Ok(if mantissa.starts_with('-') {
        -signed
    } else {
        signed
    })
}

/// A moment in microseconds since the epoch.
pub(super) fn time(text: &str, reading: &TimeReading) -> Result<i64, String> {
    if let Some(format) = &reading.format {
        return patterned(text, format, reading.zone);
    }
    if !text.is_empty()
        && text
            .strip_prefix('-')
            .unwrap_or(text)
            .bytes()
            .all(|b| b.is_ascii_digit())
    {
        let factor = match reading.epoch_unit {
            EpochUnit::Seconds => 1_000_000,
            EpochUnit::Millis => 1_000,
            EpochUnit::Micros => 1,
        };
        let number: Option<i64> = text.parse().ok();
        return number
            .and_then(|number| number.checked_mul(factor))
            .ok_or_else(|| format!("is {}, too large for a moment", shown(text)));
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.timestamp_micros());
    }
    for format in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return in_zone(text, local, reading.zone);
        }
    }
    patterned(text, "%Y-%m-%d", reading.zone).map_err(|_| {
        format!(
            "is {}, not a moment such as 2026-01-31T14:03:22Z; give its pattern with --time-format",
            shown(text)
        )
    })
}

fn patterned(text: &str, format: &str, zone: Tz) -> Result<i64, String> {
    if let Ok(moment) = DateTime::parse_from_str(text, format) {
        return Ok(moment.timestamp_micros());
    }
    let local = NaiveDateTime::parse_from_str(text, format).or_else(|_| {
        NaiveDate::parse_from_str(text, format).map(|date| date.and_time(chrono::NaiveTime::MIN))
    });
    match local {
        Ok(local) => in_zone(text, local, zone),
        Err(_) => Err(format!(
            "is {}, which the pattern {format} does not fit",
            shown(text)
        )),
    }
}

fn in_zone(text: &str, local: NaiveDateTime, zone: Tz) -> Result<i64, String> {
    // Of the two moments that an hour set back has, the first is taken.
    match zone.from_local_datetime(&local).earliest() {
        Some(moment) => Ok(moment.timestamp_micros()),
        None => Err(format!(
            "is {}, an hour that clocks in {zone} skipped",
            shown(text)
        )),
    }
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        return "empty".to_owned();
    }
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utc() -> TimeReading {
        TimeReading {
            format: None,
            epoch_unit: EpochUnit::Micros,
            zone: Tz::UTC,
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("12.30", 1230),
            ("12.3", 1230),
            ("12", 1200),
            ("-0.05", -5),
            (".5", 50),
            ("1.23e2", 12300),
            ("1230e-2", 1230),
            ("9999999999999999.99", 999_999_999_999_999_999),
            ("0.1000", 10),
            ("0e9999", 0),
            ("000000000000000000000000012.30", 1230),
        ] {
            assert_eq!(cents(text, false, false), Ok(expected), "{text}");
        }
        assert_eq!(cents("1 234,5", true, false).ok(), None);
        assert_eq!(cents("1234,5", true, false), Ok(123_450));
    }

    #[test]
    fn what_is_no_decimal_of_two_places_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "1.2.3",
            "12,30",
            "0x10",
            "1e",
            "NaN",
            "1e99",
            "12.345",
            "10000000000000000",
            "1e-9",
            "٣",
        ] {
            assert!(cents(text, false, false).is_err(), "{text}");
        }
        assert!(
            cents("12,30", false, false)
                .unwrap_err()
                .contains("--decimal-comma")
        );
        assert_eq!(cents("12.345", false, true), Ok(1235));
        assert_eq!(cents("-12.344999", false, true), Ok(-1234));
        assert_eq!(cents("0.001", false, true), Ok(0));
        assert_eq!(cents("9e-9", false, true), Ok(0));
    }

    #[test]
    fn moments_of_many_kinds() {
        let noon = 1_769_860_800_000_000; // 2026-01-31T12:00:00Z
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31 12:00:00",
            "2026-01-31T12:00:00.000",
            "2026-01-31 12:00",
            "1769860800000000",
        ] {
            assert_eq!(time(text, &utc()), Ok(noon), "{text}");
        }
        let seconds = TimeReading {
            epoch_unit: EpochUnit::Seconds,
            ..utc()
        };
        assert_eq!(time("1769860800", &seconds), Ok(noon));
        let french = TimeReading {
            format: Some("%d/%m/%Y %H:%M".into()),
            zone: Tz::Europe__Paris,
            ..utc()
        };
        assert_eq!(time("31/01/2026 13:00", &french), Ok(noon));
        assert!(
            time("29/03/2026 02:30", &french)
                .unwrap_err()
                .contains("skipped")
        );
        assert!(time("hier", &utc()).unwrap_err().contains("--time-format"));
    }

    proptest! {
        #[test]
        fn every_amount_survives(value in -999_999_999_999_999_999..=999_999_999_999_999_999_i64) {
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", value.unsigned_abs() / 100, value.unsigned_abs() % 100);
            prop_assert_eq!(cents(&text, false, false), Ok(value));
        }

        #[test]
        fn nothing_panics(text in ".{0,80}", comma: bool, round: bool) {
            let _ = (cents(&text, comma, round), time(&text, &utc()), uuid(&text), integer(&text));
        }
    }
}
