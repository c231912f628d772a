//! From values of SQL to values of BSON that compare alike.
//!
//! Owns: which types have such values.
//! Does not own: what they are compared by (`predicate`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use lake_writer::mirror::decimal;
use mongodb::bson::{Bson, DateTime, Decimal128};

const DAY_MS: i64 = 86_400_000;
const MILLI_NANOS: i128 = 1_000_000;

/// A value of a column of type `kind`, which is no timestamp; `None` for null, for a value of another
/// type, and for types that do not compare alike.
pub(super) fn bson(value: &ScalarValue, kind: &DataType) -> Option<Bson> {
    Some(match (kind, value) {
        (DataType::Utf8, value) => value.try_as_str()??.into(),
        (DataType::Boolean, ScalarValue::Boolean(Some(value))) => (*value).into(),
        (DataType::Int32, ScalarValue::Int32(Some(value))) => (*value).into(),
        (DataType::Int64, ScalarValue::Int64(Some(value))) => (*value).into(),
        (DataType::Time32(_), ScalarValue::Time32Millisecond(Some(value))) => (*value).into(),
        (DataType::Time64(_), ScalarValue::Time64Microsecond(Some(value))) => (*value).into(),
        (DataType::Date32, ScalarValue::Date32(Some(day))) => midnight((*day).into()).into(),
        (DataType::Decimal128(_, scale), ScalarValue::Decimal128(Some(value), _, own))
            if scale == own && value.unsigned_abs() < 10_u128.pow(decimal::DIGITS.into()) =>
        {
            Decimal128::from_bytes(decimal::encode(*value, *scale)).into()
        }
        _ => return None,
    })
}

/// An instant as a Date can hold it.
pub(super) struct Instant {
    /// The last whole millisecond that is not after it.
    pub(super) floor: DateTime,
    /// Whether that is the instant itself.
    pub(super) is_exact: bool,
}

impl Instant {
    /// A timestamp that is not null, with a zone or without as the column is.
    pub(super) fn of(value: &ScalarValue, zoned: bool) -> Option<Self> {
        let (count, nanos, zone) = match value {
            ScalarValue::TimestampSecond(count, zone) => (count, 1_000_000_000, zone),
            ScalarValue::TimestampMillisecond(count, zone) => (count, 1_000_000, zone),
            ScalarValue::TimestampMicrosecond(count, zone) => (count, 1_000, zone),
            ScalarValue::TimestampNanosecond(count, zone) => (count, 1, zone),
            _ => return None,
        };
        if zone.is_some() != zoned {
            return None;
        }
        let nanos = i128::from((*count)?) * nanos;
        let floor = i64::try_from(nanos.div_euclid(MILLI_NANOS)).ok()?;
        Some(Self {
            floor: DateTime::from_millis(floor),
            is_exact: nanos.rem_euclid(MILLI_NANOS) == 0,
        })
    }
}

/// Begin and end of a day in UTC.
pub(super) fn day(value: &ScalarValue) -> Option<(DateTime, DateTime)> {
    let ScalarValue::Date32(Some(day)) = value else {
        return None;
    };
    let day = i64::from(*day);
    Some((midnight(day), midnight(day + 1)))
}

fn midnight(day: i64) -> DateTime {
    DateTime::from_millis(day * DAY_MS)
}
