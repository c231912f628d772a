//! Expressions of SQL that are a column's time, or its day.
//!
//! ```text
//! sold_at, CAST(sold_at AS TIMESTAMP) ─► the time      CAST(sold_at AS DATE) ─► its day
//! ```
//!
//! Owns: which casts change nothing that a Date of BSON could tell.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::Expr;

use super::shape::Shape;

/// A column's time.
pub(super) struct Moment<'a> {
    /// Where the Date lies.
    pub(super) path: &'a str,
    /// Whether only its day in UTC is meant.
    pub(super) is_day: bool,
    /// Whether the expression's type has a time zone.
    pub(super) zoned: bool,
    /// Whether it can be null.
    pub(super) nullable: bool,
}

/// The time that an expression is, if it is one.
pub(super) fn moment<'a>(of: &Expr, shape: &'a Shape) -> Option<Moment<'a>> {
    match of {
        Expr::Alias(alias) => moment(&alias.expr, shape),
        Expr::Column(column) => {
            let (field, path) = shape.column(&column.name)?;
            let DataType::Timestamp(_, zone) = field.data_type() else {
                return None;
            };
            Some(Moment {
                path,
                is_day: false,
                zoned: zone.is_some(),
                nullable: field.is_nullable(),
            })
        }
        Expr::Cast(cast) => {
            let inner = moment(&cast.expr, shape)?;
            match cast.field.data_type() {
                DataType::Date32 => Some(Moment {
                    is_day: true,
                    ..inner
                }),
                // A Date has whole milliseconds: units as fine as that lose nothing.
                DataType::Timestamp(TimeUnit::Second, _) => None,
                DataType::Timestamp(_, zone) if is_utc(zone.as_deref()) => Some(Moment {
                    zoned: zone.is_some(),
                    ..inner
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Columns with a zone are in UTC, where a clock without a zone shows the same.
fn is_utc(zone: Option<&str>) -> bool {
    matches!(zone, None | Some("UTC" | "+00:00" | "Z"))
}
