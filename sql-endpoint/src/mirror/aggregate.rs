//! From an aggregate of SQL to `$group`, where both mean the same.
//!
//! ```text
//! SELECT region, sum(amount) … GROUP BY region ─► {$group: {_id: {k0: '$region'}, a0: {$sum: '$amount'}}}
//! ```
//!
//! Owns: which keys and aggregates have an exact translation, and the types of what comes out.
//! Does not own: where in a plan it stands (`push_down`).

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use mongodb::bson::{Bson, Document, doc};

use super::shape::Shape;
use super::times::moment;

/// A `$group`, and what to make of its documents.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    keys: Document,
    accumulators: Document,
    /// The columns that come out, as expressions over a group's document.
    pub(super) values: Vec<Bson>,
    /// What each says of no rows at all.
    pub(super) of_nothing: Vec<ScalarValue>,
}

impl Grouping {
    /// Adds a key whose values are read as `field` has it; `None` when the server has no such key.
    pub(super) fn add_key(
        &mut self,
        key: &Expr,
        field: &Field,
        shape: &Shape,
        truncates: bool,
    ) -> Option<()> {
        let value = self::key(key, shape, truncates)?;
        let name = format!("k{}", self.keys.len());
        self.values.push(format!("$_id.{name}").into());
        self.of_nothing
            .push(ScalarValue::try_from(field.data_type()).ok()?);
        self.keys.insert(name, value);
        Some(())
    }

    /// Adds an aggregate; `None` when the server has no such one.
    pub(super) fn add(
        &mut self,
        of: &AggregateFunction,
        field: &Field,
        shape: &Shape,
    ) -> Option<()> {
        let params = &of.params;
        let is_plain = !params.distinct
            && params.filter.is_none()
            && params.order_by.is_empty()
            && params.null_treatment.is_none();
        let ([argument], true) = (params.args.as_slice(), is_plain) else {
            return None;
        };
        let name = format!("a{}", self.values.len());
        let kind = field.data_type();
        let is_count = of.func.name() == "count";
        self.of_nothing.push(if is_count {
            ScalarValue::Int64(Some(0))
        } else {
            ScalarValue::try_from(kind).ok()?
        });
        self.values.push(format!("${name}").into());
        let (column, path) = match argument {
            Expr::Literal(value, _) if is_count && !value.is_null() => {
                self.accumulators.insert(name, doc! {"$sum": 1});
                return Some(());
            }
            argument => summand(argument, shape)?,
        };
        let value = Bson::from(format!("${path}"));
        let accumulator = match of.func.name() {
            "count" => doc! {"$sum": is_there(&value)},
            "sum" if is_summed(column.data_type(), kind) => {
                self.null_without_values(&name, column, &value);
                doc! {"$sum": value}
            }
            // Both pass over nulls.
            "min" if is_ordered(column.data_type()) => doc! {"$min": value},
            "max" if is_ordered(column.data_type()) => doc! {"$max": value},
            _ => return None,
        };
        self.accumulators.insert(name, accumulator);
        Some(())
    }

    /// The server's sum of nulls alone is 0, that of SQL is null.
    fn null_without_values(&mut self, name: &str, column: &Field, value: &Bson) {
        if !column.is_nullable() {
            return;
        }
        let counted = format!("{name}_values");
        let there = doc! {"$gt": [format!("${counted}"), 0]};
        let sum = doc! {"$cond": [there, format!("${name}"), Bson::Null]};
        if let Some(last) = self.values.last_mut() {
            *last = sum.into();
        }
        self.accumulators
            .insert(counted, doc! {"$sum": is_there(value)});
    }

    /// The stage, and whether it gives a document even for no rows in SQL.
    pub(super) fn stage(&self) -> (Document, bool) {
        let id = match self.keys.is_empty() {
            true => Bson::Null,
            false => self.keys.clone().into(),
        };
        let mut group = doc! {"_id": id};
        group.extend(self.accumulators.clone());
        (doc! {"$group": group}, self.keys.is_empty())
    }
}

/// A plain column; whole numbers are the same in more bits, which the engine sums them in.
fn summand<'a>(argument: &Expr, shape: &'a Shape) -> Option<(&'a Field, &'a str)> {
    match argument {
        Expr::Column(column) => shape.column(&column.name),
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Int64 => {
            let (field, path) = summand(&cast.expr, shape)?;
            (*field.data_type() == DataType::Int32).then_some((field, path))
        }
        _ => None,
    }
}

/// 1 for a value, 0 for null and for what is missing: both come before all values.
fn is_there(value: &Bson) -> Bson {
    doc! {"$cond": [{"$gt": [value.clone(), Bson::Null]}, 1, 0]}.into()
}

/// Whether the server's sum of a column is that of SQL, read as `kind`. Floats are summed in another order.
fn is_summed(column: &DataType, kind: &DataType) -> bool {
    match (column, kind) {
        (DataType::Int32 | DataType::Int64, DataType::Int64) => true,
        (DataType::Decimal128(_, scale), DataType::Decimal128(_, found)) => scale == found,
        _ => false,
    }
}

/// Whether values have the same order on both sides.
fn is_ordered(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8
            | DataType::Int32
            | DataType::Int64
            | DataType::Decimal128(..)
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

/// A plain column, a time cut down to a unit, or a part of one.
fn key(key: &Expr, shape: &Shape, truncates: bool) -> Option<Bson> {
    match key {
        Expr::Alias(alias) => self::key(&alias.expr, shape, truncates),
        Expr::Column(column) => {
            let (field, path) = shape.column(&column.name)?;
            let is_key = is_ordered(field.data_type()) || *field.data_type() == DataType::Boolean;
            is_key.then(|| or_null(path, field.is_nullable()))
        }
        Expr::Cast(_) => {
            let moment = moment(key, shape)?;
            let value = or_null(moment.path, moment.nullable);
            match moment.is_day {
                true if truncates => Some(truncated(&value, "day")),
                true => None,
                false => Some(value),
            }
        }
        Expr::ScalarFunction(call) => {
            let [Expr::Literal(unit, _), time] = call.args.as_slice() else {
                return None;
            };
            let unit = unit.try_as_str()??.to_ascii_lowercase();
            let moment = moment(time, shape)?;
            let value = or_null(moment.path, moment.nullable);
            match call.func.name() {
                "date_trunc" if truncates => {
                    // A day has no hours to be cut down to.
                    let within_day = matches!(unit.as_str(), "hour" | "minute");
                    let unit = if moment.is_day && within_day {
                        "day"
                    } else {
                        &unit
                    };
                    is_unit(unit).then(|| truncated(&value, unit))
                }
                "date_part" if !moment.is_day => {
                    let part = part(&unit)?;
                    Some(doc! {part: value}.into())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn or_null(path: &str, nullable: bool) -> Bson {
    let value = Bson::from(format!("${path}"));
    match nullable {
        // What is missing would be a group of its own.
        true => doc! {"$ifNull": [value, Bson::Null]}.into(),
        false => value,
    }
}

/// In UTC; weeks begin on Mondays on both sides.
fn truncated(value: &Bson, unit: &str) -> Bson {
    let mut trunc = doc! {"date": value.clone(), "unit": unit};
    if unit == "week" {
        trunc.insert("startOfWeek", "monday");
    }
    doc! {"$dateTrunc": trunc}.into()
}

fn is_unit(unit: &str) -> bool {
    const UNITS: [&str; 7] = ["year", "quarter", "month", "week", "day", "hour", "minute"];
    UNITS.contains(&unit)
}

fn part(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "year" => "$year",
        "month" => "$month",
        "week" => "$isoWeek",
        "day" => "$dayOfMonth",
        "doy" => "$dayOfYear",
        "hour" => "$hour",
        "minute" => "$minute",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
