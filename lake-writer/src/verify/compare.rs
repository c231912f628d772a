//! The comparison: by sums first, and offset by offset where they differ.
//!
//! ```text
//! both sides ─► Digest of each stretch ─► the same: done
//!                                    └──► different: both sides again ─► Settler ─► findings
//! ```
//!
//! Owns: which offsets differ and how.
//! Does not own: what the log's counts explain (`counts`).
//!
//! Memory: a stretch takes some hundred bytes. Stretches that differ are read again in groups whose
//! entries take what the settings give.

use std::collections::BTreeMap;

use crate::source::OffsetRange;

use super::VerifyError;
use super::both::{BothRead, BothSides};
use super::entry::{Digest, Entry, Kind};
use super::lake::{Collect, FileReading, Job, LAKE_THREADS};
use super::report::{Finding, FindingKind, Findings};
use super::scope::Scope;

/// Bytes that an offset takes while it is looked at: an entry of each side, sorted.
const OFFSET_BYTES: u64 = 2 * size_of::<Entry>() as u64;

/// Runs of unexpected offsets that are kept of each committed range.
const KEPT_RUNS: usize = 100;

/// Offsets outside of everything committed that are kept.
const KEPT_STRAYS: usize = 1_000;

/// What the comparison has found out about the committed ranges in the scope.
#[derive(Debug)]
pub(super) struct Compared {
    /// By stretch.
    pub(super) topic: Vec<Digest>,
    /// By stretch.
    pub(super) lake: Vec<Digest>,
    /// By committed range.
    pub(super) ranges: Vec<Differences>,
    /// Rows at offsets that no commit covers.
    pub(super) strays: Strays,
    /// Partitions of the topic that end before what was committed.
    pub(super) short: Vec<(i32, i64)>,
    /// By job.
    pub(super) readings: BTreeMap<usize, FileReading>,
}

/// Offsets of a committed range that differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    pub(super) missing: u64,
    pub(super) doubled: u64,
    pub(super) differing: u64,
    pub(super) misplaced: u64,
    /// In the lake alone, which compaction may explain.
    pub(super) lake_only: u64,
    /// The first of those.
    pub(super) lake_only_runs: Vec<OffsetRange>,
}

impl Differences {
    fn note_lake_only(&mut self, offset: i64) {
        self.lake_only += 1;
        let runs = &mut self.lake_only_runs;
        let kept = runs.len();
        match runs.last_mut() {
            Some(run) if run.next() == offset => *run = OffsetRange::new(run.start(), offset + 1),
            _ if kept < KEPT_RUNS => runs.push(OffsetRange::new(offset, offset + 1)),
            _ => {}
        }
    }
}

/// Rows at offsets that no commit covers.
#[derive(Debug, Default)]
pub(super) struct Strays {
    pub(super) rows: u64,
    /// The first of them: partition and offset.
    pub(super) places: Vec<(i32, i64)>,
}

/// Compares both sides.
///
/// # Errors
/// When brokers or store do not answer.
pub(super) fn compare(
    scope: &Scope,
    jobs: &[Job],
    both: &mut BothSides<'_>,
    findings: &mut Findings,
) -> Result<Compared, VerifyError> {
    let stretches = scope.stretches.len();
    let mut topic = Sums::new(scope);
    let threads = LAKE_THREADS.min(jobs.len());
    let BothRead {
        collectors,
        readings,
        short,
    } = both.read(
        &scope.rounds(|_| true),
        jobs,
        (0..threads).map(|_| Sums::new(scope)).collect(),
        &mut |entry| topic.take(&entry),
    )?;
    let mut lake = Sums::new(scope);
    for one in collectors {
        lake.merge(one);
    }
    let differ = |index: &usize| {
        let index = *index;
        scope.stretches[index].is_provable && !topic.digests[index].matches(&lake.digests[index])
    };
    let differing: Vec<usize> = (0..stretches).filter(differ).collect();
    let mut compared = Compared {
        topic: topic.digests,
        lake: lake.digests,
        ranges: vec![Differences::default(); scope.ranges.len()],
        strays: lake.strays,
        short,
        readings,
    };
    let mut settler = Settler {
        scope,
        ranges: &mut compared.ranges,
        runs: BTreeMap::new(),
        findings,
    };
    let again = jobs_with_rows(jobs, &compared.readings);
    for group in groups(scope, &differing, both.parts.memory_bytes) {
        look_again(scope, &group, &again, both, &mut settler)?;
    }
    settler.finish();
    Ok(compared)
}

/// Cuts the stretches that differ into groups that fit the memory.
fn groups(scope: &Scope, differing: &[usize], memory_bytes: u64) -> Vec<Vec<usize>> {
    let most = i64::try_from(memory_bytes / OFFSET_BYTES).unwrap_or(i64::MAX);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut offsets = i64::MAX;
    for &index in differing {
        let length = scope.stretches[index].range.len();
        if offsets.saturating_add(length) > most {
            groups.push(Vec::new());
            offsets = 0;
        }
        offsets += length;
        if let Some(group) = groups.last_mut() {
            group.push(index);
        }
    }
    groups
}

/// Jobs whose rows can be looked at again, with the offsets that were found in them; `None` for
/// those that were read in part.
fn jobs_with_rows<'a>(
    jobs: &'a [Job],
    readings: &'a BTreeMap<usize, FileReading>,
) -> Vec<(&'a Job, Option<&'a FileReading>)> {
    let wanted = jobs.iter().enumerate().filter(|(_, job)| job.with_rows);
    wanted
        .map(|(index, job)| {
            let whole = readings.get(&index).filter(|r| r.sources.is_some());
            (job, whole)
        })
        .collect()
}

/// Reads a group of stretches on both sides once more, and settles them offset by offset.
fn look_again(
    scope: &Scope,
    group: &[usize],
    jobs: &[(&Job, Option<&FileReading>)],
    both: &mut BothSides<'_>,
    settler: &mut Settler<'_>,
) -> Result<(), VerifyError> {
    let mut chosen = vec![false; scope.stretches.len()];
    for &index in group {
        chosen[index] = true;
    }
    let touched = |reading: Option<&FileReading>| {
        let Some(sources) = reading.and_then(|reading| reading.sources.as_ref()) else {
            return true;
        };
        let touches = |source: &crate::commit::record::FileSource| {
            scope.touches(source.partition, source.min, source.max, |index| {
                chosen[index]
            })
        };
        sources.iter().any(touches)
    };
    let jobs: Vec<Job> = jobs
        .iter()
        .filter(|(_, reading)| touched(*reading))
        .map(|(job, _)| (*job).clone())
        .collect();
    let list = || Listed {
        scope,
        chosen: &chosen,
        last: 0,
        entries: Vec::new(),
    };
    let mut topic = list();
    let threads = LAKE_THREADS.min(jobs.len());
    let read = both.read(
        &scope.rounds(|index| chosen[index]),
        &jobs,
        (0..threads).map(|_| list()).collect(),
        &mut |entry| topic.take(&entry),
    )?;
    let lake = read.collectors.into_iter().flat_map(|list| list.entries);
    settler.settle(topic.entries, lake.collect());
    Ok(())
}

/// Adds entries up by stretch.
struct Sums<'a> {
    scope: &'a Scope,
    digests: Vec<Digest>,
    last: usize,
    strays: Strays,
}

impl<'a> Sums<'a> {
    fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            digests: vec![Digest::default(); scope.stretches.len()],
            last: 0,
            strays: Strays::default(),
        }
    }

    fn merge(&mut self, other: Self) {
        for (sum, more) in self.digests.iter_mut().zip(&other.digests) {
            sum.merge(more);
        }
        self.strays.rows += other.strays.rows;
        self.strays.places.extend(other.strays.places);
        self.strays.places.sort_unstable();
        self.strays.places.truncate(KEPT_STRAYS);
    }
}

impl Collect for Sums<'_> {
    fn take(&mut self, entry: &Entry) {
        let (partition, offset) = (entry.partition, entry.offset);
        if let Some(index) = self.scope.find(partition, offset, &mut self.last) {
            self.digests[index].add(entry);
            return;
        }
        let is_committed = |range: &OffsetRange| range.start() <= offset && offset < range.next();
        if !self
            .scope
            .committed
            .get(&partition)
            .is_some_and(is_committed)
        {
            self.strays.rows += 1;
            if self.strays.places.len() < KEPT_STRAYS {
                self.strays.places.push((partition, offset));
            }
        }
    }
}

/// Keeps the entries of some stretches.
struct Listed<'a> {
    scope: &'a Scope,
    chosen: &'a [bool],
    last: usize,
    entries: Vec<Entry>,
}

impl Collect for Listed<'_> {
    fn take(&mut self, entry: &Entry) {
        let found = self
            .scope
            .find(entry.partition, entry.offset, &mut self.last);
        if found.is_some_and(|index| self.chosen[index]) {
            self.entries.push(*entry);
        }
    }
}

/// Says of each offset what differs.
struct Settler<'a> {
    scope: &'a Scope,
    ranges: &'a mut [Differences],
    /// Runs that may go on, by kind and partition.
    runs: BTreeMap<(FindingKind, i32), OffsetRange>,
    findings: &'a mut Findings,
}

impl Settler<'_> {
    /// Settles the offsets of a group; groups come in order.
    fn settle(&mut self, mut topic: Vec<Entry>, mut lake: Vec<Entry>) {
        let place = |entry: &Entry| (entry.partition, entry.offset);
        topic.sort_unstable_by_key(place);
        lake.sort_unstable_by_key(place);
        let (mut topic, mut lake) = (topic.as_slice(), lake.as_slice());
        let mut last = 0;
        while let Some(at) = topic
            .first()
            .into_iter()
            .chain(lake.first())
            .map(place)
            .min()
        {
            let of_topic = split_run(&mut topic, |entry| place(entry) == at);
            let of_lake = split_run(&mut lake, |entry| place(entry) == at);
            let Some(kind) = difference(of_topic.first(), of_lake) else {
                continue;
            };
            let (partition, offset) = at;
            if let Some(index) = self.scope.find(partition, offset, &mut last) {
                let of = self.scope.stretches[index].of;
                self.note(kind, partition, offset, of);
            }
        }
    }

    fn note(&mut self, kind: FindingKind, partition: i32, offset: i64, of: usize) {
        let range = &mut self.ranges[of];
        match kind {
            FindingKind::Missing => range.missing += 1,
            FindingKind::Doubled => range.doubled += 1,
            FindingKind::Misplaced => range.misplaced += 1,
            FindingKind::Unexpected => {
                // Whether it is a finding is known once the range's counts are.
                range.note_lake_only(offset);
                return;
            }
            _ => range.differing += 1,
        }
        let one = OffsetRange::new(offset, offset + 1);
        let run = self.runs.entry((kind, partition)).or_insert(one);
        if run.next() >= offset {
            *run = OffsetRange::new(run.start(), offset + 1);
        } else {
            let ended = std::mem::replace(run, one);
            self.findings.add(of_offsets(kind, partition, ended));
        }
    }

    fn finish(self) {
        for ((kind, partition), run) in self.runs {
            self.findings.add(of_offsets(kind, partition, run));
        }
    }
}

/// Takes the entries in front for which `is_in` holds.
fn split_run<'a>(entries: &mut &'a [Entry], is_in: impl Fn(&Entry) -> bool) -> &'a [Entry] {
    let length = entries.iter().take_while(|entry| is_in(entry)).count();
    let (run, rest) = entries.split_at(length);
    *entries = rest;
    run
}

/// What differs at one offset.
fn difference(topic: Option<&Entry>, lake: &[Entry]) -> Option<FindingKind> {
    let has_value = |entry: &&Entry| entry.kind != Kind::Tombstone;
    match (topic, lake) {
        (None, []) => None,
        (Some(message), []) => has_value(&message).then_some(FindingKind::Missing),
        (_, [_, _, ..]) => Some(FindingKind::Doubled),
        (None, [_]) => Some(FindingKind::Unexpected),
        (Some(message), [found]) => {
            if (message.kind, message.content) != (found.kind, found.content) {
                Some(FindingKind::Differing)
            } else {
                (message.folder != found.folder).then_some(FindingKind::Misplaced)
            }
        }
    }
}

/// A finding about offsets, in words that fit its kind.
pub(super) fn of_offsets(kind: FindingKind, partition: i32, offsets: OffsetRange) -> Finding {
    let detail = match kind {
        FindingKind::Missing => "in the topic, not in the lake",
        FindingKind::Doubled => "more than once in the lake",
        FindingKind::Misplaced => "in another folder than the row's values say",
        FindingKind::Unexpected => "in the lake, where the topic has no message",
        _ => "the lake has other content than the message",
    };
    Finding::new(kind, detail).at(partition, Some(offsets))
}
