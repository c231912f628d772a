//! What is known of a file without opening it: bounds of its columns, from its place in the lake.
//!
//! ```text
//! date=2026-01-31, region=Corse, offsets of source partitions ─► Bounds ─► files that a predicate needs
//! ```
//!
//! Owns: from partition values to bounds of the columns that they were made of.
//! Does not own: what a predicate makes of bounds (the query engine's `PruningPredicate`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{
    DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc,
};
use chrono_tz::Tz;
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use lake_writer::commit::segment::LiveFile;
use lake_writer::store::TablePath;
use lake_writer::table::spec::{PartitionField, Spec, Transform};
use lake_writer::table::{KAFKA_OFFSET, KAFKA_PARTITION};

/// Lowest and highest value of a column in a file, both possible.
type Bounds = (ScalarValue, ScalarValue);

/// Which of the files may hold a row for which `predicate` is true, in their order.
///
/// # Errors
/// Those of evaluating it.
pub(super) fn keep(
    files: &[(TablePath, LiveFile)],
    predicate: &Arc<dyn PhysicalExpr>,
    spec: &Spec,
    schema: &SchemaRef,
) -> Result<Vec<bool>> {
    let predicate = PruningPredicateBuilder::new()
        .with_file_schema(schema.clone())
        .try_build(predicate.clone())?;
    if predicate.always_true() {
        return Ok(vec![true; files.len()]);
    }
    predicate.prune(&Known::new(files, spec, schema))
}

/// What is known of each file, by column.
struct Known {
    columns: HashMap<String, (ArrayRef, ArrayRef)>,
    rows: ArrayRef,
    files: usize,
}

impl Known {
    fn new(files: &[(TablePath, LiveFile)], spec: &Spec, schema: &SchemaRef) -> Self {
        let mut columns = HashMap::new();
        for field in schema.fields() {
            let kind = field.data_type();
            let parts: Vec<&PartitionField> = spec
                .fields
                .iter()
                .filter(|part| schema.field(part.column).name() == field.name())
                .collect();
            let of_file = |file: &LiveFile| match field.name().as_str() {
                KAFKA_PARTITION => partitions(file),
                KAFKA_OFFSET => offsets(file),
                _ => {
                    let bounds = parts.iter().filter_map(|part| {
                        let value = file.partition.get(&part.name)?.as_deref()?;
                        bounds(value, part.transform, kind, spec.time_zone)
                    });
                    bounds.reduce(narrower)
                }
            };
            if let Some(arrays) = arrays(files.iter().map(|(_, file)| of_file(file)), kind) {
                columns.insert(field.name().clone(), arrays);
            }
        }
        let rows = files.iter().map(|(_, file)| Some(file.rows));
        Self {
            columns,
            rows: Arc::new(rows.collect::<UInt64Array>()),
            files: files.len(),
        }
    }
}

/// `None` when nothing is known of any file.
fn arrays(
    bounds: impl Iterator<Item = Option<Bounds>>,
    kind: &DataType,
) -> Option<(ArrayRef, ArrayRef)> {
    let unknown = ScalarValue::try_from(kind).ok()?;
    let (min, max): (Vec<_>, Vec<_>) = bounds
        .map(|found| found.unwrap_or_else(|| (unknown.clone(), unknown.clone())))
        .unzip();
    if min.iter().all(ScalarValue::is_null) {
        return None;
    }
    let min = ScalarValue::iter_to_array(min).ok()?;
    let max = ScalarValue::iter_to_array(max).ok()?;
    Some((min, max))
}

impl PruningStatistics for Known {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|(min, _)| min.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.columns.get(&column.name).map(|(_, max)| max.clone())
    }

    fn num_containers(&self) -> usize {
        self.files
    }

    /// Not known: null and the empty string share a folder.
    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(self.rows.clone())
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

fn partitions(file: &LiveFile) -> Option<Bounds> {
    let min = file.sources.iter().map(|source| source.partition).min()?;
    let max = file.sources.iter().map(|source| source.partition).max()?;
    Some((min.into(), max.into()))
}

fn offsets(file: &LiveFile) -> Option<Bounds> {
    let min = file.sources.iter().map(|source| source.min).min()?;
    let max = file.sources.iter().map(|source| source.max).max()?;
    Some((min.into(), max.into()))
}

/// `date(sold_at)` and `hour(sold_at)` both speak of one column.
fn narrower(one: Bounds, other: Bounds) -> Bounds {
    let min = if one.0 >= other.0 { one.0 } else { other.0 };
    let max = if one.1 <= other.1 { one.1 } else { other.1 };
    (min, max)
}

/// Bounds of a column's values in the folder of a partition value.
fn bounds(value: &str, transform: Transform, kind: &DataType, zone: Tz) -> Option<Bounds> {
    if transform != Transform::Identity {
        let (first, last) = wall_clock(value, transform)?;
        return clock_bounds(first, last, kind, zone);
    }
    let exact = match kind {
        DataType::Utf8 => ScalarValue::from(value),
        DataType::Boolean => ScalarValue::from(value.parse::<bool>().ok()?),
        DataType::Int32 => ScalarValue::from(value.parse::<i32>().ok()?),
        DataType::Int64 => ScalarValue::from(value.parse::<i64>().ok()?),
        _ => return None,
    };
    Some((exact.clone(), exact))
}

/// First and last microsecond that a clock shows in `2026`, `2026-01`, `2026-01-31` or `2026-01-31-14`.
/// The offset that may follow an hour is passed over, which makes the bounds wider.
fn wall_clock(value: &str, transform: Transform) -> Option<(NaiveDateTime, NaiveDateTime)> {
    let number = |at: std::ops::Range<usize>| value.get(at)?.parse::<u32>().ok();
    let year = i32::try_from(number(0..4)?).ok()?;
    let date = |month, day| NaiveDate::from_ymd_opt(year, month, day);
    let (first, next) = match transform {
        Transform::Identity => return None,
        Transform::Year => (date(1, 1)?, NaiveDate::from_ymd_opt(year + 1, 1, 1)?),
        Transform::Month => {
            let first = date(number(5..7)?, 1)?;
            (first, first.checked_add_months(chrono::Months::new(1))?)
        }
        Transform::Date | Transform::Hour => {
            let first = date(number(5..7)?, number(8..10)?)?;
            (first, first.checked_add_days(Days::new(1))?)
        }
    };
    let (mut first, mut next) = (first.and_hms_opt(0, 0, 0)?, next.and_hms_opt(0, 0, 0)?);
    if transform == Transform::Hour {
        first = first.with_hour(number(11..13)?)?;
        next = first + TimeDelta::hours(1);
    }
    Some((first, next - TimeDelta::microseconds(1)))
}

/// From what a clock shows to values of the column.
fn clock_bounds(
    first: NaiveDateTime,
    last: NaiveDateTime,
    kind: &DataType,
    zone: Tz,
) -> Option<Bounds> {
    let (first, last) = match kind {
        DataType::Date32 => {
            let days = |at: NaiveDateTime| {
                let days = at.and_utc().timestamp().div_euclid(86_400);
                Some(ScalarValue::Date32(Some(i32::try_from(days).ok()?)))
            };
            return Some((days(first)?, days(last)?));
        }
        DataType::Timestamp(_, None) => (first.and_utc(), last.and_utc()),
        DataType::Timestamp(_, Some(_)) => (earliest(first, zone)?, latest(last, zone)?),
        _ => return None,
    };
    match kind {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let value = |micros| ScalarValue::TimestampMicrosecond(Some(micros), zone.clone());
            Some((
                value(first.timestamp_micros()),
                value(last.timestamp_micros()),
            ))
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            let value = |millis| ScalarValue::TimestampMillisecond(Some(millis), zone.clone());
            Some((
                value(first.timestamp_millis()),
                value(last.timestamp_millis()),
            ))
        }
        _ => None,
    }
}

/// The first instant at which the clocks of a zone show a time, or would if they had not been put
/// forward over it. Up to a day too early where there is no such time.
fn earliest(at: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let instant = |at: &NaiveDateTime| zone.from_local_datetime(at).earliest();
    let before = || instant(&at.checked_sub_signed(TimeDelta::days(1))?);
    Some(instant(&at).or_else(before)?.to_utc())
}

/// And the last.
fn latest(at: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let instant = |at: &NaiveDateTime| zone.from_local_datetime(at).latest();
    let after = || instant(&at.checked_add_signed(TimeDelta::days(1))?);
    Some(instant(&at).or_else(after)?.to_utc())
}

#[cfg(test)]
mod tests;
