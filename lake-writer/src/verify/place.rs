//! Where an offset or a value is: file, row group, row and commit, or why it is nowhere.
//!
//! ```text
//! Question ─► ledger ─► files that may hold it ─► statistics, bloom filters ─► rows ─► Places
//!                   └─► the topic, for what no file holds
//! ```
//!
//! Owns: the answers.
//! Does not own: whether the file is right (`verify`): it is read as it is.

mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array};
use serde::Serialize;

use crate::commit::segment::LiveFile;
use crate::decode::decoder;
use crate::settings::Format;
use crate::source::{OffsetRange, RangeReader, Watermarks};
use crate::table::spec::Transform;
use crate::table::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind, Schema};

use super::ledger::{Ledger, LedgerFile, LedgerRange, ledger};
use super::scope::present;
use super::topic::read_rounds;
use super::{VerifyError, VerifyParts};
use search::{Criterion, Search};

/// What is looked for.
#[derive(Clone, Debug)]
pub enum Question {
    /// An offset of a source partition.
    Offset {
        /// Number of the source partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// A value of a column, as JSON messages have it.
    Value {
        /// Name of a top-level column.
        column: String,
        /// The value.
        value: String,
    },
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Rows, at the places named.
    Row,
    /// A dead letter, at the place named.
    DeadLetter,
    /// A message without a value: no row was made of it.
    Tombstone,
    /// No message: the end of a transaction, an aborted message, or a compacted one.
    Gap,
    /// In the topic, behind what is committed.
    NotYetCommitted,
    /// Before the first offset that the table was begun at.
    BeforeTable,
    /// The topic does not have it any more, and no file has it.
    GoneByRetention,
    /// The topic never had it.
    NeverInTopic,
    /// The topic has a message there, it is committed, and no file has it.
    Missing,
    /// No row has the value.
    NotFound,
}

/// Where something is, or why it is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Places {
    /// What there is to say.
    pub answer: Answer,
    /// The same in words.
    pub detail: String,
    /// Number of the commit that covers the offset, if one does.
    pub commit: Option<u64>,
    /// Rows and dead letters found.
    pub places: Vec<Place>,
    /// Files that were opened.
    pub files: u64,
    /// Row groups of those that were read.
    pub row_groups_read: u64,
    /// Row groups that statistics or bloom filters have ruled out.
    pub row_groups_skipped: u64,
}

/// One row or dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, below the table's URL.
    pub path: String,
    /// Number of the commit that put it there.
    pub commit: u64,
    /// Row group, from 0.
    pub row_group: usize,
    /// Row inside the row group, from 0.
    pub row: usize,
    /// Source partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Why it is a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A question that has no meaning for the table.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// What is needed could not be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// No such column.
    #[error("`{column}` is no column of the table; its columns are {columns}")]
    NoColumn {
        /// The name given.
        column: String,
        /// Those there are.
        columns: String,
    },
    /// A value of another type.
    #[error("`{value}` is no value of column `{column}`: {reason}")]
    NoValue {
        /// The value given.
        value: String,
        /// The column.
        column: String,
        /// What was expected.
        reason: String,
    },
    /// A file that the log names and that cannot be read.
    #[error("`{path}` cannot be read: {reason}; `lake-writer verify` says what is wrong with it")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

fn failed(error: impl Into<VerifyError>) -> PlaceError {
    PlaceError::Verify(error.into())
}

/// Looks a question up.
///
/// # Errors
/// See [`PlaceError`].
pub fn place(
    parts: &VerifyParts,
    reader: &mut dyn RangeReader,
    question: &Question,
) -> Result<Places, PlaceError> {
    let ledger = parts
        .runtime
        .block_on(ledger(parts.store.as_ref()))
        .map_err(failed)?;
    match question {
        Question::Offset { partition, offset } => Lookup {
            parts,
            ledger: &ledger,
            partition: *partition,
            offset: *offset,
        }
        .run(reader),
        Question::Value { column, value } => of_value(parts, &ledger, column, value),
    }
}

/// An offset that is looked for.
struct Lookup<'a> {
    parts: &'a VerifyParts,
    ledger: &'a Ledger,
    partition: i32,
    offset: i64,
}

impl Lookup<'_> {
    fn run(&self, reader: &mut dyn RangeReader) -> Result<Places, PlaceError> {
        if self.partition < 0 {
            return self.of_file();
        }
        let topic = reader.identify().map_err(failed)?;
        let source = present(&topic.topic_id, self.partition);
        let holds =
            |range: &OffsetRange| range.start() <= self.offset && self.offset < range.next();
        let mut ranges = self.ledger.ranges.iter();
        let covering = ranges.find(|range| range.source == source && holds(&range.range));
        if let Some(range) = covering {
            let mut found = self.in_files(&topic.topic_id)?;
            found.commit = Some(range.commit);
            if !found.places.is_empty() {
                return Ok(found);
            }
            let marks = reader.watermarks(self.partition).map_err(failed)?;
            return self.in_topic(reader, marks, range, found);
        }
        if !(0..topic.partitions).contains(&self.partition) {
            let detail = format!("the topic has {} partitions", topic.partitions);
            return Ok(Places::nowhere(Answer::NeverInTopic, detail));
        }
        let marks = reader.watermarks(self.partition).map_err(failed)?;
        Ok(self.uncovered(self.ledger.committed(&source), marks))
    }

    /// A row of a file that was read instead of the topic.
    fn of_file(&self) -> Result<Places, PlaceError> {
        let sources = self.ledger.next.keys();
        let mut of_number = sources.filter(|source| source.partition == self.partition);
        let Some((topic_id, (set, name, _))) =
            of_number.find_map(|source| Some((&source.topic_id, source.as_file()?)))
        else {
            let detail = "no file was written into the table under this number";
            return Ok(Places::nowhere(Answer::NeverInTopic, detail.into()));
        };
        let mut found = self.in_files(topic_id)?;
        match found.places.first() {
            Some(place) => found.commit = Some(place.commit),
            None => {
                let detail = format!("no row of `{name}`, as backfill {set} wrote it");
                return Ok(Places::nowhere(Answer::NotYetCommitted, detail));
            }
        }
        Ok(found)
    }

    fn uncovered(&self, committed: Option<OffsetRange>, marks: Watermarks) -> Places {
        let Watermarks { low, high } = marks;
        if self.offset >= high {
            let detail = format!("the partition ends before offset {high}");
            return Places::nowhere(Answer::NeverInTopic, detail);
        }
        match committed {
            Some(committed) if self.offset < committed.start() => {
                let detail = format!("the table begins at offset {}", committed.start());
                Places::nowhere(Answer::BeforeTable, detail)
            }
            _ if self.offset < low => {
                let detail = format!("the topic begins at offset {low} by now");
                Places::nowhere(Answer::GoneByRetention, detail)
            }
            _ => {
                let next = committed.map_or(low, |committed| committed.next());
                let detail = format!("the next offset to be committed is {next}");
                Places::nowhere(Answer::NotYetCommitted, detail)
            }
        }
    }

    /// Looks into every file whose offsets lie around the one that is wanted.
    fn in_files(&self, topic_id: &str) -> Result<Places, PlaceError> {
        let criteria = [
            Criterion::new(
                KAFKA_PARTITION,
                Arc::new(Int32Array::from(vec![self.partition])),
            ),
            Criterion::new(KAFKA_OFFSET, Arc::new(Int64Array::from(vec![self.offset]))),
        ];
        let around = |file: &LiveFile| {
            let mut sources = file.sources.iter();
            sources.any(|source| {
                source.partition == self.partition
                    && source.min <= self.offset
                    && self.offset <= source.max
            })
        };
        let mut search = Search::new(self.parts, &criteria);
        for file in self.ledger.files.values() {
            if *file.topic_id == *topic_id && around(&file.facts) {
                search.look_into(file)?;
            }
        }
        let mut found = search.finish();
        if let Some(place) = found.places.first() {
            (found.answer, found.detail) = match &place.reason {
                Some(reason) => (Answer::DeadLetter, reason.clone()),
                None => (Answer::Row, format!("{} row(s)", found.places.len())),
            };
        }
        Ok(found)
    }

    /// It is committed and in no file: the topic says why, as long as it has it.
    fn in_topic(
        &self,
        reader: &mut dyn RangeReader,
        marks: Watermarks,
        range: &LedgerRange,
        found: Places,
    ) -> Result<Places, PlaceError> {
        let lost = i64::try_from(range.lost).unwrap_or(i64::MAX);
        let (answer, detail) = if self.offset - range.range.start() < lost {
            let detail = "retention had taken it before it was read, which the settings accepted";
            (Answer::GoneByRetention, detail.to_owned())
        } else if self.offset < marks.low {
            let detail = format!(
                "no file has it, and the topic begins at offset {} by now: of the {} offsets of \
                 its range the log counts {} tombstones",
                marks.low,
                range.range.len(),
                range.tombstones
            );
            (Answer::GoneByRetention, detail)
        } else {
            match self.message(reader)? {
                None => {
                    let detail = "the topic has no message there: the end of a transaction, an \
                                  aborted message, or one that was compacted away";
                    (Answer::Gap, detail.to_owned())
                }
                Some(false) => {
                    let detail = "the message has no value, so no row was made of it";
                    (Answer::Tombstone, detail.to_owned())
                }
                Some(true) => {
                    let detail = "the topic has a message there, and no file has it: see \
                                  `lake-writer verify`";
                    (Answer::Missing, detail.to_owned())
                }
            }
        };
        Ok(Places {
            answer,
            detail,
            ..found
        })
    }

    /// Whether the topic has a message there, and whether that has a value.
    fn message(&self, reader: &mut dyn RangeReader) -> Result<Option<bool>, PlaceError> {
        let range = OffsetRange::new(self.offset, self.offset + 1);
        let mut found = None;
        read_rounds(
            reader,
            &[vec![(self.partition, range)]],
            &mut |message| {
                found = Some(message.value.is_some());
                Ok(())
            },
            &mut |_| {},
        )
        .map_err(failed)?;
        Ok(found)
    }
}

fn of_value(
    parts: &VerifyParts,
    ledger: &Ledger,
    column: &str,
    value: &str,
) -> Result<Places, PlaceError> {
    let known = parts
        .schema
        .columns
        .iter()
        .find(|known| known.name == column);
    let known = known.ok_or_else(|| PlaceError::NoColumn {
        column: column.to_owned(),
        columns: names(&parts.schema),
    })?;
    let criteria = [Criterion::new(column, parse(known, value)?)];
    let mut search = Search::new(parts, &criteria);
    for file in ledger.files.values() {
        if !file.is_dead && may_hold(file, parts, known, value) {
            search.look_into(file)?;
        }
    }
    let mut found = search.finish();
    (found.answer, found.detail) = match found.places.len() {
        0 => (Answer::NotFound, format!("no row has {column} = {value}")),
        rows => (Answer::Row, format!("{rows} row(s)")),
    };
    Ok(found)
}

fn names(schema: &Schema) -> String {
    let names: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
    names.join(", ")
}

/// Whether a file's folder leaves room for the value: columns by which a table is partitioned as
/// they are name it.
fn may_hold(file: &LedgerFile, parts: &VerifyParts, column: &Column, value: &str) -> bool {
    let is_text = matches!(column.kind, Kind::String | Kind::Enum(_));
    let fields = parts.spec.fields.iter();
    let mut of_column = fields.filter(|field| {
        is_text
            && field.transform == Transform::Identity
            && parts.schema.columns[field.column].name == column.name
    });
    of_column.all(|field| match file.facts.partition.get(&field.name) {
        Some(Some(text)) => text == value,
        Some(None) => value.is_empty(),
        None => true,
    })
}

/// The value as an array of one, by the decoder of JSON messages: so a decimal, a timestamp or a
/// date is written as in a message.
fn parse(column: &Column, value: &str) -> Result<ArrayRef, PlaceError> {
    let schema = Schema::new(column.name.clone(), vec![column.clone()]);
    let mut decoder = decoder(Format::Json, &schema);
    let name = serde_json::Value::from(column.name.as_str());
    let text = serde_json::Value::from(value);
    let as_text = decoder.append(format!("{{{name}:{text}}}").as_bytes());
    let parsed = match as_text {
        Ok(()) => Ok(()),
        Err(reject) => {
            let bare = decoder.append(format!("{{{name}:{value}}}").as_bytes());
            bare.map_err(|_| reject)
        }
    };
    match parsed {
        Ok(()) => Ok(decoder.finish().swap_remove(0)),
        Err(reject) => Err(PlaceError::NoValue {
            value: value.to_owned(),
            column: column.name.clone(),
            reason: reject.to_string(),
        }),
    }
}

impl Places {
    fn nowhere(answer: Answer, detail: String) -> Self {
        Self {
            answer,
            detail,
            commit: None,
            places: Vec::new(),
            files: 0,
            row_groups_read: 0,
            row_groups_skipped: 0,
        }
    }
}
