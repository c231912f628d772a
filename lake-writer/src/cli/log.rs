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
use super::exit::Failure;
use super::open;
use super::output::{Output, print, print_json};
use crate::commit::checkpoint::Checkpoint;
use crate::commit::record::{Body, Commit, DataFile, Record, Replace};
use crate::commit::{CommitError, newest_checkpoint, read_record, record_numbers};
use crate::store::Store;
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
    let mut shown = log.from.and_then(|from| from.checked_sub(1));
    let mut numbers = record_numbers(store, shown).await?;
    if let Some(last) = log.last {
        numbers.drain(..numbers.len().saturating_sub(last));
    }
    if numbers.is_empty() && !log.follow && output == Output::Text {
        return print(&format!("the log of {} has no such record\n", store.url()));
    }
    let first = numbers.first().copied();
    let mut checkpoint = newest_checkpoint(store).await?;
    if log.from.is_some() || log.last.is_some() {
        // Who asks for a part of the log is shown what lies in it.
        checkpoint.take_if(|(_, checkpoint)| Some(checkpoint.head) < first);
    }
    loop {
        shown = show_all(store, &numbers, &mut checkpoint, log.files, output)
            .await?
            .or(shown);
        if !log.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        numbers = record_numbers(store, shown).await?;
    }
}

/// Shows these records in order, and the newest checkpoint behind the last one that it holds; the
/// number of the last record.
async fn show_all(
    store: &dyn Store,
    numbers: &[u64],
    checkpoint: &mut Option<(u64, Checkpoint)>,
    files: bool,
    output: Output,
) -> Result<Option<u64>, Failure> {
    let reads: Vec<_> = numbers.iter().map(|number| read(store, *number)).collect();
    let mut records = stream::iter(reads).buffered(READ_AHEAD);
    let mut shown = None;
    while let Some(record) = records.next().await {
        let (number, record) = record?;
        show_checkpoint(checkpoint.take_if(|(_, it)| it.head < number), output)?;
        match output {
            Output::Text => print(&in_words(number, &record, files))?,
            Output::Json => print_json(&as_json(number, &record, files))?,
        }
        shown = Some(number);
    }
    show_checkpoint(checkpoint.take(), output)?;
    Ok(shown)
}

fn show_checkpoint(checkpoint: Option<(u64, Checkpoint)>, output: Output) -> Result<(), Failure> {
    let Some((generation, checkpoint)) = checkpoint else {
        return Ok(());
    };
    let segments = checkpoint.segments.len();
    match output {
        Output::Text => print(&format!(
            "{:>8}  {}  {}  checkpoint {generation} of records 0 to {}: {} rows in {} files, {} in {}\n",
            "",
            checkpoint.at,
            checkpoint.session,
            checkpoint.head,
            count(checkpoint.totals.rows),
            count(checkpoint.totals.files),
            bytes(checkpoint.totals.bytes),
            if segments == 1 {
                "1 segment".to_owned()
            } else {
                format!("{segments} segments")
            },
        )),
        Output::Json => print_json(&json!({
            "kind": "checkpoint",
            "generation": generation,
            "head": checkpoint.head,
            "session": checkpoint.session,
            "at": checkpoint.at,
            "totals": checkpoint.totals,
            "segments": checkpoint.segments,
        })),
    }
}

async fn read(store: &dyn Store, number: u64) -> Result<(u64, Record), Failure> {
    let record = read_record(store, number).await?;
    let record = record.ok_or_else(|| CommitError::Broken {
        number,
        problem: "it was listed and is not there, dropped in between perhaps: look again".into(),
    })?;
    Ok((number, record))
}

fn as_json(number: u64, record: &Record, files: bool) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.insert("number".into(), json!(number));
        if let (false, Some(_)) = (files, record.body.change()) {
            for list in ["files", "dead", "taken"] {
                let length = fields.get(list).and_then(Value::as_array).map(Vec::len);
                if let Some(length) = length {
                    fields.insert(list.into(), json!(length));
                }
            }
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
        Body::Replace(replace) => replace_in_words(&mut text, replace, files),
    }
    text
}

fn replace_in_words(text: &mut String, replace: &Replace, files: bool) {
    let added = replace.files.iter().chain(&replace.dead);
    *text += &format!(
        "replace {} files with {} rows by {} with {} rows: {}\n",
        count(replace.taken.len() as u64),
        count(replace.taken.iter().map(|file| file.rows).sum::<u64>()),
        count(added.clone().count() as u64),
        count(added.clone().map(|file| file.rows).sum::<u64>()),
        replace.reason,
    );
    if files {
        for taken in &replace.taken {
            *text += &file_line('-', taken.rows, taken.bytes, taken.path.as_str());
        }
        for file in added {
            *text += &file_line('+', file.rows, file.bytes, file.path.as_str());
        }
    }
}

fn file_line(sign: char, rows: u64, size: u64, path: &str) -> String {
    let (rows, size) = (count(rows), bytes(size));
    format!("        {sign} {rows:>10} rows  {size:>10}  {path}\n")
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
            *text += &file_line(' ', file.rows, file.bytes, file.path.as_str());
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
