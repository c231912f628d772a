//! `status`: where a table stands, by its log, and how far behind the topic it is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Arguments;
use super::columns::columns;
use super::context::{Chatter, Context};
use super::exit::{Failure, with_causes};
use super::open;
use super::output::{Output, print, print_json};
use crate::commit::{State, fold};
use crate::source::{Source, SourceError, SourcePartition, Watermarks};
use crate::telemetry::figures::{ago, bytes, count};

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
struct Status {
    table: String,
    /// Number of the last log record; null for a table that was never written.
    head: Option<u64>,
    last_commit_at: Option<String>,
    last_commit_age_seconds: Option<i64>,
    commits: u64,
    /// Commits whose files were not all published yet, as far as the log says.
    unpublished_commits: usize,
    rows: u64,
    files: u64,
    bytes: u64,
    dead_letters: u64,
    tombstones: u64,
    /// Why the brokers' figures are missing, if they are.
    brokers: Option<String>,
    partitions: Vec<PartitionStatus>,
}

/// One source partition.
#[derive(Debug, Serialize)]
struct PartitionStatus {
    topic: String,
    topic_id: String,
    partition: i32,
    /// First offset that is not committed; null for a partition that was never claimed.
    next: Option<i64>,
    /// Number of the claim that holds it.
    epoch: Option<u64>,
    /// The writer that holds it.
    session: Option<String>,
    /// Low watermark of the topic.
    low: Option<i64>,
    /// High watermark of the topic.
    high: Option<i64>,
    /// Offsets that are not committed yet.
    lag: Option<i64>,
    rows: u64,
    dead_letters: u64,
    tombstones: u64,
}

/// What the brokers say, by source partition, with the topic's name.
type OnBrokers = BTreeMap<SourcePartition, (String, Watermarks)>;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let store = open::store(&context.settings)?;
    let state = context.runtime.block_on(fold(store.as_ref()))?;
    let (on_brokers, brokers) = match ask_brokers(&context) {
        Ok(found) => (found, None),
        Err(error) => (OnBrokers::new(), Some(with_causes(&error))),
    };
    let now_micros = context.clock.wall_micros();
    let status = put_together(store.url(), &state, &on_brokers, brokers, now_micros);
    match arguments.output {
        Output::Text => print(&in_words(&status)),
        Output::Json => print_json(&status),
    }
}

fn ask_brokers(context: &Context) -> Result<OnBrokers, SourceError> {
    let mut source = open::source(&context.settings, &context.clock)?;
    let found = watermarks(source.as_mut());
    source.close();
    found
}

fn watermarks(source: &mut dyn Source) -> Result<OnBrokers, SourceError> {
    let topic = source.identify()?;
    (0..topic.partitions)
        .map(|partition| {
            let source_partition = SourcePartition {
                topic_id: topic.topic_id.clone(),
                partition,
            };
            let watermarks = source.watermarks(partition)?;
            Ok((source_partition, (topic.name.clone(), watermarks)))
        })
        .collect()
}

fn put_together(
    table: String,
    state: &State,
    on_brokers: &OnBrokers,
    brokers: Option<String>,
    now_micros: i64,
) -> Status {
    let claimed = state.sources.keys().filter(|source| source.is_of_topic());
    let mut known: Vec<&SourcePartition> = claimed.chain(on_brokers.keys()).collect();
    known.sort();
    known.dedup();
    let partitions = known
        .into_iter()
        .map(|source| {
            let held = state.sources.get(source);
            let found = on_brokers.get(source);
            let tally = held.map(|held| held.tally).unwrap_or_default();
            let watermarks = found.map(|(_, watermarks)| *watermarks);
            // What was never claimed will be read from the first message that is still there.
            let next = held.map(|held| held.next);
            let lag = watermarks.map(|at| (at.high - next.unwrap_or(at.low)).max(0));
            PartitionStatus {
                topic: held
                    .map(|held| held.topic.clone())
                    .or_else(|| found.map(|(topic, _)| topic.clone()))
                    .unwrap_or_default(),
                topic_id: source.topic_id.clone(),
                partition: source.partition,
                next,
                epoch: held.map(|held| held.epoch),
                session: held.map(|held| held.session.clone()),
                low: watermarks.map(|at| at.low),
                high: watermarks.map(|at| at.high),
                lag,
                rows: tally.rows,
                dead_letters: tally.dead_letters,
                tombstones: tally.tombstones,
            }
        })
        .collect();
    let committed_micros = state
        .last_commit_at
        .as_deref()
        .and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok())
        .map(|at| at.timestamp_micros());
    Status {
        table,
        head: state.head,
        last_commit_at: state.last_commit_at.clone(),
        last_commit_age_seconds: committed_micros.map(|at| (now_micros - at).max(0) / 1_000_000),
        commits: state.totals.commits,
        unpublished_commits: state.unpublished.len(),
        rows: state.totals.rows,
        files: state.totals.files,
        bytes: state.totals.bytes,
        dead_letters: state.totals.dead_letters,
        tombstones: state.totals.tombstones,
        brokers,
        partitions,
    }
}

fn in_words(status: &Status) -> String {
    let mut text = format!("table      {}\n", status.table);
    match status.head {
        None => text += "log        empty: nothing was written yet\n",
        Some(head) => {
            let unpublished = match status.unpublished_commits {
                0 => String::new(),
                n => format!(", {n} not yet said to be published"),
            };
            let commits = count(status.commits);
            text += &format!("log        at record {head}, {commits} commits{unpublished}\n");
        }
    }
    if let (Some(at), Some(age)) = (&status.last_commit_at, status.last_commit_age_seconds) {
        text += &format!("committed  {} ago, at {at}\n", ago(age * 1_000_000));
    }
    text += &format!(
        "live       {} rows in {} files, {}\n",
        count(status.rows),
        count(status.files),
        bytes(status.bytes)
    );
    text += &format!(
        "besides    {} dead letters, {} tombstones\n",
        count(status.dead_letters),
        count(status.tombstones)
    );
    if let Some(problem) = &status.brokers {
        text += &format!("brokers    no figures: {problem}\n");
    }
    if !status.partitions.is_empty() {
        text += "\n";
        text += &partition_table(&status.partitions);
    }
    text
}

fn partition_table(partitions: &[PartitionStatus]) -> String {
    const HEAD: [&str; 11] = [
        "topic",
        "partition",
        "next",
        "low",
        "high",
        "lag",
        "rows",
        "dead",
        "tombstones",
        "epoch",
        "session",
    ];
    let figure = |value: Option<i64>| value.map_or_else(|| "-".into(), count);
    let rows: Vec<Vec<String>> = partitions
        .iter()
        .map(|p| {
            vec![
                p.topic.clone(),
                p.partition.to_string(),
                figure(p.next),
                figure(p.low),
                figure(p.high),
                figure(p.lag),
                count(p.rows),
                count(p.dead_letters),
                count(p.tombstones),
                p.epoch
                    .map_or_else(|| "-".into(), |epoch| epoch.to_string()),
                p.session.clone().unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    columns(&HEAD, &rows)
}
