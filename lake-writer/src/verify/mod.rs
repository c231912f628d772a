//! Whether the lake holds what the topic says, both ways, offset by offset.
//!
//! ```text
//! log ─► ledger ─► scope ─┬─► topic ─► decode ─┐
//!                         │                    ├─► sums by stretch ─► counts, findings ─► Report
//! listings ─► files ──────┴─► lake ─► Parquet ─┘
//! ```
//!
//! Owns: what is compared and what follows from it. Messages are decoded again by the writer's own
//! decoder and router, and compared with the rows that stand in the files, by a hash of all columns.
//! Does not own: the log (`commit`), decoding (`decode`), any change: it only reads.
//!
//! It is linear in rows and holds none of them. Both sides are added up by stretches of at most
//! 65,536 offsets; only stretches whose sums differ are read again and compared offset by offset.

pub(crate) mod ledger;
mod scope;
mod hash;
mod entry;
mod topic;
mod parquet_file;
mod lake;
mod both;
mod files;
mod compare;
mod counts;
mod report;
pub mod place;
pub mod rows;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use arrow_schema::ArrowError;

use crate::commit::CommitError;
use crate::commit::record::Definition;
use crate::source::{RangeReader, SourceError, TopicIdentity, Watermarks};
use crate::store::StoreError;
use crate::table::Schema;

use both::BothSides;
use files::Inventory;
use lake::Job;
use ledger::{Ledger, ledger};
use report::Findings;
use scope::Scope;
pub(crate) use scope::Wanted;

#[cfg(feature = "mongodb")]
pub(crate) use topic::read_rounds;

pub use both::{Progress, VerifyParts};
pub use report::{Commits, Files, Finding, FindingKind, PartitionReport, Report};
pub use scope::Request;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Brokers or topic.
    #[error("failed to read the topic: {0}")]
    Source(#[from] SourceError),
    /// The log.
    #[error("failed to read the log: {0}")]
    Commit(#[from] CommitError),
    /// The store.
    #[error("failed to read the table: {0}")]
    Store(#[from] StoreError),
    /// The settings describe another table.
    #[error(
        "the table at {0} was made with another schema, partition spec or time zone than the \
         settings have: use the settings that it is written with"
    )]
    OtherTable(String),
    /// A column that cannot be compared, which the schema refuses before.
    #[error("a column cannot be compared: {0}")]
    Column(#[from] ArrowError),
}

/// Compares the table with the topic, or, without a reader, with its log alone. Tells `watch` how
/// far it has come.
///
/// # Errors
/// When the log, the store or the brokers cannot be read; what differs is no error.
pub fn verify(
    parts: &VerifyParts,
    definition: &Definition,
    reader: Option<&mut dyn RangeReader>,
    request: &Request,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let store = parts.store.as_ref();
    let ledger = parts.runtime.block_on(ledger(store))?;
    refuse_other_table(parts, &ledger, definition)?;
    let mut findings = Findings::new(request.most_findings);
    let inventory = parts.runtime.block_on(files::inventory(
        store,
        parts.clock.as_ref(),
        parts.patience,
        &ledger,
        &mut findings,
    ))?;
    counts::check_log(&ledger, &mut findings);
    let mut report = Report {
        table: store.url(),
        head: ledger.head,
        quick: reader.is_none(),
        sample: request.sample,
        commits: Commits {
            in_log: ledger.commits,
            chosen: 0,
        },
        files: Files {
            named: ledger.files.len() as u64,
            bytes: ledger.files.values().map(|file| file.facts.bytes).sum(),
            foreign: inventory.foreign.len() as u64,
            ..Files::default()
        },
        ..Report::default()
    };
    match reader {
        None => quick(&ledger, &inventory, &mut report, &mut findings),
        Some(reader) => {
            let mut comparison = Comparison {
                schema: &parts.schema,
                ledger: &ledger,
                inventory: &inventory,
                report: &mut report,
                findings: &mut findings,
            };
            let mut both = BothSides {
                parts,
                reader,
                watch,
                progress: Progress::default(),
            };
            comparison.run(request, &mut both)?;
        }
    }
    findings.finish(&mut report);
    Ok(report)
}

fn refuse_other_table(
    parts: &VerifyParts,
    ledger: &Ledger,
    wanted: &Definition,
) -> Result<(), VerifyError> {
    match &ledger.definition {
        Some(found) if found != wanted => Err(VerifyError::OtherTable(parts.store.url())),
        _ => Ok(()),
    }
}

/// Log and listings alone: what is told without a look at any content.
fn quick(ledger: &Ledger, inventory: &Inventory, report: &mut Report, findings: &mut Findings) {
    for (path, size) in &inventory.foreign {
        findings.add(files::foreign(
            path,
            *size,
            &lake::FileReading::default(),
            ledger,
        ));
    }
    for source in ledger.next.keys() {
        if let Some(committed) = ledger.committed(source) {
            report.partitions.push(PartitionReport {
                topic_id: source.topic_id.clone(),
                partition: source.partition,
                from: committed.start(),
                next: committed.next(),
                ..PartitionReport::default()
            });
        }
    }
    let limit = "no content was looked at: neither the topic nor the bytes of any file";
    report.unproved.push(limit.into());
}

/// A comparison of contents, and where its outcome goes.
struct Comparison<'a> {
    schema: &'a Schema,
    ledger: &'a Ledger,
    inventory: &'a Inventory,
    report: &'a mut Report,
    findings: &'a mut Findings,
}

impl Comparison<'_> {
    fn run(&mut self, request: &Request, both: &mut BothSides<'_>) -> Result<(), VerifyError> {
        let topic = both.reader.identify()?;
        let watermarks = (0..topic.partitions)
            .map(|partition| Ok((partition, both.reader.watermarks(partition)?)))
            .collect::<Result<BTreeMap<i32, Watermarks>, SourceError>>()?;
        let wanted = wanted(self.ledger, request, &topic, both.reader)?;
        let scope = Scope::choose(
            self.ledger,
            &topic.topic_id,
            &watermarks,
            &wanted,
            request.sample,
        );
        self.report.topic.clone_from(&topic.name);
        self.report.commits.chosen = scope.commits.len() as u64;

        let jobs = self.jobs(&scope, &topic, request.is_everything());
        let compared = compare::compare(&scope, &jobs, both, self.findings)?;
        self.judge_files(&jobs, &compared);
        let topic_id = &topic.topic_id;
        let reports = counts::settle(&scope, &compared, &watermarks, topic_id, self.findings);
        self.report.partitions = reports;
        self.add_former_topics(&scope);
        self.say_what_is_unproved();
        Ok(())
    }

    /// The files to read: of the chosen commits, foreign ones, and, where no part was asked for,
    /// those that were made of other files. Rows are wanted where the topic
    /// can still say something about a committed range of theirs.
    fn jobs(&self, scope: &Scope, topic: &TopicIdentity, is_everything: bool) -> Vec<Job> {
        let provable = scope.provable_ranges();
        let mut jobs = Vec::new();
        for (path, size) in &self.inventory.present {
            let file = &self.ledger.files[path];
            let touches = |asked_for: &dyn Fn(usize) -> bool| {
                let mut sources = file.facts.sources.iter();
                sources.any(|s| scope.touches(s.partition, s.min, s.max, asked_for))
            };
            let is_present = *file.topic_id == *topic.topic_id;
            let is_chosen = if is_present {
                touches(&|_| true)
            } else if file.origin().is_some() {
                is_everything
            } else {
                scope.commits.contains(&file.commit)
            };
            if is_chosen {
                let is_provable = |index: usize| provable[scope.stretches[index].of];
                jobs.push(Job {
                    path: path.clone(),
                    size: *size,
                    is_dead: file.is_dead,
                    with_rows: is_present && touches(&is_provable),
                });
            }
        }
        let foreign = self.inventory.foreign.iter().map(|(path, size)| Job {
            path: path.clone(),
            size: *size,
            is_dead: path.as_str().starts_with(crate::stage::DEAD_LETTERS),
            with_rows: path.as_str().ends_with(".parquet"),
        });
        jobs.extend(foreign);
        jobs
    }

    fn judge_files(&mut self, jobs: &[Job], compared: &compare::Compared) {
        for (index, job) in jobs.iter().enumerate() {
            let Some(reading) = compared.readings.get(&index) else {
                continue;
            };
            match self.ledger.files.get(&job.path) {
                Some(file) => {
                    files::judge(file, job.size, reading, self.findings);
                    self.report.files.checksummed += 1;
                    self.report.files.compared += u64::from(reading.sources.is_some());
                }
                None => {
                    let finding = files::foreign(&job.path, job.size, reading, self.ledger);
                    self.findings.add(finding);
                }
            }
        }
    }

    /// What was read from a topic that was deleted since.
    fn add_former_topics(&mut self, scope: &Scope) {
        let mut reports: BTreeMap<_, PartitionReport> = BTreeMap::new();
        for range in &scope.of_former_topics {
            let (start, next) = (range.range.start(), range.range.next());
            let report = reports
                .entry(range.source.clone())
                .or_insert_with(|| PartitionReport {
                    topic_id: range.source.topic_id.clone(),
                    partition: range.source.partition,
                    from: start,
                    ..PartitionReport::default()
                });
            report.next = next;
            report.unproved += u64::try_from(next - start).unwrap_or(0);
        }
        self.report.partitions.extend(reports.into_values());
    }

    fn say_what_is_unproved(&mut self) {
        let of_files = self
            .ledger
            .files
            .values()
            .filter(|file| !file.is_dead && file.origin().is_some());
        let rows: u64 = of_files.map(|file| file.facts.rows).sum();
        let mut said = Vec::new();
        let looked_up = self.schema.looked_up_names();
        if !looked_up.is_empty() {
            said.push(format!(
                "{} were looked up in reference tables, which may have changed since",
                looked_up.join(", ")
            ));
        }
        if rows > 0 {
            said.push(format!(
                "{rows} rows were read from files and not from the topic: they were compared with \
                 the log's checksums alone"
            ));
        }
        for partition in &self.report.partitions {
            if partition.unproved > 0 {
                let why = match partition.low {
                    Some(_) => "the topic does not have them any more",
                    None => "the topic was deleted since",
                };
                said.push(format!(
                    "{} offsets of partition {}: {why}; their files were compared with the log's \
                     checksums alone",
                    partition.unproved, partition.partition
                ));
            }
            if partition.compacted > 0 {
                said.push(format!(
                    "{} offsets of partition {}: the topic has lost the messages since, as \
                     compaction does; the log's counts include them",
                    partition.compacted, partition.partition
                ));
            }
        }
        if let Some(ratio) = self.report.sample {
            let Commits { chosen, in_log } = self.report.commits;
            said.push(format!(
                "a sample of {ratio}: {chosen} of {in_log} commits were looked at"
            ));
        }
        self.report.unproved.extend(said);
    }
}

/// The offsets that a request means, with times looked up in the topic.
///
/// # Errors
/// As the reader.
pub(crate) fn wanted(
    ledger: &Ledger,
    request: &Request,
    topic: &TopicIdentity,
    reader: &mut dyn RangeReader,
) -> Result<Wanted, SourceError> {
    let there: Vec<i32> = (0..topic.partitions).collect();
    let mut at = |time: Option<i64>| -> Result<BTreeMap<i32, Option<i64>>, SourceError> {
        match time {
            Some(time) => Ok(reader.offsets_at(&there, time)?.into_iter().collect()),
            None => Ok(BTreeMap::new()),
        }
    };
    let (since, until) = (at(request.since_ms)?, at(request.until_ms)?);
    let partitions = ledger.next.keys().map(|source| source.partition);
    Ok(scope::wanted(request, partitions, &since, &until))
}
