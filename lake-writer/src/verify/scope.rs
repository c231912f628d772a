//! Which committed offsets are looked at.
//!
//! ```text
//! Request + Ledger + watermarks ─► Scope { ranges, stretches }
//! ```
//!
//! Owns: the choice, and how ranges are cut into stretches.
//!
//! What is asked for is widened to whole committed ranges: the log's counts are theirs. A stretch
//! is a part of one committed range, at most [`STRETCH_OFFSETS`] long, and the smallest thing that
//! is compared by a sum.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use crate::source::{OffsetRange, SourcePartition, Watermarks};

use super::ledger::{Ledger, LedgerRange};

/// Offsets of a stretch at most: large enough that its sums cost nothing beside its rows, small
/// enough that one in which something differs is soon read again.
pub(super) const STRETCH_OFFSETS: i64 = 65_536;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Numbers of source partitions; empty: all of them.
    pub partitions: Vec<i32>,
    /// First offset wanted.
    pub from: Option<i64>,
    /// First offset after what is wanted.
    pub to: Option<i64>,
    /// Messages made at or after this time, milliseconds since the epoch.
    pub since_ms: Option<i64>,
    /// Messages made before this time, milliseconds since the epoch.
    pub until_ms: Option<i64>,
    /// Which part of the commits to look at, chosen by their numbers: between 0 and 1.
    pub sample: Option<f64>,
    /// How many findings are listed; all are counted.
    pub most_findings: usize,
}

impl Request {
    /// Whether no part of the table is asked for.
    pub(super) fn is_everything(&self) -> bool {
        let times = [self.since_ms, self.until_ms];
        self.partitions.is_empty()
            && [self.from, self.to]
                .into_iter()
                .chain(times)
                .all(|bound| bound.is_none())
            && self.sample.is_none()
    }
}

/// Offsets that are wanted of one source partition.
pub(crate) type Wanted = BTreeMap<i32, OffsetRange>;

/// A part of one committed range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) partition: i32,
    pub(super) range: OffsetRange,
    /// Index of its committed range in [`Scope::ranges`].
    pub(super) of: usize,
    /// Whether the topic still has all of it.
    pub(super) is_provable: bool,
}

/// The committed ranges that are looked at, in stretches.
#[derive(Debug)]
pub(super) struct Scope {
    /// The ranges of the topic's present incarnation that were chosen.
    pub(super) ranges: Vec<LedgerRange>,
    /// Sorted by source partition and offset; they do not overlap.
    pub(super) stretches: Vec<Stretch>,
    /// Everything that is committed of the present incarnation, chosen or not.
    pub(super) committed: BTreeMap<i32, OffsetRange>,
    /// Ranges of a topic that was deleted since, as far as they were chosen.
    pub(super) of_former_topics: Vec<LedgerRange>,
    /// Commits of which something was chosen.
    pub(super) commits: BTreeSet<u64>,
}

impl Scope {
    /// Chooses. `wanted` has the offsets of each source partition that is asked for; ranges of
    /// former topics are chosen by partition alone, since their offsets have no times any more.
    pub(super) fn choose(
        ledger: &Ledger,
        topic_id: &str,
        watermarks: &BTreeMap<i32, Watermarks>,
        wanted: &Wanted,
        sample: Option<f64>,
    ) -> Self {
        let sampled = sampled_commits(ledger, sample);
        let mut scope = Self {
            ranges: Vec::new(),
            stretches: Vec::new(),
            committed: BTreeMap::new(),
            of_former_topics: Vec::new(),
            commits: BTreeSet::new(),
        };
        for range in &ledger.ranges {
            let partition = range.source.partition;
            let is_present = range.source.topic_id == topic_id;
            if is_present {
                scope.widen_committed(range);
            }
            let is_wanted = wanted.get(&partition).is_some_and(|wanted| {
                !is_present
                    || (wanted.start() < range.range.next() && range.range.start() < wanted.next())
            });
            if !is_wanted || !sampled(range.commit) {
                continue;
            }
            scope.commits.insert(range.commit);
            if is_present {
                let there = watermarks.get(&partition).copied();
                scope.add(range.clone(), there);
            } else {
                scope.of_former_topics.push(range.clone());
            }
        }
        let place = |stretch: &Stretch| (stretch.partition, stretch.range.start());
        scope.stretches.sort_by_key(place);
        scope
    }

    fn widen_committed(&mut self, range: &LedgerRange) {
        let all = self
            .committed
            .entry(range.source.partition)
            .or_insert(range.range);
        *all = OffsetRange::new(
            all.start().min(range.range.start()),
            all.next().max(range.range.next()),
        );
    }

    /// Cuts a range into stretches, also where the topic begins and ends by now.
    fn add(&mut self, range: LedgerRange, there: Option<Watermarks>) {
        let (start, next) = (range.range.start(), range.range.next());
        let (low, high) = there.map_or((next, next), |marks| (marks.low, marks.high));
        let low = low.clamp(start, next);
        let high = high.clamp(low, next);
        for (from, to, is_provable) in [(start, low, false), (low, high, true), (high, next, false)]
        {
            let mut at = from;
            while at < to {
                let end = to.min(at + STRETCH_OFFSETS);
                self.stretches.push(Stretch {
                    partition: range.source.partition,
                    range: OffsetRange::new(at, end),
                    of: self.ranges.len(),
                    is_provable,
                });
                at = end;
            }
        }
        self.ranges.push(range);
    }

    /// Index of the stretch that an offset belongs to, found fast near `last`, the last answer.
    pub(super) fn find(&self, partition: i32, offset: i64, last: &mut usize) -> Option<usize> {
        let holds = |stretch: &Stretch| {
            stretch.partition == partition
                && stretch.range.start() <= offset
                && offset < stretch.range.next()
        };
        if self.stretches.get(*last).is_some_and(holds) {
            return Some(*last);
        }
        let place = |stretch: &Stretch| (stretch.partition, stretch.range.start());
        let after = self
            .stretches
            .partition_point(|stretch| place(stretch) <= (partition, offset));
        let found = after.checked_sub(1)?;
        *last = found;
        holds(&self.stretches[found]).then_some(found)
    }

    /// Of each range, whether the topic still has a part of it.
    pub(super) fn provable_ranges(&self) -> Vec<bool> {
        let mut provable = vec![false; self.ranges.len()];
        for stretch in self.stretches.iter().filter(|stretch| stretch.is_provable) {
            provable[stretch.of] = true;
        }
        provable
    }

    /// Whether offsets between `min` and `max`, both included, belong to a stretch that is asked
    /// for by its index.
    pub(super) fn touches(
        &self,
        partition: i32,
        min: i64,
        max: i64,
        asked_for: impl Fn(usize) -> bool,
    ) -> bool {
        let ends_before =
            |stretch: &Stretch| (stretch.partition, stretch.range.next()) <= (partition, min);
        let first = self.stretches.partition_point(ends_before);
        let begins =
            |stretch: &&Stretch| stretch.partition == partition && stretch.range.start() <= max;
        let touched = self.stretches[first..].iter().take_while(begins).count();
        (first..first + touched).any(asked_for)
    }

    /// The ranges to read from the topic, in rounds of at most one for each source partition:
    /// stretches that join are one range.
    pub(super) fn rounds(&self, chosen: impl Fn(usize) -> bool) -> Vec<Vec<(i32, OffsetRange)>> {
        let mut by_partition: BTreeMap<i32, Vec<OffsetRange>> = BTreeMap::new();
        for (index, stretch) in self.stretches.iter().enumerate() {
            if !stretch.is_provable || !chosen(index) {
                continue;
            }
            let runs = by_partition.entry(stretch.partition).or_default();
            match runs.last_mut() {
                Some(run) if run.next() == stretch.range.start() => {
                    *run = OffsetRange::new(run.start(), stretch.range.next());
                }
                _ => runs.push(stretch.range),
            }
        }
        let rounds = by_partition.values().map(Vec::len).max().unwrap_or(0);
        (0..rounds)
            .map(|round| {
                let of_round = |(partition, runs): (&i32, &Vec<OffsetRange>)| {
                    runs.get(round).map(|run| (*partition, *run))
                };
                by_partition.iter().filter_map(of_round).collect()
            })
            .collect()
    }
}

/// Which commits belong to a sample: the same ones each time, and one at least.
fn sampled_commits(ledger: &Ledger, sample: Option<f64>) -> impl Fn(u64) -> bool {
    let draw = |commit: u64| xxh3_64(&commit.to_le_bytes());
    let limit = sample.map(|ratio| {
        let lowest = ledger.ranges.iter().map(|range| draw(range.commit)).min();
        part_of_all(ratio).max(lowest.unwrap_or(0))
    });
    move |commit| limit.is_none_or(|limit| draw(commit) <= limit)
}

/// So much of all 64-bit numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a float becomes the nearest number there is, which is near enough for a sample"
)]
fn part_of_all(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64
}

/// The first and the last offset of a partition's committed ranges that a request means.
pub(super) fn wanted(
    request: &Request,
    partitions: impl Iterator<Item = i32>,
    since: &BTreeMap<i32, Option<i64>>,
    until: &BTreeMap<i32, Option<i64>>,
) -> Wanted {
    partitions
        .filter(|number| request.partitions.is_empty() || request.partitions.contains(number))
        .map(|number| {
            // No message is that late: everything lies before.
            let since = since.get(&number).map_or(0, |at| at.unwrap_or(i64::MAX));
            let until = until
                .get(&number)
                .map_or(i64::MAX, |at| at.unwrap_or(i64::MAX));
            let start = request.from.unwrap_or(0).max(since);
            let next = request.to.unwrap_or(i64::MAX).min(until);
            (number, OffsetRange::new(start, next.max(start)))
        })
        .collect()
}

/// A source partition of the topic's present incarnation.
pub(super) fn present(topic_id: &str, partition: i32) -> SourcePartition {
    SourcePartition {
        topic_id: topic_id.to_owned(),
        partition,
    }
}
