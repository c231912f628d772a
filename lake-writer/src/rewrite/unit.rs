//! Units: which files hold the messages of which commit by now.

use std::collections::BTreeMap;

use crate::commit::record::TakenFile;
use crate::source::{OffsetRange, Watermarks};
use crate::verify::ledger::{Ledger, LedgerFile, LedgerRange};

/// A commit, its ranges and the files that hold their messages, be they the commit's own or what
/// replaced them since.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Number of the commit's record.
    pub commit: u64,
    /// Files that go when it is written again.
    pub files: Vec<TakenFile>,
    pub(super) ranges: Vec<LedgerRange>,
    /// Number of the oldest record that has put one of the files there.
    oldest: Option<u64>,
}

impl Unit {
    /// Messages in it.
    pub fn messages(&self) -> u64 {
        let messages = |range: &LedgerRange| range.rows + range.dead_letters + range.tombstones;
        self.ranges.iter().map(messages).sum()
    }

    /// Number of a source partition, and offsets, of each range.
    pub fn offsets(&self) -> impl Iterator<Item = (i32, OffsetRange)> {
        let ranges = self.ranges.iter();
        ranges.map(|range| (range.source.partition, range.range))
    }

    /// Whether any of these offsets is in it.
    pub fn touches(&self, partition: i32, wanted: OffsetRange) -> bool {
        self.offsets().any(|(of, range)| {
            of == partition && wanted.start() < range.next() && range.start() < wanted.next()
        })
    }

    /// Whether every file was put there by a record after this one, and there are any.
    pub fn is_newer_than(&self, record: u64) -> bool {
        self.oldest.is_some_and(|oldest| oldest > record)
    }

    /// Why it cannot be written again, if so: the topic has lost a part of it.
    pub fn obstacle(&self, topic: &BTreeMap<i32, Watermarks>) -> Option<String> {
        self.ranges.iter().find_map(|range| {
            let partition = range.source.partition;
            let (begins, next) = (first_message(range), range.range.next());
            let Some(there) = topic.get(&partition) else {
                return Some(format!("the topic has no partition {partition} any more"));
            };
            if begins < next && there.low > begins {
                let low = there.low;
                return Some(format!(
                    "offsets {begins}..{} of partition {partition} are gone by retention",
                    low.min(next)
                ));
            }
            (there.high < next).then(|| {
                let high = there.high;
                format!("partition {partition} of the topic ends at offset {high}, before {next}")
            })
        })
    }
}

/// Where the messages of a range begin: what was accepted as lost was never read.
pub(super) fn first_message(range: &LedgerRange) -> i64 {
    let lost = i64::try_from(range.lost).unwrap_or(i64::MAX);
    (range.range.start().saturating_add(lost)).min(range.range.next())
}

/// Every commit that has read this incarnation of the topic, in the order of their numbers.
pub(crate) fn units(ledger: &Ledger, topic_id: &str) -> Vec<Unit> {
    let mut units: BTreeMap<u64, Unit> = BTreeMap::new();
    let mut starts: BTreeMap<(i32, i64), u64> = BTreeMap::new();
    let of_topic = |range: &&LedgerRange| range.source.topic_id == topic_id;
    for range in ledger.ranges.iter().filter(of_topic) {
        starts.insert((range.source.partition, range.range.start()), range.commit);
        let unit = units.entry(range.commit).or_insert_with(|| Unit {
            commit: range.commit,
            files: Vec::new(),
            ranges: Vec::new(),
            oldest: None,
        });
        unit.ranges.push(range.clone());
    }
    for file in ledger.files.values().filter(|f| *f.topic_id == *topic_id) {
        let Some(unit) = commit_of(file, &starts).and_then(|commit| units.get_mut(&commit)) else {
            continue;
        };
        unit.oldest = Some(unit.oldest.unwrap_or(u64::MAX).min(file.facts.number));
        unit.files.push(TakenFile {
            path: file.path.clone(),
            bytes: file.facts.bytes,
            rows: file.facts.rows,
        });
    }
    units.into_values().collect()
}

/// The commit whose range holds a file's first offset: whatever replaces files writes whole commits.
fn commit_of(file: &LedgerFile, starts: &BTreeMap<(i32, i64), u64>) -> Option<u64> {
    let first = file.facts.sources.first()?;
    let before = starts.range(..=(first.partition, first.min));
    let ((partition, _), commit) = before.last()?;
    (*partition == first.partition).then_some(*commit)
}
