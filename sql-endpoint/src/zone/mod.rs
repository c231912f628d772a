//! Time zones of sessions, with the meaning that PostgreSQL gives to them.
//!
//! ```text
//! SET TimeZone ─► Zone ─► InZone, a rule of the analyzer ─► functions over instants and clocks
//! ```
//!
//! Inside the engine a time with a zone is an instant, in UTC whatever the session says: types stay the
//! same when a zone changes, and so do prepared plans. What depends on the session's zone (a day, an
//! hour, a text) is put into words by the rule, with the zone as a constant beside it.
//!
//! Owns: what a clock shows at an instant, and the instant at which it shows something.
//! Does not own: which zone a session has (`server::variables`).

mod at;
mod functions;
mod rule;
pub(crate) mod text;
#[cfg(test)]
mod tests;

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset as _, TimeZone as _};
use chrono_tz::Tz;
use datafusion::arrow::error::ArrowError;

pub(crate) use at::at_time_zone;
pub(crate) use rule::{DatesAreMidnights, InZone};

pub(crate) const UTC: &str = "UTC";
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Of the IANA database.
    Known(Tz),
    /// So far from Greenwich at all times.
    Fixed(FixedOffset),
}

impl Zone {
    pub(crate) const UTC: Self = Self::Known(Tz::UTC);

    /// The zone that `SET TimeZone` names, and the name under which it is shown.
    ///
    /// Names are those of the IANA database, in upper or lower case. A number is hours east of Greenwich;
    /// an offset with minutes, or behind letters, counts westwards, as POSIX has it.
    pub(crate) fn named(name: &str) -> Option<(Self, String)> {
        let name = if name.eq_ignore_ascii_case("z") {
            UTC
        } else {
            name
        };
        let known = chrono_tz::TZ_VARIANTS
            .iter()
            .find(|zone| zone.name().eq_ignore_ascii_case(name));
        if let Some(known) = known {
            return Some((Self::Known(*known), known.name().to_owned()));
        }
        if let Ok(hours) = name.parse::<f64>() {
            let minutes = hours * 60.0;
            let zone = Self::east(minutes as i32).filter(|_| minutes.fract() == 0.0)?;
            // As PostgreSQL shows it: the offset in brackets, then what POSIX would call it.
            let (east, west) = (offset(minutes as i32), offset(-minutes as i32));
            return Some((zone, format!("<{east}>{west}")));
        }
        let west = match name.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((_, west)) => west,
            None => name.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()),
        };
        let (sign, digits) = match west.strip_prefix('-') {
            Some(digits) => (1, digits),
            None => (-1, west.strip_prefix('+').unwrap_or(west)),
        };
        let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
        let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
        let east = sign * (i32::from(hours) * 60 + i32::from(minutes));
        let zone = Self::east(east).filter(|_| minutes < 60)?;
        Some((zone, name.to_ascii_uppercase()))
    }

    /// PostgreSQL takes up to a week; here it is less than a day.
    fn east(minutes: i32) -> Option<Self> {
        let seconds = minutes.checked_mul(60)?;
        FixedOffset::east_opt(seconds).map(Self::Fixed)
    }

    /// The zone in the engine's words.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Known(zone) => zone.name().to_owned(),
            Self::Fixed(offset) => offset.to_string(),
        }
    }

    /// The zone by its label.
    pub(crate) fn labelled(label: &str) -> Option<Self> {
        match label.parse() {
            Ok(zone) => Some(Self::Known(zone)),
            Err(_) => label.parse().ok().map(Self::Fixed),
        }
    }

    /// What its clocks show at an instant. Both are microseconds; the clock's as if it were in UTC.
    ///
    /// # Errors
    /// For times that are out of range.
    pub(crate) fn clock(self, instant: i64) -> Result<i64, ArrowError> {
        let shown = instant.checked_add(self.offset(instant)? * SECOND);
        shown.ok_or_else(out_of_range)
    }

    /// The instant at which its clocks show a time: of two, the one after they were set back; where they
    /// skip it, the one at which they would have shown it.
    ///
    /// # Errors
    /// For times that are out of range.
    pub(crate) fn instant(self, clock: i64) -> Result<i64, ArrowError> {
        let (before, after) = self.around(clock)?;
        match self.shows(after, clock)? {
            true => Ok(after),
            false => Ok(before),
        }
    }

    /// The one instant at which its clocks show a time; `None` where there are two or none.
    pub(crate) fn only_instant(self, clock: i64) -> Option<i64> {
        let (before, after) = self.around(clock).ok()?;
        let first = self.shows(before, clock).ok()?;
        let second = self.shows(after, clock).ok()?;
        match (first, second) {
            (true, true) => (before == after).then_some(before),
            (true, false) => Some(before),
            (false, true) => Some(after),
            (false, false) => None,
        }
    }

    /// The instant by the offset of the day before, and by that of the day after.
    fn around(self, clock: i64) -> Result<(i64, i64), ArrowError> {
        let beside = |shift: i64| {
            let day = clock.checked_add(shift).ok_or_else(out_of_range)?;
            let instant = clock.checked_sub(self.offset(day)? * SECOND);
            instant.ok_or_else(out_of_range)
        };
        Ok((beside(-DAY)?, beside(DAY)?))
    }

    fn shows(self, instant: i64, clock: i64) -> Result<bool, ArrowError> {
        Ok(self.clock(instant)? == clock)
    }

    /// Seconds east of Greenwich.
    fn offset(self, instant: i64) -> Result<i64, ArrowError> {
        let offset = match self {
            Self::Known(zone) => zone.offset_from_utc_datetime(&civil(instant)?).fix(),
            Self::Fixed(offset) => offset,
        };
        Ok(offset.local_minus_utc().into())
    }
}

/// `+05:30`, `-08`.
fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    match minutes % 60 {
        0 => format!("{sign}{:02}", minutes / 60),
        rest => format!("{sign}{:02}:{rest:02}", minutes / 60),
    }
}

/// A clock's date and time.
fn civil(clock: i64) -> Result<NaiveDateTime, ArrowError> {
    let time = DateTime::from_timestamp_micros(clock).ok_or_else(out_of_range)?;
    Ok(time.naive_utc())
}

fn out_of_range() -> ArrowError {
    ArrowError::ArithmeticOverflow("timestamp".into())
}
