//! From predicates of SQL to what `$match` takes, where both mean the same.
//!
//! ```text
//! region <> 'Corse' AND amount > 5 ─► {$and: [{region: {$nin: ['Corse', null]}}, {amount: {$gt: 5}}]}
//! ```
//!
//! A predicate of SQL is true, false or unknown, one of `$match` takes a document or does not. So two
//! questions are translated: which documents make it true, and which make it false. `NOT` swaps them,
//! and whatever is compared with null is in neither. `$not` and `$nor`, which take null for false, stand
//! only around what is never unknown.
//!
//! Owns: which predicates have an exact translation. Floats have none: NaN has its own place in each.
//! Does not own: values (`literal`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use mongodb::bson::{Bson, Document, doc};

use super::literal::{Instant, bson, day};
use super::shape::Shape;
use super::times::{Moment, moment};

/// The documents for which a predicate is true; `None` when that cannot be said exactly.
pub(super) fn matching(predicate: &Expr, shape: &Shape) -> Option<Document> {
    documents(predicate, true, shape)
}

/// The documents for which a predicate is `wanted`.
fn documents(predicate: &Expr, wanted: bool, shape: &Shape) -> Option<Document> {
    match predicate {
        Expr::Not(inner) => documents(inner, !wanted, shape),
        Expr::BinaryExpr(both) if matches!(both.op, Operator::And | Operator::Or) => {
            let left = documents(&both.left, wanted, shape)?;
            let right = documents(&both.right, wanted, shape)?;
            let all = (both.op == Operator::And) == wanted;
            Some(doc! {if all { "$and" } else { "$or" }: [left, right]})
        }
        Expr::BinaryExpr(both) => comparison(both, wanted, shape),
        Expr::Between(between) => {
            let side = |op, bound: &Expr| {
                let both = BinaryExpr::new(between.expr.clone(), op, Box::new(bound.clone()));
                Expr::BinaryExpr(both)
            };
            let low = side(Operator::GtEq, &between.low);
            let high = side(Operator::LtEq, &between.high);
            documents(&low.and(high), wanted != between.negated, shape)
        }
        Expr::InList(list) => in_list(list, wanted, shape),
        Expr::Like(like) => self::like(like, wanted, shape),
        Expr::IsNull(inner) => null(inner, wanted, shape),
        Expr::IsNotNull(inner) => null(inner, !wanted, shape),
        Expr::IsTrue(inner) => certain(documents(inner, true, shape)?, wanted),
        Expr::IsNotTrue(inner) => certain(documents(inner, true, shape)?, !wanted),
        Expr::IsFalse(inner) => certain(documents(inner, false, shape)?, wanted),
        Expr::IsNotFalse(inner) => certain(documents(inner, false, shape)?, !wanted),
        Expr::Literal(ScalarValue::Boolean(value), _) => Some(match value {
            Some(value) if *value == wanted => Document::new(),
            _ => none(),
        }),
        Expr::Column(column) => {
            let (field, path) = shape.column(&column.name)?;
            (*field.data_type() == DataType::Boolean).then(|| doc! {path: wanted})
        }
        _ => None,
    }
}

/// No document.
fn none() -> Document {
    doc! {"$expr": false}
}

/// The documents, or all others: for what is never unknown.
fn certain(documents: Document, wanted: bool) -> Option<Document> {
    Some(match wanted {
        true => documents,
        false => doc! {"$nor": [documents]},
    })
}

fn null(of: &Expr, wanted: bool, shape: &Shape) -> Option<Document> {
    let Expr::Column(column) = of else {
        return None;
    };
    let (_, path) = shape.column(&column.name)?;
    Some(match wanted {
        true => doc! {path: Bson::Null},
        false => doc! {path: {"$ne": Bson::Null}},
    })
}

fn comparison(both: &BinaryExpr, wanted: bool, shape: &Shape) -> Option<Document> {
    let (of, op, value) = match (both.left.as_ref(), both.right.as_ref()) {
        (of, Expr::Literal(value, _)) => (of, both.op, value),
        (Expr::Literal(value, _), of) => (of, both.op.swap()?, value),
        _ => return None,
    };
    // Where it is false, its opposite is true; where it is unknown, both are.
    let op = if wanted { op } else { op.negate()? };
    let is_comparison = matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    );
    if !is_comparison {
        return None;
    }
    if let Some(moment) = moment(of, shape) {
        return instant(&moment, op, value);
    }
    let Expr::Column(column) = of else {
        return None;
    };
    let (field, path) = shape.column(&column.name)?;
    if value.is_null() {
        return is_ordered(field.data_type()).then(none);
    }
    let value = bson(value, field.data_type())?;
    Some(match op {
        Operator::NotEq => doc! {path: {"$nin": [value, Bson::Null]}},
        _ => doc! {path: {operator(op)?: value}},
    })
}

/// Whether values of the type compare alike on both sides.
fn is_ordered(kind: &DataType) -> bool {
    ScalarValue::new_default(kind).is_ok_and(|value| bson(&value, kind).is_some())
}

fn operator(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Eq => "$eq",
        Operator::Lt => "$lt",
        Operator::LtEq => "$lte",
        Operator::Gt => "$gt",
        Operator::GtEq => "$gte",
        _ => return None,
    })
}

/// Compares a Date, which holds whole milliseconds, with any instant; or its day with a day.
fn instant(moment: &Moment<'_>, op: Operator, value: &ScalarValue) -> Option<Document> {
    let path = moment.path;
    if value.is_null() {
        return Some(none());
    }
    if moment.is_day {
        let (start, end) = day(value)?;
        return Some(match op {
            Operator::Eq => doc! {path: {"$gte": start, "$lt": end}},
            Operator::NotEq => doc! {"$or": [{path: {"$lt": start}}, {path: {"$gte": end}}]},
            Operator::Lt => doc! {path: {"$lt": start}},
            Operator::LtEq => doc! {path: {"$lt": end}},
            Operator::Gt => doc! {path: {"$gte": end}},
            _ => doc! {path: {"$gte": start}},
        });
    }
    let Instant { floor, is_exact } = Instant::of(value, moment.zoned)?;
    Some(match (op, is_exact) {
        (Operator::Eq, true) => doc! {path: {"$eq": floor}},
        (Operator::Eq, false) => none(),
        (Operator::NotEq, true) => doc! {path: {"$nin": [floor, Bson::Null]}},
        (Operator::NotEq, false) => doc! {path: {"$ne": Bson::Null}},
        (Operator::Lt, true) => doc! {path: {"$lt": floor}},
        (Operator::GtEq, true) => doc! {path: {"$gte": floor}},
        (Operator::Lt | Operator::LtEq, _) => doc! {path: {"$lte": floor}},
        _ => doc! {path: {"$gt": floor}},
    })
}

/// `IN`: a value that is none of them is in a list with a null among them neither in it nor not.
fn in_list(list: &InList, wanted: bool, shape: &Shape) -> Option<Document> {
    let wanted = wanted != list.negated;
    let moment = moment(&list.expr, shape);
    if moment.as_ref().is_some_and(|moment| moment.is_day) {
        let equals = list.list.iter().map(|value| {
            let both = BinaryExpr::new(list.expr.clone(), Operator::Eq, Box::new(value.clone()));
            Expr::BinaryExpr(both)
        });
        let either = datafusion::logical_expr::utils::disjunction(equals)?;
        return documents(&either, wanted, shape);
    }
    let mut values = Vec::with_capacity(list.list.len() + 1);
    let mut holds_null = false;
    let column = match (&moment, list.expr.as_ref()) {
        (Some(_), _) => None,
        (None, Expr::Column(column)) => Some(shape.column(&column.name)?),
        _ => return None,
    };
    for value in &list.list {
        let Expr::Literal(value, _) = value else {
            return None;
        };
        match (&moment, column) {
            _ if value.is_null() => holds_null = true,
            (Some(moment), _) => {
                let Instant { floor, is_exact } = Instant::of(value, moment.zoned)?;
                // No Date equals a time between two milliseconds.
                values.extend(is_exact.then_some(Bson::from(floor)));
            }
            (None, Some((field, _))) => values.push(bson(value, field.data_type())?),
            (None, None) => return None,
        }
    }
    let path = moment
        .map(|moment| moment.path)
        .or(column.map(|(_, path)| path))?;
    Some(match (wanted, holds_null) {
        (true, _) => doc! {path: {"$in": values}},
        (false, true) => none(),
        (false, false) => {
            values.push(Bson::Null);
            doc! {path: {"$nin": values}}
        }
    })
}

/// `LIKE` with nothing but a `%` at the end: a range of strings, which both order by their bytes.
fn like(like: &Like, wanted: bool, shape: &Shape) -> Option<Document> {
    let (Expr::Column(column), Expr::Literal(pattern, _)) =
        (like.expr.as_ref(), like.pattern.as_ref())
    else {
        return None;
    };
    let (field, path) = shape.column(&column.name)?;
    let plain = !like.case_insensitive && like.escape_char.is_none();
    if !plain || *field.data_type() != DataType::Utf8 {
        return None;
    }
    let wanted = wanted != like.negated;
    let Some(pattern) = pattern.try_as_str()? else {
        return Some(none());
    };
    let (start, is_open) = match pattern.strip_suffix('%') {
        Some(start) => (start, true),
        None => (pattern, false),
    };
    if start.contains(['%', '_', '\\']) {
        return None;
    }
    if !is_open {
        return Some(match wanted {
            true => doc! {path: start},
            false => doc! {path: {"$nin": [start, Bson::Null]}},
        });
    }
    Some(match (after(start), wanted) {
        (Some(end), true) => doc! {path: {"$gte": start, "$lt": end}},
        (Some(end), false) => doc! {"$or": [{path: {"$lt": start}}, {path: {"$gte": end}}]},
        (None, true) => doc! {path: {"$gte": start}},
        (None, false) => doc! {path: {"$lt": start}},
    })
}

/// The first string that is behind all that begin with `start`; `None` when there is none.
fn after(start: &str) -> Option<String> {
    let mut chars: Vec<char> = start.chars().collect();
    while let Some(last) = chars.pop() {
        // Between these two lie the surrogates, which are no characters.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests;
