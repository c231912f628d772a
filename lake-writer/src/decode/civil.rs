//! Dates and times as text: RFC 3339.
//!
//! ```text
//! 2026-03-14T10:15:30.123456+01:00 ─► microseconds since the epoch in UTC
//! ```
//!
//! Owns: the grammar and the calendar. Nothing is rounded: a fraction finer than the column's unit
//! is refused unless it is zero, and so is second 60, which the count of seconds since the epoch
//! cannot tell from the second after it.
//! Does not own: numbers since the epoch (`json`, `avro`).

/// Why text is no date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotCivil {
    /// It does not look like one, or no calendar has it.
    Form,
    /// It says no offset from UTC, and the column needs one.
    NoOffset,
    /// It says an offset from UTC, and the column is a wall clock.
    Offset,
    /// It is finer than the column's unit.
    TooFine,
}

/// Seconds in a day.
const DAY: i64 = 86_400;

/// Reads a timestamp at the beginning of `text`; gives units since the epoch, and the bytes read.
/// `digits` are those of a second's fraction: 3 or 6. A `local` one has no offset, any other must.
#[inline]
pub(super) fn timestamp(text: &[u8], digits: u8, local: bool) -> Result<(i64, usize), NotCivil> {
    let head: &[u8; 19] = text.first_chunk().ok_or(NotCivil::Form)?;
    let (date, rest) = head.split_first_chunk::<10>().ok_or(NotCivil::Form)?;
    let days = i64::from(days(date).ok_or(NotCivil::Form)?);
    let (separator, clock) = rest.split_first_chunk::<1>().ok_or(NotCivil::Form)?;
    if !matches!(separator, b"T" | b"t" | b" ") {
        return Err(NotCivil::Form);
    }
    let clock = clock.first_chunk().ok_or(NotCivil::Form)?;
    let seconds = i64::from(seconds(clock).ok_or(NotCivil::Form)?);
    let (fraction, used) = fraction(&text[19..], digits)?;
    let (offset, offset_used) = offset(&text[19 + used..])?;
    let offset = match (offset, local) {
        (Some(seconds), false) => i64::from(seconds),
        (None, true) => 0,
        (None, false) => return Err(NotCivil::NoOffset),
        (Some(_), true) => return Err(NotCivil::Offset),
    };
    // Four digits of a year stay far inside of an i64, in microseconds too.
    let value = (days * DAY + seconds - offset) * per_second(digits) + fraction;
    Ok((value, 19 + used + offset_used))
}

/// Reads a time of day, all of `text`; gives units since midnight.
pub(super) fn time(text: &[u8], digits: u8) -> Result<i64, NotCivil> {
    let clock = text.first_chunk().ok_or(NotCivil::Form)?;
    let seconds = i64::from(seconds(clock).ok_or(NotCivil::Form)?);
    let (fraction, used) = fraction(&text[8..], digits)?;
    if 8 + used != text.len() {
        return Err(NotCivil::Form);
    }
    Ok(seconds * per_second(digits) + fraction)
}

/// Reads a date, all of `text`; gives days since the epoch.
pub(super) fn date(text: &[u8]) -> Result<i32, NotCivil> {
    let text: &[u8; 10] = text.try_into().map_err(|_| NotCivil::Form)?;
    days(text).ok_or(NotCivil::Form)
}

/// Units in a second.
fn per_second(digits: u8) -> i64 {
    10_i64.pow(u32::from(digits))
}

/// `YYYY-MM-DD`.
#[inline]
fn days(text: &[u8; 10]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let (century, y_good) = two(*y1, *y2);
    let (year, yy_good) = two(*y3, *y4);
    let (month, m_good) = two(*m1, *m2);
    let (day, d_good) = two(*d1, *d2);
    let year = century * 100 + year;
    let good = y_good & yy_good & m_good & d_good;
    if !good || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// `HH:MM:SS`.
#[inline]
fn seconds(text: &[u8; 8]) -> Option<u32> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, h_good) = two(*h1, *h2);
    let (minute, m_good) = two(*m1, *m2);
    let (second, s_good) = two(*s1, *s2);
    let good = h_good & m_good & s_good & (hour < 24) & (minute < 60) & (second < 60);
    good.then_some(hour * 3600 + minute * 60 + second)
}

/// Two digits, and whether they are.
#[inline(always)]
fn two(tens: u8, ones: u8) -> (u32, bool) {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (
        u32::from(tens) * 10 + u32::from(ones),
        (tens < 10) & (ones < 10),
    )
}

/// `.123456`, or nothing; gives units and the bytes read.
#[inline]
fn fraction(text: &[u8], digits: u8) -> Result<(i64, usize), NotCivil> {
    if text.first() != Some(&b'.') {
        return Ok((0, 0));
    }
    let digits = usize::from(digits);
    // As many digits as the unit has is what a producer with the same unit writes.
    if digits == 6
        && let Some((six, rest)) = text[1..].split_first_chunk::<6>()
        && !rest.first().is_some_and(u8::is_ascii_digit)
    {
        let (a, a_good) = two(six[0], six[1]);
        let (b, b_good) = two(six[2], six[3]);
        let (c, c_good) = two(six[4], six[5]);
        if a_good & b_good & c_good {
            return Ok((i64::from(a * 10_000 + b * 100 + c), 7));
        }
    }
    let mut value = 0;
    let mut count = 0;
    for byte in text[1..].iter().take_while(|b| b.is_ascii_digit()) {
        if count < digits {
            value = value * 10 + i64::from(byte - b'0');
        } else if *byte != b'0' {
            return Err(NotCivil::TooFine);
        }
        count += 1;
    }
    if count == 0 {
        return Err(NotCivil::Form);
    }
    for _ in count..digits {
        value *= 10;
    }
    Ok((value, count + 1))
}

/// `Z`, `+HH:MM`, or nothing; gives seconds east of UTC and the bytes read.
#[inline]
fn offset(text: &[u8]) -> Result<(Option<i32>, usize), NotCivil> {
    match text {
        [b'Z' | b'z', ..] => Ok((Some(0), 1)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] => {
            let (hour, h_good) = two(*h1, *h2);
            let (minute, m_good) = two(*m1, *m2);
            if !(h_good & m_good & (hour < 24) & (minute < 60)) {
                return Err(NotCivil::Form);
            }
            let seconds = (hour * 3600 + minute * 60) as i32;
            Ok((Some(if *sign == b'-' { -seconds } else { seconds }), 6))
        }
        [b'+' | b'-', ..] => Err(NotCivil::Form),
        _ => Ok((None, 0)),
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[inline]
fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, carried back before its adoption.
///
/// Counts from a year that begins in March, so that the leap day is a year's last and the months
/// before it follow a fixed pattern of 153 days in five.
#[inline]
fn days_from_civil(year: u32, month: u32, day: u32) -> i32 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year + 399, month + 9)
    };
    // With January and February moved to the year before, year 0 is taken as year 400.
    let moved = if month >= 10 { 146_097 } else { 0 };
    let leap_days = year / 4 - year / 100 + year / 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    (year * 365 + leap_days + day_of_year) as i32 - moved - 719_468
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};

    use super::*;

    fn micros(text: &str) -> Result<i64, NotCivil> {
        let (value, used) = timestamp(text.as_bytes(), 6, false)?;
        if used == text.len() {
            Ok(value)
        } else {
            Err(NotCivil::Form)
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        // GIVEN every day of four centuries, and every 61st of what four digits of a year can say
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let mut day = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
        while day.year() < 10_000 {
            // WHEN it is read THEN it is as many days from the epoch as chrono says
            let text = day.format("%Y-%m-%d").to_string();
            assert_eq!(
                date(text.as_bytes()),
                Ok((day - epoch).num_days() as i32),
                "{text}"
            );
            let step = if (1800..2200).contains(&day.year()) {
                1
            } else {
                61
            };
            day += TimeDelta::days(step);
        }
    }

    #[test]
    fn days_that_no_calendar_has_are_refused() {
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-04-31",
            "2026-1-1",
            "2026/01/01",
            "20260101",
            "+2026-01-01",
            "2026-01-01 ",
            "",
            "2026-0a-01",
        ] {
            assert_eq!(date(text.as_bytes()), Err(NotCivil::Form), "{text}");
        }
    }

    #[test]
    fn timestamps_are_what_chrono_reads() {
        for text in [
            "2026-03-14T10:15:30.123456Z",
            "2026-03-14t10:15:30z",
            "2026-03-14 10:15:30+00:00",
            "2026-03-14T10:15:30.1+02:00",
            "2026-03-14T10:15:30.123456000-23:59",
            "1969-12-31T23:59:59.999999Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "2024-02-29T12:00:00.000001-05:30",
        ] {
            let truth = DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros();
            assert_eq!(micros(text), Ok(truth), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for (text, why) in [
            ("2026-03-14T10:15:30", NotCivil::NoOffset),
            ("2026-03-14T10:15:30.123456", NotCivil::NoOffset),
            ("2026-03-14T10:15:30.1234567Z", NotCivil::TooFine),
            ("2026-03-14T10:15:30.Z", NotCivil::Form),
            ("2026-03-14T10:15:60Z", NotCivil::Form),
            ("2026-03-14T24:00:00Z", NotCivil::Form),
            ("2026-03-14T10:60:00Z", NotCivil::Form),
            ("2026-03-14T10:15:30+0200", NotCivil::Form),
            ("2026-03-14T10:15:30+02", NotCivil::Form),
            ("2026-03-14T10:15:30+24:00", NotCivil::Form),
            ("2026-03-14T10:15:30Zz", NotCivil::Form),
            ("2026-03-14X10:15:30Z", NotCivil::Form),
            ("2026-03-14", NotCivil::Form),
            ("", NotCivil::Form),
        ] {
            assert_eq!(micros(text), Err(why), "{text}");
        }
        assert_eq!(
            timestamp(b"2026-03-14T10:15:30Z", 3, true),
            Err(NotCivil::Offset)
        );
        assert_eq!(timestamp(b"2026-03-14T10:15:30.5", 3, true).unwrap().1, 21);
    }

    #[test]
    fn times_of_day_have_their_unit() {
        assert_eq!(time(b"10:15:30", 3), Ok(36_930_000));
        assert_eq!(time(b"23:59:59.999999", 6), Ok(86_399_999_999));
        assert_eq!(time(b"00:00:00.0010", 3), Ok(1));
        assert_eq!(time(b"00:00:00.0001", 3), Err(NotCivil::TooFine));
        assert_eq!(time(b"10:15:30Z", 3), Err(NotCivil::Form));
        assert_eq!(time(b"10:15", 3), Err(NotCivil::Form));
    }
}
