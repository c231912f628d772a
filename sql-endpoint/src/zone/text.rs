//! Times as texts, in PostgreSQL's form of ISO 8601, and back.

use std::fmt::Write as _;

use chrono::{Datelike as _, FixedOffset, Timelike as _};
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::error::ArrowError;

use super::{SECOND, Zone, civil};

/// `2026-03-29 01:59:59.5`; with a zone, its offset behind.
///
/// # Errors
/// For times that are out of range.
pub(crate) fn written(instant: i64, zone: Option<Zone>) -> Result<String, ArrowError> {
    let east = zone.map(|zone| zone.offset(instant)).transpose()?;
    let clock = zone.map_or(Ok(instant), |zone| zone.clock(instant))?;
    let time = civil(clock)?;
    // There is no year 0: it is the first before Christ.
    let (year, era) = match time.year() {
        year @ 1.. => (year, ""),
        year => (1 - year, " BC"),
    };
    let mut text = format!(
        "{year:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let micros = clock.rem_euclid(SECOND);
    if micros > 0 {
        let digits = format!("{micros:06}");
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    if let Some(east) = east {
        let sign = if east < 0 { '-' } else { '+' };
        let (minutes, seconds) = (east.abs() / 60, east.abs() % 60);
        let _ = write!(text, "{sign}{:02}", minutes / 60);
        if minutes % 60 > 0 || seconds > 0 {
            let _ = write!(text, ":{:02}", minutes % 60);
        }
        if seconds > 0 {
            let _ = write!(text, ":{seconds:02}");
        }
    }
    Ok(text + era)
}

/// The instant that a text means: by the offset or the zone that it names, else by the clocks of `zone`.
///
/// # Errors
/// For texts that are no times.
pub(crate) fn read(text: &str, zone: Zone) -> Result<i64, ArrowError> {
    let seen_from = |hours: i32| {
        let offset = FixedOffset::east_opt(hours * 3_600);
        let offset = offset.ok_or_else(|| ArrowError::ParseError("no such offset".into()))?;
        string_to_datetime(&offset, text.trim()).map(|time| time.timestamp_micros())
    };
    // A text that says where it is means the same from everywhere.
    let (here, elsewhere) = (seen_from(0)?, seen_from(1)?);
    match here == elsewhere {
        true => Ok(here),
        false => zone.instant(here),
    }
}
