//! Where PostgreSQL and the engine spell the same thing differently.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, SelectItem, SetExpr, Statement,
    TimezoneInfo, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};

use super::fault::error;

/// A tree as the engine understands it, with the meaning that PostgreSQL gives to it.
///
/// # Errors
/// 0A000 for a pattern of `to_char` that has no meaning here.
pub(super) fn postgresql(mut statement: Statement) -> PgWireResult<Statement> {
    let walked = visit_expressions_mut(&mut statement, |expression| match rewrite(expression) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    if let ControlFlow::Break(error) = walked {
        return Err(error);
    }
    told_apart(&mut statement);
    Ok(statement)
}

/// The engine takes no two columns of one name: those that have none get one of their own.
fn told_apart(statement: &mut Statement) {
    let Statement::Query(query) = statement else {
        return;
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    for (at, item) in select.projection.iter_mut().enumerate() {
        let plain = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if let SelectItem::UnnamedExpr(expr) = item
            && !plain(expr)
        {
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::with_quote('"', format!("?column?{at}")),
            };
        }
    }
}

fn rewrite(expression: &mut Expr) -> Result<(), PgWireError> {
    match expression {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Multiply,
            right,
        } => {
            let ((count, Expr::Interval(interval)) | (Expr::Interval(interval), count)) =
                (left.as_ref(), right.as_ref())
            else {
                return Ok(());
            };
            if let Expr::Value(value) = interval.value.as_ref()
                && let Value::SingleQuotedString(text) = &value.value
                && let Some((number, unit)) = times(text, interval.leading_field.as_ref())
            {
                *expression = multiplied(count.clone(), number, &unit);
            }
            Ok(())
        }
        // A date and an interval make a timestamp there, and a date here.
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } if is_date(left) && is_interval(right) => {
            let date = std::mem::replace(left.as_mut(), Expr::value(Value::Null));
            **left = cast(date, DataType::Timestamp(None, TimezoneInfo::None));
            Ok(())
        }
        // One row at most is compared, which the engine believes of sums alone.
        Expr::Subquery(query) => {
            if let SetExpr::Select(select) = query.body.as_mut()
                && let [SelectItem::UnnamedExpr(compared)] = &mut select.projection[..]
                && matches!(
                    compared,
                    Expr::BinaryOp {
                        op: BinaryOperator::Eq,
                        ..
                    }
                )
            {
                let text = format!("bool_or({compared})");
                if let Ok(expr) = Parser::new(&PostgreSqlDialect {})
                    .try_with_sql(&text)
                    .and_then(|mut parser| parser.parse_expr())
                {
                    *compared = expr;
                }
            }
            Ok(())
        }
        // The engine would cast to a type in that zone, which says nothing of what its clocks show.
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => {
            *expression = called("timezone", [time_zone.as_ref(), timestamp.as_ref()]);
            Ok(())
        }
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("to_char") => {
            pattern_of(function)
        }
        _ => Ok(()),
    }
}

fn called(name: &str, args: [&Expr; 2]) -> Expr {
    let args = args.map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg.clone())));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `1 DAY`, or `1` with the unit beside it, as number and unit.
fn times(text: &str, beside: Option<&impl ToString>) -> Option<(i64, String)> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let unit = match (words.next(), beside) {
        (Some(unit), None) => unit.to_owned(),
        (None, Some(unit)) => unit.to_string(),
        _ => return None,
    };
    words.next().is_none().then_some((number, unit))
}

/// The engine multiplies no intervals; it reads them from texts.
fn multiplied(count: Expr, number: i64, unit: &str) -> Expr {
    let text = |text: String| Expr::value(Value::SingleQuotedString(text));
    let binary = |left: Expr, op: BinaryOperator, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let count = Expr::Nested(Box::new(cast(count, DataType::BigInt(None))));
    let number = Expr::value(Value::Number(number.to_string(), false));
    let total = cast(
        binary(count, BinaryOperator::Multiply, number),
        DataType::Text,
    );
    let told = binary(
        total,
        BinaryOperator::StringConcat,
        text(format!(" {unit}")),
    );
    cast(
        Expr::Nested(Box::new(told)),
        DataType::Interval {
            fields: None,
            precision: None,
        },
    )
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        format: None,
        array: false,
    }
}

fn is_date(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_date(inner),
        Expr::Cast { data_type, .. } => *data_type == DataType::Date,
        _ => false,
    }
}

fn is_interval(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_interval(inner),
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Interval { .. }),
        Expr::BinaryOp { left, right, .. } => is_interval(left) || is_interval(right),
        _ => false,
    }
}

/// Patterns of PostgreSQL in those of the engine.
fn pattern_of(function: &mut Function) -> Result<(), PgWireError> {
    let FunctionArguments::List(list) = &mut function.args else {
        return Ok(());
    };
    let [
        _,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))),
    ] = &mut list.args[..]
    else {
        return Err(error(
            "0A000",
            "to_char takes a time and a literal pattern here",
        ));
    };
    if let Value::SingleQuotedString(pattern) = &mut value.value {
        *pattern = strftime(pattern).ok_or_else(|| {
            error(
                "0A000",
                format!("the pattern '{pattern}' of to_char is not supported"),
            )
        })?;
    }
    Ok(())
}

fn strftime(pattern: &str) -> Option<String> {
    const KNOWN: [(&str, &str); 14] = [
        ("YYYY", "%Y"),
        ("HH24", "%H"),
        ("HH12", "%I"),
        ("DDD", "%j"),
        ("MON", "%b"),
        ("IYYY", "%G"),
        ("YY", "%y"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("MI", "%M"),
        ("SS", "%S"),
        ("MS", "%3f"),
        ("US", "%6f"),
        ("IW", "%V"),
    ];
    let mut told = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        // Words of months change with the case of the pattern: only their usual form is the engine's.
        if let Some(after) = rest.strip_prefix("Mon") {
            told.push_str("%b");
            rest = after;
        } else if let Some((name, code)) = KNOWN.iter().find(|(name, _)| {
            *name != "MON"
                && rest
                    .get(..name.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(name))
        }) {
            told.push_str(code);
            rest = &rest[name.len()..];
        } else if letter.is_alphanumeric() || letter == '"' || letter == '%' {
            return None;
        } else {
            told.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    Some(told)
}

/// The headings of a query whose columns all have names.
pub(super) fn headings(statement: &Statement) -> Option<Vec<String>> {
    let Statement::Query(query) = statement else {
        return None;
    };
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let heading = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) => Some(named(expression)),
        SelectItem::ExprWithAlias { alias, .. } => Some(named(&Expr::Identifier(alias.clone()))),
        _ => None,
    };
    select.projection.iter().map(heading).collect()
}

/// The names that PostgreSQL gives to columns that have none, by their place; none where the engine's
/// are the same or nothing is known.
pub(super) fn names(statement: &Statement) -> Vec<Option<String>> {
    let Statement::Query(query) = statement else {
        return Vec::new();
    };
    let mut body = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
    }
    let SetExpr::Select(select) = body else {
        return Vec::new();
    };
    let plain = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
        )
    };
    if !select.projection.iter().all(plain) {
        return Vec::new();
    }
    let name = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) => Some(named(expression)),
        _ => None,
    };
    select.projection.iter().map(name).collect()
}

fn named(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(ident) => match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_ascii_lowercase(),
        },
        Expr::CompoundIdentifier(parts) => parts.last().map_or_else(
            || "?column?".into(),
            |last| named(&Expr::Identifier(last.clone())),
        ),
        Expr::Function(function) => function.name.0.last().map_or_else(
            || "?column?".into(),
            |last| last.to_string().to_ascii_lowercase(),
        ),
        Expr::Cast {
            expr, data_type, ..
        } => match named(expr).as_str() {
            "?column?" => match data_type {
                DataType::Text => "text".into(),
                DataType::Date => "date".into(),
                DataType::Integer(_) | DataType::Int(_) => "int4".into(),
                DataType::BigInt(_) => "int8".into(),
                DataType::Numeric(_) => "numeric".into(),
                _ => "?column?".into(),
            },
            name => name.to_owned(),
        },
        Expr::Nested(inner) => named(inner),
        Expr::AtTimeZone { .. } => "timezone".into(),
        Expr::Extract { .. } => "extract".into(),
        Expr::Case { .. } => "case".into(),
        Expr::Substring { .. } => "substring".into(),
        Expr::Position { .. } => "position".into(),
        Expr::Ceil { .. } => "ceil".into(),
        Expr::Floor { .. } => "floor".into(),
        _ => "?column?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_translated_or_refused() {
        assert_eq!(
            strftime("YYYY-MM-DD HH24:MI:SS").as_deref(),
            Some("%Y-%m-%d %H:%M:%S")
        );
        assert_eq!(strftime("IYYY-IW").as_deref(), Some("%G-%V"));
        assert_eq!(strftime("FMMonth"), None);
        assert_eq!(strftime("Q"), None);
    }

    #[test]
    fn intervals_are_numbers_of_units() {
        assert_eq!(times("1 DAY", None::<&String>), Some((1, "DAY".into())));
        assert_eq!(times("2", Some(&"MONTH")), Some((2, "MONTH".into())));
        assert_eq!(times("1 day 2 hours", None::<&String>), None);
    }
}
