//! Errors as clients see them: an SQLSTATE, by which programs tell them apart, and a sentence.

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use lake_writer::error_chain::ErrorChain;

/// An error of a statement: the session goes on.
pub(crate) fn error(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new(
        "ERROR".into(),
        code.into(),
        message.into(),
    )))
}

/// An error that ends the connection.
pub(super) fn fatal(code: &str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new(
        "FATAL".into(),
        code.into(),
        message.into(),
    )))
}

/// An error with what to do about it.
pub(super) fn hinted(code: &str, message: impl Into<String>, hint: &str) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".into(), code.into(), message.into());
    info.hint = Some(hint.to_owned());
    PgWireError::UserError(Box::new(info))
}

/// An error of a statement's text.
pub(super) fn of_parser(cause: &ParserError) -> PgWireError {
    match cause {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            error("42601", format!("syntax error: {text}"))
        }
        ParserError::RecursionLimitExceeded => error("54001", "the statement is nested too deeply"),
    }
}

/// An error of planning or running a statement.
pub(super) fn of_engine(cause: &DataFusionError) -> PgWireError {
    let root = cause.find_root();
    // One that was worded before it went through the engine.
    if let DataFusionError::External(inner) = root
        && let Some(PgWireError::UserError(info)) = inner.downcast_ref::<PgWireError>()
    {
        return error(&info.code, info.message.clone());
    }
    match root {
        DataFusionError::SQL(parser, _) => of_parser(parser),
        DataFusionError::SchemaError(schema, _) => of_schema(schema),
        DataFusionError::ArrowError(arrow, _) => of_arrow(arrow),
        DataFusionError::ResourcesExhausted(text) => hinted(
            "53200",
            format!("out of memory: {text}"),
            "ask for fewer groups or rows at a time, or start the server with a larger --memory-limit",
        ),
        DataFusionError::NotImplemented(text) => error("0A000", text.clone()),
        DataFusionError::Plan(text) => of_plan(text),
        DataFusionError::Configuration(text) => error("42704", text.clone()),
        DataFusionError::Execution(text) => error(of_execution(text), text.clone()),
        other => error("XX000", ErrorChain(other).to_string()),
    }
}

fn of_schema(cause: &SchemaError) -> PgWireError {
    match cause {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let mut known: Vec<String> = valid_fields
                .iter()
                .map(|column| column.name.clone())
                .collect();
            known.sort();
            known.dedup();
            let message = format!("column \"{}\" does not exist", field.flat_name());
            if known.is_empty() || known.len() > 40 {
                error("42703", message)
            } else {
                hinted(
                    "42703",
                    message,
                    &format!("There are: {}.", known.join(", ")),
                )
            }
        }
        SchemaError::AmbiguousReference { field } => error(
            "42702",
            format!("column reference \"{}\" is ambiguous", field.flat_name()),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => error(
            "42701",
            format!("column \"{name}\" is specified more than once"),
        ),
    }
}

fn of_arrow(cause: &ArrowError) -> PgWireError {
    match cause {
        ArrowError::DivideByZero => error("22012", "division by zero"),
        // The value is a number, which the type has no room for.
        ArrowError::CastError(text) if text.contains("Overflowing on") => {
            error("22003", format!("value out of range: {text}"))
        }
        ArrowError::CastError(text) | ArrowError::ParseError(text) => error("22P02", text.clone()),
        ArrowError::ArithmeticOverflow(text) => {
            error("22003", format!("value out of range: {text}"))
        }
        ArrowError::InvalidArgumentError(text)
            if text.contains("too large to store in a Decimal") =>
        {
            error("22003", format!("value out of range: {text}"))
        }
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => of_engine(inner),
            None => error("XX000", inner.to_string()),
        },
        other => error(of_execution(&other.to_string()), other.to_string()),
    }
}

/// Planning errors have no kinds of their own, only texts.
fn of_plan(text: &str) -> PgWireError {
    if let Some(name) = text
        .strip_prefix("table '")
        .and_then(|rest| rest.split_once("' not found"))
    {
        let name = name.0.split('.').next_back().unwrap_or(name.0);
        return hinted(
            "42P01",
            format!("relation \"{name}\" does not exist"),
            "The tables are listed by `SELECT table_name FROM information_schema.tables`; in psql, \\dt.",
        );
    }
    let code = if text.contains("Invalid function")
        || text.contains("table function '")
        || text.contains("No function matches")
    {
        "42883"
    } else if text.contains("must be in GROUP BY")
        || text.contains("must appear in the GROUP BY")
        || text.contains("could not be resolved from available columns")
    {
        "42803"
    } else if text.contains("Cannot coerce")
        || text.contains("Cannot infer common")
        || text.contains("type_coercion")
    {
        "42804"
    } else if text.contains("DDL") || text.contains("DML") {
        "25006"
    } else {
        "42000"
    };
    error(code, text)
}

fn of_execution(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    if text.contains("divide by zero") || text.contains("division by zero") {
        "22012"
    } else if text.contains("cannot cast")
        || text.contains("error parsing")
        || text.contains("parser error")
    {
        "22P02"
    } else if text.contains("overflow") {
        "22003"
    } else {
        "XX000"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: PgWireError) -> String {
        ErrorInfo::from(error).code
    }

    #[test]
    fn errors_have_the_codes_by_which_drivers_tell_them_apart() {
        for (cause, expected) in [
            (
                DataFusionError::Plan("table 'lake.public.nope' not found".into()),
                "42P01",
            ),
            (
                DataFusionError::Plan("Invalid function 'nope'.".into()),
                "42883",
            ),
            (
                DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None),
                "22012",
            ),
            (
                DataFusionError::ArrowError(
                    Box::new(ArrowError::CastError("'x' as Int64".into())),
                    None,
                ),
                "22P02",
            ),
            (
                DataFusionError::ArrowError(
                    Box::new(ArrowError::CastError(
                        "Cannot cast to Decimal128(38, 18). Overflowing on 79228162514264337593543950335".into(),
                    )),
                    None,
                ),
                "22003",
            ),
            (DataFusionError::ResourcesExhausted("5 MB".into()), "53200"),
            (DataFusionError::NotImplemented("x".into()), "0A000"),
        ] {
            assert_eq!(code(of_engine(&cause)), expected, "{cause}");
            // However deep it lies.
            let deeper = cause.context("while something ran");
            assert_eq!(code(of_engine(&deeper)), expected, "{deeper}");
        }
    }

    #[test]
    fn a_missing_table_is_called_as_it_was_written() {
        let cause = DataFusionError::Plan("table 'lake.public.nope' not found".into());
        assert_eq!(
            ErrorInfo::from(of_engine(&cause)).message,
            "relation \"nope\" does not exist"
        );
    }
}
