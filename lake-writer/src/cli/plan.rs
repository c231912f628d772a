//! `plan`: what the next commits would be, without writing anything.
//!
//! ```text
//! log's next offsets | --from --to ─► KafkaReader ─► the writer's own cut ─► Nowhere ─► files
//! ```
//!
//! Owns: which messages are looked at, and how the outcome is shown.
//! Does not own: decoding, partitioning, rotation: those are the writer's, so that a plan cannot
//! say anything else than a run would do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Arguments;
use super::columns::columns;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::nowhere::Nowhere;
use super::open;
use super::output::{Output, print, print_json};
use crate::batch::Rotation;
use crate::clock::Chance;
use crate::commit::{State, fold};
use crate::settings::FirstStart;
use crate::source::kafka::KafkaReader;
use crate::source::{
    OffsetRange, RangeReader as _, SourceError, SourceEvent, SourcePartition, TopicIdentity,
    Watermarks,
};
use crate::stage::StagedFile;
use crate::telemetry::Metrics;
use crate::telemetry::figures::{bytes, count};
use crate::writer::assemble::CutMaker;
use crate::writer::cut::{OpenCut, Relief};

/// How long one look for messages waits.
const POLL_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// Look at the next messages after the table's last commit, shared among all partitions
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", conflicts_with_all = ["partition", "from", "to"])]
    messages: u64,

    /// Look at a range of this source partition instead
    #[arg(long, requires = "from", requires = "to", value_name = "NUMBER")]
    partition: Option<i32>,

    /// First offset of the range
    #[arg(long, requires = "partition", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,

    /// First offset after the range
    #[arg(long, requires = "partition", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,
}

/// Everything that `plan` shows.
#[derive(Debug, Serialize)]
struct Plan {
    table: String,
    topic: String,
    ranges: Vec<PlannedRange>,
    commits: Vec<PlannedCommit>,
    rows: u64,
    dead_letters: u64,
    /// Dead letters by reason.
    reasons: BTreeMap<&'static str, u64>,
    tombstones: u64,
}

/// Offsets that were looked at, half-open.
#[derive(Debug, Serialize)]
struct PlannedRange {
    partition: i32,
    from: i64,
    to: i64,
}

#[derive(Debug, Default, Serialize)]
struct PlannedCommit {
    files: Vec<PlannedFile>,
    dead: Vec<PlannedFile>,
}

/// A file, under the name it would have but for the writer's own part of it.
#[derive(Debug, Serialize)]
struct PlannedFile {
    path: String,
    rows: u64,
    bytes: u64,
}

impl From<&StagedFile> for PlannedFile {
    fn from(file: &StagedFile) -> Self {
        Self {
            path: file.target.to_string(),
            rows: file.rows,
            bytes: file.bytes,
        }
    }
}

pub(super) fn run(arguments: &Arguments, plan: &PlanArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let table = open::table(&context.settings)?;
    let store = open::store(&context.settings)?;
    let kafka = &context.settings.source.kafka;
    let mut reader = KafkaReader::connect(kafka, context.clock.clone())?;
    let topic = reader.identify()?;
    let ranges = match (plan.partition, plan.from, plan.to) {
        (Some(partition), Some(from), Some(to)) => vec![given(partition, from, to)?],
        _ => {
            let state = context.runtime.block_on(fold(store.as_ref()))?;
            next(
                &mut reader,
                &topic,
                &state,
                kafka.first_start,
                plan.messages,
            )?
        }
    };

    let metrics = Arc::new(Metrics::new(&store.url()));
    let nowhere = Arc::new(Nowhere { url: store.url() });
    let cuts = CutMaker::new(
        &context.settings,
        table,
        nowhere,
        context.runtime.handle().clone(),
        context.clock.clone(),
        metrics.clone(),
    );
    let cut = cuts
        .cut(&Chance::from_entropy().hex_id())
        .map_err(|error| Failure::of(Exit::Usage, "write the schema's columns", &error))?;
    let mut planner = Planner {
        context: &context,
        cut,
        rotation: Rotation::new(&context.settings.rotation),
        commits: Vec::new(),
        tombstones: 0,
    };
    planner.read(&mut reader, &ranges)?;
    let plan = planner.into_plan(store.url(), topic.name, &ranges, metrics.rejected());
    match arguments.output {
        Output::Text => print(&in_words(&plan)),
        Output::Json => print_json(&plan),
    }
}

fn given(partition: i32, from: i64, to: i64) -> Result<(i32, OffsetRange), Failure> {
    if from <= to {
        Ok((partition, OffsetRange::new(from, to)))
    } else {
        let message =
            format!("--to {to} lies before --from {from}; give the first offset after the range");
        Err(Failure::new(Exit::Usage, message))
    }
}

/// The ranges that a writer would read next, as many offsets as asked for.
fn next(
    reader: &mut KafkaReader,
    topic: &TopicIdentity,
    state: &State,
    first_start: FirstStart,
    offsets: u64,
) -> Result<Vec<(i32, OffsetRange)>, SourceError> {
    let mut waiting = Vec::new();
    for partition in 0..topic.partitions {
        let source = SourcePartition {
            topic_id: topic.topic_id.clone(),
            partition,
        };
        let watermarks = reader.watermarks(partition)?;
        let known = state.sources.get(&source).map(|held| held.next);
        let known = known.or_else(|| state.begins.get(&source).copied());
        let start = start_of(known, watermarks, first_start);
        waiting.push((
            partition,
            OffsetRange::new(start, watermarks.high.max(start)),
        ));
    }
    Ok(share(&waiting, i64::try_from(offsets).unwrap_or(i64::MAX)))
}

/// Where a partition would be read from. A writer refuses to skip what retention took; a plan shows
/// what is left.
fn start_of(known: Option<i64>, watermarks: Watermarks, first_start: FirstStart) -> i64 {
    let start = known.unwrap_or(match first_start {
        FirstStart::Earliest => watermarks.low,
        FirstStart::Latest => watermarks.high,
    });
    start.max(watermarks.low)
}

/// Cuts ranges down to so many offsets in all, evenly: those that have less leave more to the
/// others.
fn share(waiting: &[(i32, OffsetRange)], offsets: i64) -> Vec<(i32, OffsetRange)> {
    let mut by_length: Vec<&(i32, OffsetRange)> = waiting.iter().collect();
    by_length.sort_by_key(|(_, range)| range.len());
    let mut left = offsets;
    let mut parts = i64::try_from(by_length.len()).unwrap_or(i64::MAX);
    let mut shared = Vec::with_capacity(waiting.len());
    for (partition, range) in by_length {
        let taken = range.len().min((left + parts - 1) / parts);
        left -= taken;
        parts -= 1;
        shared.push((
            *partition,
            OffsetRange::new(range.start(), range.start() + taken),
        ));
    }
    shared.sort_by_key(|(partition, _)| *partition);
    shared
}

/// Fills cuts as a writer would, and notes what they would have become.
struct Planner<'a> {
    context: &'a Context,
    cut: OpenCut,
    rotation: Rotation,
    commits: Vec<PlannedCommit>,
    tombstones: u64,
}

impl Planner<'_> {
    fn read(
        &mut self,
        reader: &mut KafkaReader,
        ranges: &[(i32, OffsetRange)],
    ) -> Result<(), Failure> {
        reader.open(ranges)?;
        for (partition, range) in ranges {
            self.cut.begin(*partition, range.start());
        }
        loop {
            let cut = &mut self.cut;
            let progress = reader.poll(POLL_WAIT, &mut |message| cut.accept(message))?;
            if let Some(reason) = progress.events.iter().find_map(away) {
                return Err(Failure::new(
                    Exit::Source,
                    format!("lost the brokers: {reason}"),
                ));
            }
            self.make_room()?;
            // A range whose end does not come is one that the topic does not have (yet).
            if progress.open == progress.short.len() {
                break;
            }
        }
        if self.cut.is_empty() {
            Ok(())
        } else {
            self.commit()
        }
    }

    /// Commits where a writer would; time is no reason, since a plan takes none.
    fn make_room(&mut self) -> Result<(), Failure> {
        loop {
            match self.cut.relieve()? {
                Relief::CommitNow => return self.commit(),
                Relief::Wait => std::thread::yield_now(),
                Relief::Enough => break,
            }
        }
        let due = self
            .rotation
            .due(&self.cut.contents(), Duration::ZERO)
            .is_some();
        if due { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let sealing = self.cut.seal();
        let sealed = self.context.runtime.block_on(sealing)?;
        self.tombstones += sealed
            .ranges
            .iter()
            .map(|range| range.tombstones)
            .sum::<u64>();
        self.commits.push(PlannedCommit {
            files: sealed.files.iter().map(PlannedFile::from).collect(),
            dead: sealed.dead.iter().map(PlannedFile::from).collect(),
        });
        Ok(())
    }

    fn into_plan(
        mut self,
        table: String,
        topic: String,
        ranges: &[(i32, OffsetRange)],
        reasons: BTreeMap<&'static str, u64>,
    ) -> Plan {
        for commit in &mut self.commits {
            commit.files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let rows = |files: fn(&PlannedCommit) -> &Vec<PlannedFile>| {
            self.commits
                .iter()
                .flat_map(files)
                .map(|file| file.rows)
                .sum()
        };
        Plan {
            table,
            topic,
            ranges: ranges
                .iter()
                .map(|(partition, range)| PlannedRange {
                    partition: *partition,
                    from: range.start(),
                    to: range.next(),
                })
                .collect(),
            rows: rows(|commit| &commit.files),
            dead_letters: rows(|commit| &commit.dead),
            reasons,
            tombstones: self.tombstones,
            commits: self.commits,
        }
    }
}

fn away(event: &SourceEvent) -> Option<&String> {
    match event {
        SourceEvent::Away(reason) => Some(reason),
        _ => None,
    }
}

fn in_words(plan: &Plan) -> String {
    let ranges: Vec<String> = plan
        .ranges
        .iter()
        .filter(|range| range.from < range.to)
        .map(|range| format!("{}: {}..{}", range.partition, range.from, range.to))
        .collect();
    let ranges = if ranges.is_empty() {
        "nothing is waiting".into()
    } else {
        ranges.join(", ")
    };
    let mut text = format!(
        "table        {}\ntopic        {}, offsets by partition {ranges}\n",
        plan.table, plan.topic
    );
    text += &format!("rows         {}\n", count(plan.rows));
    let reasons: Vec<String> = plan
        .reasons
        .iter()
        .map(|(reason, messages)| format!("{reason} {}", count(*messages)))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(": {}", reasons.join(", "))
    };
    text += &format!("dead letters {}{reasons}\n", count(plan.dead_letters));
    text += &format!("tombstones   {}\n", count(plan.tombstones));
    for (number, commit) in plan.commits.iter().enumerate() {
        text += &format!("\ncommit {} of {}\n", number + 1, plan.commits.len());
        let rows: Vec<Vec<String>> = commit
            .files
            .iter()
            .chain(&commit.dead)
            .map(|file| vec![count(file.rows), bytes(file.bytes), file.path.clone()])
            .collect();
        text += &columns(&["rows", "size", "file"], &rows);
    }
    text += "\nnothing was written\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(i32, i64, i64)]) -> Vec<(i32, OffsetRange)> {
        of.iter()
            .map(|(p, from, to)| (*p, OffsetRange::new(*from, *to)))
            .collect()
    }

    #[test]
    fn offsets_are_shared_evenly_and_what_one_leaves_goes_to_the_others() {
        let waiting = ranges(&[(0, 0, 1_000), (1, 50, 60), (2, 7, 7), (3, 0, 500)]);
        assert_eq!(
            share(&waiting, 100),
            ranges(&[(0, 0, 45), (1, 50, 60), (2, 7, 7), (3, 0, 45)])
        );
        assert_eq!(share(&waiting, 1_000_000), waiting);
        let none = share(&waiting, 0);
        assert!(none.iter().all(|(_, range)| range.is_empty()));
        assert_eq!(share(&[], 5), []);
    }

    #[test]
    fn a_plan_begins_where_a_writer_would() {
        let watermarks = Watermarks { low: 10, high: 90 };
        assert_eq!(start_of(Some(40), watermarks, FirstStart::Latest), 40);
        assert_eq!(start_of(Some(4), watermarks, FirstStart::Earliest), 10);
        assert_eq!(start_of(None, watermarks, FirstStart::Earliest), 10);
        assert_eq!(start_of(None, watermarks, FirstStart::Latest), 90);
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused() {
        assert_eq!(given(0, 5, 4).unwrap_err().exit, Exit::Usage);
        assert!(given(0, 5, 5).is_ok());
    }
}
