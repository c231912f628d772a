//! `lake-sql query`: one statement without a server.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use lake_writer::cli::{Exit, Failure};

use super::open::open;
use super::serve::runtime;
use super::{Arguments, print};
use crate::server::answer;

#[derive(Args, Debug)]
pub(super) struct Query {
    /// The statement
    sql: String,

    /// Form of the rows
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
}

/// The form of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// With a heading, quoted where needed; a NULL is empty and an empty text is quoted.
    Csv,
    /// An object a line; decimals are strings, so that no digit is lost.
    Json,
}

impl Query {
    pub(super) fn run(&self, arguments: &Arguments) -> Result<(), Failure> {
        let runtime = runtime()?;
        let (schema, batches) = runtime.block_on(async {
            let engine = open(arguments).await?;
            answer(&engine, &self.sql).await.map_err(|(code, message)| {
                Failure::new(Exit::Failure, format!("{message} (SQLSTATE {code})"))
            })
        })?;
        let told = match self.output {
            Form::Table => table(&schema, &batches),
            Form::Csv => csv(&schema, &batches),
            Form::Json => json(&schema, &batches),
        };
        let text = told.map_err(|error| Failure::of(Exit::Failure, "show the rows", &error))?;
        runtime.shutdown_background();
        print(&text)
    }
}

type Shown = Result<String, datafusion::arrow::error::ArrowError>;

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Shown {
    Ok(format!(
        "{}\n",
        pretty_format_batches_with_schema(Arc::clone(schema), batches)?
    ))
}

/// Calls `row` with the texts of each row; none for NULL.
fn each_row(
    batches: &[RecordBatch],
    mut row: impl FnMut(Vec<Option<String>>),
) -> Result<(), datafusion::arrow::error::ArrowError> {
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch.columns();
        let shown = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        for at in 0..batch.num_rows() {
            row(columns
                .iter()
                .zip(&shown)
                .map(|(column, shown)| column.is_valid(at).then(|| shown.value(at).to_string()))
                .collect());
        }
    }
    Ok(())
}

fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Shown {
    let quoted = |text: &str| match text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut text = schema
        .fields()
        .iter()
        .map(|field| quoted(field.name()))
        .collect::<Vec<_>>()
        .join(",")
        + "\n";
    each_row(batches, |row| {
        let row: Vec<String> = row
            .iter()
            .map(|value| value.as_deref().map(quoted).unwrap_or_default())
            .collect();
        text.push_str(&row.join(","));
        text.push('\n');
    })?;
    Ok(text)
}

fn json(schema: &SchemaRef, batches: &[RecordBatch]) -> Shown {
    let mut text = String::new();
    each_row(batches, |row| {
        let mut object = serde_json::Map::new();
        for (field, value) in schema.fields().iter().zip(row) {
            let given = field.data_type();
            let value = match value {
                None => serde_json::Value::Null,
                // As they are written: numbers and truth values are JSON already.
                Some(value)
                    if given.is_integer()
                        || given.is_floating()
                        || *given == datafusion::arrow::datatypes::DataType::Boolean =>
                {
                    serde_json::from_str(&value).unwrap_or(serde_json::Value::String(value))
                }
                Some(value) => serde_json::Value::String(value),
            };
            object.insert(field.name().clone(), value);
        }
        text.push_str(&serde_json::Value::Object(object).to_string());
        text.push('\n');
    })?;
    Ok(text)
}
