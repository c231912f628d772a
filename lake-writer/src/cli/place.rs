//! `where`: which file, row group and row hold an offset or a value, and why none does.

use clap::Args;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::open;
use super::output::{Output, print, print_json};
use crate::telemetry::figures::count;
use crate::verify::place::{Answer, PlaceError, Places, Question, place};

/// Places that text shows; JSON has them all.
const MOST_SHOWN: usize = 100;

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct WhereArguments {
    /// Look for an offset of this source partition
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "offset",
        conflicts_with = "column",
        allow_negative_numbers = true
    )]
    partition: Option<i32>,

    /// The offset
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,

    /// Look for rows by a value of this column
    #[arg(long, value_name = "NAME", requires = "value")]
    column: Option<String>,

    /// The value, written as in a message
    #[arg(long, requires = "column", allow_hyphen_values = true)]
    value: Option<String>,
}

pub(super) fn run(arguments: &Arguments, wanted: &WhereArguments) -> Result<(), Failure> {
    let question = match (
        wanted.partition,
        wanted.offset,
        &wanted.column,
        &wanted.value,
    ) {
        (Some(partition), Some(offset), ..) => Question::Offset { partition, offset },
        (_, _, Some(column), Some(value)) => Question::Value {
            column: column.clone(),
            value: value.clone(),
        },
        _ => {
            let message = "give --partition and --offset, or --column and --value";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    let context = Context::new(arguments, Chatter::Little)?;
    let (parts, _) = open::compared(&context)?;
    let mut reader = open::reader(&context)?;
    let places = place(&parts, &mut reader, &question)?;
    match arguments.output {
        Output::Text => print(&in_words(&places))?,
        Output::Json => print_json(&places)?,
    }
    match places.answer {
        Answer::Missing => Err(Failure::new(Exit::Mismatch, places.detail)),
        _ => Ok(()),
    }
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        let exit = match error {
            PlaceError::Verify(error) => return error.into(),
            PlaceError::NoColumn { .. } | PlaceError::NoValue { .. } => Exit::Usage,
            PlaceError::File { .. } => Exit::Corrupt,
        };
        Self::new(exit, error.to_string())
    }
}

fn in_words(places: &Places) -> String {
    let commit = places
        .commit
        .map_or_else(String::new, |commit| format!(" (commit {commit})"));
    let mut text = format!(
        "{}{commit}: {}\n",
        answer_in_words(places.answer),
        places.detail
    );
    for place in places.places.iter().take(MOST_SHOWN) {
        text += &format!(
            "{}  row group {}, row {}, commit {}, partition {} offset {}\n",
            place.path, place.row_group, place.row, place.commit, place.partition, place.offset
        );
    }
    if places.places.len() > MOST_SHOWN {
        let rest = (places.places.len() - MOST_SHOWN) as u64;
        text += &format!("… and {} more\n", count(rest));
    }
    text += &format!(
        "looked into {} files: {} row groups read, {} ruled out\n",
        count(places.files),
        count(places.row_groups_read),
        count(places.row_groups_skipped)
    );
    text
}

fn answer_in_words(answer: Answer) -> &'static str {
    match answer {
        Answer::Row => "row",
        Answer::DeadLetter => "dead letter",
        Answer::Tombstone => "tombstone",
        Answer::Gap => "gap",
        Answer::NotYetCommitted => "not yet committed",
        Answer::BeforeTable => "before the table begins",
        Answer::GoneByRetention => "gone by retention",
        Answer::NeverInTopic => "never in this topic",
        Answer::Missing => "missing",
        Answer::NotFound => "not found",
    }
}
