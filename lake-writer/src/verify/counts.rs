//! Counts: the log's against its files, the topic's and the lake's.
//!
//! ```text
//! Ledger, Compared ─► what compaction explains, findings, PartitionReports
//! ```
//!
//! Owns: the rule by which an offset in the lake alone is explained. A topic only ever loses
//! messages. An offset whose message is gone is explained when the committed range that it belongs
//! to adds up all the same: the lake has as many rows and dead letters of it as the log says, none
//! of those that the topic still has is missing, and none is there twice.

use std::collections::BTreeMap;

use crate::source::{SourcePartition, Watermarks};

use super::compare::{Compared, Differences, of_offsets};
use super::entry::Digest;
use super::ledger::{Ledger, LedgerRange};
use super::report::{Finding, FindingKind, Findings, PartitionReport};
use super::scope::{Scope, present};

/// Compares the log with itself: the rows of all files with those of all ranges, by source
/// partition.
pub(super) fn check_log(ledger: &Ledger, findings: &mut Findings) {
    #[derive(Default)]
    struct Sums {
        of_ranges: [u64; 2],
        of_files: [u64; 2],
    }
    let mut sums: BTreeMap<SourcePartition, Sums> = BTreeMap::new();
    for range in &ledger.ranges {
        let sum = sums.entry(range.source.clone()).or_default();
        sum.of_ranges[0] += range.rows;
        sum.of_ranges[1] += range.dead_letters;
    }
    // Files that were read instead of a topic have no ranges: their rows are counted by record.
    let of_topics = ledger.files.values().filter(|file| file.origin().is_none());
    for file in of_topics {
        for source in &file.facts.sources {
            let of = present(&file.topic_id, source.partition);
            sums.entry(of).or_default().of_files[usize::from(file.is_dead)] += source.rows;
        }
    }
    for (source, sum) in sums {
        for (what, ranges, files) in [
            ("rows", sum.of_ranges[0], sum.of_files[0]),
            ("dead letters", sum.of_ranges[1], sum.of_files[1]),
        ] {
            if ranges != files {
                let detail = format!("the log counts {ranges} {what}, its files have {files}");
                let finding = Finding::new(FindingKind::WrongCounts, detail);
                findings.add(finding.at(source.partition, None));
            }
        }
    }
}

/// Judges every committed range, and makes the reports of the topic's source partitions.
pub(super) fn settle(
    scope: &Scope,
    compared: &Compared,
    watermarks: &BTreeMap<i32, Watermarks>,
    topic_id: &str,
    findings: &mut Findings,
) -> Vec<PartitionReport> {
    let tallies = Tally::by_range(scope, compared);
    let mut reports: BTreeMap<i32, PartitionReport> = scope
        .committed
        .iter()
        .map(|(partition, committed)| {
            let marks = watermarks.get(partition);
            let high = marks.map(|marks| marks.high);
            let report = PartitionReport {
                topic_id: topic_id.to_owned(),
                partition: *partition,
                from: committed.start(),
                next: committed.next(),
                low: marks.map(|marks| marks.low),
                high,
                not_yet_committed: high.map_or(0, |high| length(committed.next(), high)),
                ..PartitionReport::default()
            };
            (*partition, report)
        })
        .collect();
    for ((range, tally), differences) in scope.ranges.iter().zip(&tallies).zip(&compared.ranges) {
        let Some(report) = reports.get_mut(&range.source.partition) else {
            continue;
        };
        tally.add_to(range, report);
        add_differences(range, tally, differences, report, findings);
        check_range(range, tally, differences, findings);
    }
    check_strays(compared, findings);
    check_ends(compared, &mut reports, findings);
    reports.into_values().collect()
}

fn length(from: i64, to: i64) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}

/// What both sides have of a committed range.
#[derive(Clone, Debug, Default)]
struct Tally {
    topic: Digest,
    lake: Digest,
    compared: u64,
    unproved: u64,
}

impl Tally {
    fn by_range(scope: &Scope, compared: &Compared) -> Vec<Self> {
        let mut tallies = vec![Self::default(); scope.ranges.len()];
        let sides = compared.topic.iter().zip(&compared.lake);
        for (stretch, (topic, lake)) in scope.stretches.iter().zip(sides) {
            let tally = &mut tallies[stretch.of];
            tally.topic.merge(topic);
            tally.lake.merge(lake);
            let offsets = length(stretch.range.start(), stretch.range.next());
            if stretch.is_provable {
                tally.compared += offsets;
            } else {
                tally.unproved += offsets;
            }
        }
        tallies
    }

    fn add_to(&self, range: &LedgerRange, report: &mut PartitionReport) {
        let topic = &self.topic;
        let messages = topic.rows + topic.dead_letters + topic.tombstones;
        report.compared += self.compared;
        report.rows += topic.rows;
        report.dead_letters += topic.dead_letters;
        report.tombstones += topic.tombstones;
        // What was accepted as lost has no message in the lake either, so nothing is unproved.
        let lost = range.lost.min(self.unproved);
        report.gaps += self.compared.saturating_sub(messages) + lost;
        report.unproved += self.unproved - lost;
    }

    /// Whether the lake has as much as the log says. Of a range that the topic has lost as a whole
    /// the lake's rows were not read.
    fn adds_up(&self, range: &LedgerRange) -> bool {
        self.compared == 0
            || (self.lake.rows, self.lake.dead_letters) == (range.rows, range.dead_letters)
    }
}

fn add_differences(
    range: &LedgerRange,
    tally: &Tally,
    differences: &Differences,
    report: &mut PartitionReport,
    findings: &mut Findings,
) {
    report.missing += differences.missing;
    report.doubled += differences.doubled;
    report.differing += differences.differing;
    report.misplaced += differences.misplaced;
    if differences.lake_only == 0 {
        return;
    }
    if tally.adds_up(range) && differences.missing == 0 && differences.doubled == 0 {
        report.compacted += differences.lake_only;
        return;
    }
    report.unexpected += differences.lake_only;
    for run in &differences.lake_only_runs {
        let finding = of_offsets(FindingKind::Unexpected, range.source.partition, *run);
        findings.add(finding.of_commit(range.commit));
    }
}

/// Counts that do not add up, where no offset was named that tells why.
fn check_range(
    range: &LedgerRange,
    tally: &Tally,
    differences: &Differences,
    findings: &mut Findings,
) {
    let named = differences.missing + differences.doubled + differences.differing;
    if named > 0 {
        return;
    }
    let mut add = |detail: String| {
        let finding = Finding::new(FindingKind::WrongCounts, detail).of_commit(range.commit);
        findings.add(finding.at(range.source.partition, Some(range.range)));
    };
    if !tally.adds_up(range) {
        add(format!(
            "the log counts {} rows and {} dead letters, the lake has {} and {}",
            range.rows, range.dead_letters, tally.lake.rows, tally.lake.dead_letters
        ));
    }
    let topic = &tally.topic;
    // Fewer are left when the topic is compacted, or when only a part of the range is there.
    if topic.rows > range.rows
        || topic.dead_letters > range.dead_letters
        || topic.tombstones > range.tombstones
    {
        add(format!(
            "the log counts {} rows, {} dead letters and {} tombstones, the topic has {}, {} and {}",
            range.rows,
            range.dead_letters,
            range.tombstones,
            topic.rows,
            topic.dead_letters,
            topic.tombstones
        ));
    }
}

fn check_strays(compared: &Compared, findings: &mut Findings) {
    let strays = &compared.strays;
    for (partition, offset) in &strays.places {
        let detail = "in the lake, and covered by no commit";
        let offsets = crate::source::OffsetRange::new((*offset).max(0), (*offset).max(0) + 1);
        findings.add(Finding::new(FindingKind::Unexpected, detail).at(*partition, Some(offsets)));
    }
    if strays.rows > strays.places.len() as u64 {
        let detail = format!("{} rows in all are covered by no commit", strays.rows);
        findings.add(Finding::new(FindingKind::Unexpected, detail));
    }
}

fn check_ends(
    compared: &Compared,
    reports: &mut BTreeMap<i32, PartitionReport>,
    findings: &mut Findings,
) {
    let mut short: BTreeMap<i32, i64> = compared.short.iter().copied().collect();
    for (partition, report) in reports.iter() {
        if let Some(high) = report.high.filter(|high| *high < report.next) {
            short.insert(*partition, high);
        }
    }
    for (partition, end) in short {
        let next = reports.get(&partition).map_or(end, |report| report.next);
        let detail = format!(
            "the topic ends at {end}, the table was written up to {next}: the brokers have lost \
             messages, or this is not the topic that was read"
        );
        findings.add(Finding::new(FindingKind::ShortTopic, detail).at(partition, None));
    }
}
