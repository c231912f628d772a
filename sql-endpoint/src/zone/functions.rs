//! Functions between instants and the clocks of a zone. Sessions cannot call them: the rule does.

use std::sync::Arc;

use chrono::{Datelike as _, Days, Months, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::{
    ArrayRef, AsArray as _, Date32Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::{DAY, SECOND, UTC, Zone, civil, out_of_range, text};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// What clocks show at an instant.
    Clock,
    /// The day that it is at an instant.
    Day,
    /// The instant at which clocks show something.
    Instant,
    /// The instant that a text means.
    Read,
    /// An instant as a text.
    Written,
    /// A clock's time as a text, of no zone.
    WrittenClock,
    /// The beginning of a unit of time, as clocks show it.
    Truncated,
    /// Months and days later as clocks show them, then the rest of an interval.
    Later,
}

/// The type of instants.
pub(super) fn instants() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The type of what clocks show.
pub(super) fn clocks() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Units of `date_trunc` that days consist of, with their length.
const WITHIN_DAYS: [(&str, i64); 5] = [
    ("hour", 3_600 * SECOND),
    ("minute", 60 * SECOND),
    ("second", SECOND),
    ("millisecond", 1_000),
    ("microsecond", 1),
];
const WHOLE_DAYS: [&str; 5] = ["day", "week", "month", "quarter", "year"];

/// Whether times can be cut down to a unit.
pub(super) fn is_unit(unit: &str) -> bool {
    WHOLE_DAYS.contains(&unit) || WITHIN_DAYS.iter().any(|(known, _)| *known == unit)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InZone {
    kind: Kind,
    signature: Signature,
}

/// A call: of a value, of what is done with it where that takes more than the value, in a zone.
pub(super) fn call(kind: Kind, value: Expr, how: Option<Expr>, zone: Zone) -> Expr {
    let args: Vec<Expr> = std::iter::once(value)
        .chain(how)
        .chain([lit(zone.label())])
        .collect();
    let function = InZone {
        kind,
        signature: Signature::any(args.len(), Volatility::Immutable),
    };
    ScalarUDF::from(function).call(args)
}

impl ScalarUDFImpl for InZone {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Clock => "clock_in_zone",
            Kind::Day => "day_in_zone",
            Kind::Instant => "instant_of_clock",
            Kind::Read => "instant_of_text",
            Kind::Written => "text_in_zone",
            Kind::WrittenClock => "text_of_clock",
            Kind::Truncated => "date_trunc_in_zone",
            Kind::Later => "later_in_zone",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Clock => clocks(),
            Kind::Day => DataType::Date32,
            Kind::Written | Kind::WrittenClock => DataType::Utf8,
            Kind::Instant | Kind::Read | Kind::Truncated | Kind::Later => instants(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = matches!(args.args[0], ColumnarValue::Scalar(_))
            && args.args[1..]
                .iter()
                .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let zone = zone(args.args.last())?;
        let array = self.of_array(&args.args, rows, zone)?;
        match is_scalar {
            true => ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(array)),
        }
    }

    /// The instants at which clocks show a time, or a day, where that is one range: comparisons with a
    /// constant become comparisons of instants, which are answered by folders, statistics and MongoDB.
    fn preimage(&self, args: &[Expr], value: &Expr, _: &SimplifyContext) -> Result<PreimageResult> {
        let (Expr::Literal(value, _), [of, Expr::Literal(name, _)]) = (value, args) else {
            return Ok(PreimageResult::None);
        };
        let clocks = match (self.kind, value) {
            (Kind::Clock, ScalarValue::TimestampMicrosecond(Some(clock), None)) => {
                Some((*clock, clock.saturating_add(1)))
            }
            (Kind::Day, ScalarValue::Date32(Some(day))) => {
                let day = i64::from(*day);
                day.checked_mul(DAY).zip((day + 1).checked_mul(DAY))
            }
            _ => None,
        };
        let zone = name.try_as_str().flatten().and_then(Zone::labelled);
        let (Some((first, end)), Some(zone)) = (clocks, zone) else {
            return Ok(PreimageResult::None);
        };
        // Around a time that clocks show twice or never, instants and clocks have another order.
        let (Some(first), Some(end)) = (zone.only_instant(first), zone.only_instant(end)) else {
            return Ok(PreimageResult::None);
        };
        let at = |instant| ScalarValue::TimestampMicrosecond(Some(instant), Some(UTC.into()));
        Ok(PreimageResult::Range {
            expr: of.clone(),
            interval: Box::new(Interval::try_new(at(first), at(end))?),
        })
    }
}

fn zone(given: Option<&ColumnarValue>) -> Result<Zone> {
    let name = match given {
        Some(ColumnarValue::Scalar(name)) => name.try_as_str().flatten(),
        _ => None,
    };
    name.and_then(Zone::labelled)
        .ok_or_else(|| DataFusionError::Internal("a function in a zone without one".into()))
}

impl InZone {
    fn of_array(&self, args: &[ColumnarValue], rows: usize, zone: Zone) -> Result<ArrayRef> {
        let times = |kind: DataType| array(&args[0], rows, &kind);
        match self.kind {
            Kind::Clock => {
                let shown: TimestampMicrosecondArray =
                    times_of(&times(instants())?).try_unary(|at| zone.clock(at))?;
                Ok(Arc::new(shown))
            }
            Kind::Day => {
                let day = |at| day_of(zone.clock(at)?);
                let days: Date32Array = times_of(&times(instants())?).try_unary(day)?;
                Ok(Arc::new(days))
            }
            Kind::Instant => moved(&times(clocks())?, |clock| zone.instant(clock)),
            Kind::Written => texts(&times(instants())?, Some(zone)),
            Kind::WrittenClock => texts(&times(clocks())?, None),
            Kind::Truncated => {
                let unit = match &args[1] {
                    ColumnarValue::Scalar(unit) => unit.try_as_str().flatten(),
                    ColumnarValue::Array(_) => None,
                };
                let unit = unit.unwrap_or_default();
                moved(&times(instants())?, |at| truncated(at, unit, zone))
            }
            Kind::Read => {
                let given = array(&args[0], rows, &DataType::Utf8)?;
                let read = given.as_string::<i32>().iter();
                let read = read.map(|text| text.map(|text| text::read(text, zone)).transpose());
                instants_of(read)
            }
            Kind::Later => {
                let given = times(instants())?;
                let intervals = DataType::Interval(IntervalUnit::MonthDayNano);
                let intervals = array(&args[1], rows, &intervals)?;
                let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
                let later = times_of(&given).iter().zip(intervals).map(|(at, by)| {
                    let both = at.zip(by);
                    both.map(|(at, by)| later(at, by, zone)).transpose()
                });
                instants_of(later)
            }
        }
    }
}

/// An argument in a type, which every value has to fit.
fn array(of: &ColumnarValue, rows: usize, kind: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(
        &of.clone().into_array(rows)?,
        kind,
        &strict,
    )?)
}

fn times_of(array: &ArrayRef) -> &TimestampMicrosecondArray {
    array.as_primitive::<TimestampMicrosecondType>()
}

/// Instants of other times.
fn moved(times: &ArrayRef, to: impl Fn(i64) -> Result<i64, ArrowError>) -> Result<ArrayRef> {
    let found: TimestampMicrosecondArray = times_of(times).try_unary(to)?;
    Ok(Arc::new(found.with_timezone(UTC)))
}

fn instants_of(found: impl Iterator<Item = Result<Option<i64>, ArrowError>>) -> Result<ArrayRef> {
    let found = found.collect::<Result<TimestampMicrosecondArray, ArrowError>>()?;
    Ok(Arc::new(found.with_timezone(UTC)))
}

fn texts(times: &ArrayRef, zone: Option<Zone>) -> Result<ArrayRef> {
    let texts = times_of(times).iter();
    let texts = texts.map(|time| time.map(|time| text::written(time, zone)).transpose());
    let texts = texts.collect::<Result<StringArray, ArrowError>>()?;
    Ok(Arc::new(texts))
}

fn day_of(clock: i64) -> Result<i32, ArrowError> {
    i32::try_from(clock.div_euclid(DAY)).map_err(|_| out_of_range())
}

/// An hour and less are cut by the offset that is there; a day and more begin when clocks show midnight.
fn truncated(instant: i64, unit: &str, zone: Zone) -> Result<i64, ArrowError> {
    let clock = zone.clock(instant)?;
    if let Some((_, length)) = WITHIN_DAYS.iter().find(|(known, _)| *known == unit) {
        return Ok(instant - clock.rem_euclid(*length));
    }
    let date = civil(clock)?.date();
    let first = match unit {
        "week" => date.checked_sub_days(Days::new(date.weekday().num_days_from_monday().into())),
        "month" => date.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(date.year(), 1, 1),
        _ => Some(date),
    };
    let midnight = first.and_then(|first| first.and_hms_opt(0, 0, 0));
    zone.instant(micros(midnight.ok_or_else(out_of_range)?))
}

/// As PostgreSQL adds: months, then days, by the clock each; then time, by the instant.
fn later(instant: i64, by: IntervalMonthDayNano, zone: Zone) -> Result<i64, ArrowError> {
    let mut instant = instant;
    if by.months != 0 {
        let clock = civil(zone.clock(instant)?)?;
        let months = Months::new(by.months.unsigned_abs());
        let moved = match by.months > 0 {
            true => clock.checked_add_months(months),
            false => clock.checked_sub_months(months),
        };
        instant = zone.instant(micros(moved.ok_or_else(out_of_range)?))?;
    }
    if by.days != 0 {
        let days = i64::from(by.days) * DAY;
        let moved = zone.clock(instant)?.checked_add(days);
        instant = zone.instant(moved.ok_or_else(out_of_range)?)?;
    }
    let moved = instant.checked_add(by.nanoseconds / 1_000);
    moved.ok_or_else(out_of_range)
}

fn micros(clock: NaiveDateTime) -> i64 {
    clock.and_utc().timestamp_micros()
}
