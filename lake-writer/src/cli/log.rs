//! `log`: the commit log, readably.
//!
//! Owns: how a record is shown.
//! Does not own: what the records add up to (`status` shows that).

use std::time::Duration;

use clap::Args;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::open;
use super::output::{Output, print, print_json};
use crate::commit::CommitError;
use crate::commit::record::{Body, Commit, DataFile, Record, record_number, record_path};
use crate::store::{Store, TablePath};
use crate::telemetry::figures::{bytes, count};

/// How often `--follow` looks for new records.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Records read at once: hides the round trips of a remote store.
const READ_AHEAD: usize = 16;

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// Begin at this record
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,

    /// Show the last records alone
    #[arg(long, value_name = "COUNT", conflicts_with = "from")]
    last: Option<usize>,

    /// Show the files of commits
    #[arg(long)]
    files: bool,

    /// Go on showing new records until interrupted
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(arguments: &Arguments, log: &LogArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let store = open::store(&context.settings)?;
    context
        .runtime
        .block_on(show(store.as_ref(), log, arguments.output))
}

async fn show(store: &dyn Store, log: &LogArguments, output: Output) -> Result<(), Failure> {
    let mut numbers = numbers_after(store, log.from.and_then(|from| from.checked_sub(1))).await?;
    if let Some(last) = log.last {
        numbers.drain(..numbers.len().saturating_sub(last));
    }
    if numbers.is_empty() && !log.follow && output == Output::Text {
        return print(&format!("the log of {} has no such record\n", store.url()));
    }
    let mut shown = log.from.and_then(|from| from.checked_sub(1));
    loop {
        refuse_hole(shown, &numbers)?;
        shown = show_all(store, &numbers, log.files, output)
            .await?
            .or(shown);
        if !log.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        numbers = numbers_after(store, shown).await?;
    }
}

/// Shows these records in order; the number of the last one.
async fn show_all(
    store: &dyn Store,
    numbers: &[u64],
    files: bool,
    output: Output,
) -> Result<Option<u64>, Failure> {
    let reads: Vec<_> = numbers.iter().map(|number| read(store, *number)).collect();
    let mut records = stream::iter(reads).buffered(READ_AHEAD);
    let mut shown = None;
    while let Some(record) = records.next().await {
        let (number, record) = record?;
        match output {
            Output::Text => print(&in_words(number, &record, files))?,
            Output::Json => print_json(&as_json(number, &record, files))?,
        }
        shown = Some(number);
    }
    Ok(shown)
}

/// Numbers of the records behind `after`, ascending.
async fn numbers_after(store: &dyn Store, after: Option<u64>) -> Result<Vec<u64>, Failure> {
    let folder = TablePath::new("log").expect("`log` is a legal name");
    let after = after.map(record_path);
    let name = after.as_ref().map_or("", |path| path.file_name());
    let entries = store.list_after(&folder, name).await?;
    Ok(entries
        .iter()
        .filter_map(|entry| record_number(entry.path.file_name()))
        .collect())
}

/// A log has no gaps: a missing record was removed by someone.
fn refuse_hole(shown: Option<u64>, numbers: &[u64]) -> Result<(), Failure> {
    let mut before = shown;
    for number in numbers {
        let expected = before.map_or(*number, |before| before + 1);
        if *number != expected {
            return Err(Failure::new(
                Exit::Corrupt,
                format!(
                    "record {expected} of the log is missing, while record {number} is there; \
                     restore it from a backup"
                ),
            ));
        }
        before = Some(*number);
    }
    Ok(())
}

async fn read(store: &dyn Store, number: u64) -> Result<(u64, Record), Failure> {
    let bytes = store.read(&record_path(number)).await?;
    let record = match bytes {
        Some(bytes) => Record::decode(number, &bytes),
        None => Err(CommitError::Broken {
            number,
            problem: "it was listed and is not there".into(),
        }),
    };
    Ok((number, record?))
}

fn as_json(number: u64, record: &Record, files: bool) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.insert("number".into(), json!(number));
        if let (false, Body::Commit(commit)) = (files, &record.body) {
            fields.insert("files".into(), json!(commit.files.len()));
            fields.insert("dead".into(), json!(commit.dead.len()));
        }
    }
    value
}

fn in_words(number: u64, record: &Record, files: bool) -> String {
    let mut text = format!("{number:>8}  {}  {}  ", record.at, record.session);
    match &record.body {
        Body::Table(table) => {
            let spec = if table.partition_by.is_empty() {
                "not partitioned".to_owned()
            } else {
                format!("partitioned by {}", table.partition_by.join(", "))
            };
            let columns = table.columns.len();
            text += &format!("table   {spec} in {}, {columns} columns\n", table.time_zone);
        }
        Body::Claim(claim) => {
            let partitions: Vec<i32> = claim.sources.iter().map(|s| s.source.partition).collect();
            text += &format!("claim   {} {}\n", claim.topic, ranges(&partitions));
        }
        Body::Commit(commit) => commit_in_words(&mut text, commit, files),
    }
    text
}

fn commit_in_words(text: &mut String, commit: &Commit, files: bool) {
    let sum = |figure: fn(&DataFile) -> u64| commit.files.iter().map(figure).sum::<u64>();
    *text += &format!(
        "commit  {} rows in {} files, {}",
        count(sum(|file| file.rows)),
        count(commit.files.len() as u64),
        bytes(sum(|file| file.bytes)),
    );
    for (figure, what) in [
        (
            commit.ranges.iter().map(|r| r.dead_letters).sum::<u64>(),
            "dead letters",
        ),
        (
            commit.ranges.iter().map(|r| r.tombstones).sum(),
            "tombstones",
        ),
        (
            commit.ranges.iter().map(|r| r.lost).sum(),
            "offsets lost to retention",
        ),
    ] {
        if figure > 0 {
            *text += &format!(", {} {what}", count(figure));
        }
    }
    *text += &format!("; {}\n", commit.ranges_text());
    if files {
        for file in commit.all_files() {
            let size = bytes(file.bytes);
            *text += &format!(
                "          {:>10} rows  {size:>10}  {}\n",
                count(file.rows),
                file.path
            );
        }
    }
}

/// `partitions 0-3, 7`.
fn ranges(numbers: &[i32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(start, end)| {
            if start == end {
                start.to_string()
            } else {
                format!("{start}-{end}")
            }
        })
        .collect();
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("partition{plural} {}", texts.join(", "))
}
