//! One cut on its way into the table: staged, recorded, published. Runs beside the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::commit::record::{Commit, CommittedRange, DataFile, FileSource};
use crate::commit::{CommitError, Log};
use crate::source::SourcePartition;
use crate::stage::StagedFile;
use crate::telemetry::{CommitReport, Metrics, Phase};

use super::cut::{SealFuture, Sealed};

/// Under which claim a source partition is being read.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Which source partition.
    pub(super) source: SourcePartition,
    /// Number of the claim.
    pub(super) epoch: u64,
    /// Offsets at its start that retention had taken and that were accepted as lost; said in the
    /// first commit of the claim.
    pub(super) lost: i64,
}

/// A cut that was published.
#[derive(Debug)]
pub(super) struct Committed {
    /// What it held.
    pub(super) report: CommitReport,
    /// Next offset of each source partition, by its number.
    pub(super) next: Vec<(i32, i64)>,
    /// Records behind the newest checkpoint of the log.
    pub(super) since_checkpoint: u64,
}

/// Waits until the cut's files are durable, appends the commit and publishes the files.
///
/// # Errors
/// After any of them the caller drops its session and folds the log anew: the commit may stand.
pub(super) async fn commit(
    log: Arc<Mutex<Log>>,
    sealing: SealFuture,
    held: BTreeMap<i32, Held>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Result<Committed, CommitError> {
    let mut watch = Stopwatch {
        clock: clock.as_ref(),
        metrics: &metrics,
        at: clock.monotonic(),
    };
    let sealed = sealing.await?;
    watch.lap(Phase::Stage);
    let commit = to_commit(sealed, &held);
    let mut log = log.lock().await;
    let appended = log.commit(commit.clone()).await?;
    for _ in 0..appended.lost_races {
        metrics.lost_race();
    }
    let at_micros = clock.wall_micros();
    watch.lap(Phase::Record);
    log.publish(appended.number, &commit).await?;
    watch.lap(Phase::Publish);
    Ok(Committed {
        report: report(appended.number, at_micros, &commit),
        next: commit
            .ranges
            .iter()
            .map(|range| (range.source.partition, range.range.next()))
            .collect(),
        since_checkpoint: log.records_since_checkpoint(),
    })
}

/// Times the phases of a commit, one after the other.
struct Stopwatch<'a> {
    clock: &'a dyn Clock,
    metrics: &'a Metrics,
    at: Duration,
}

impl Stopwatch<'_> {
    fn lap(&mut self, phase: Phase) {
        let now = self.clock.monotonic();
        self.metrics.phase(phase, now.saturating_sub(self.at));
        self.at = now;
    }
}

fn to_commit(sealed: Sealed, held: &BTreeMap<i32, Held>) -> Commit {
    let range = |range: super::cut::SourceRange| {
        let held = &held[&range.partition];
        CommittedRange {
            source: held.source.clone(),
            range: range.range,
            epoch: held.epoch,
            rows: range.rows,
            dead_letters: range.dead_letters,
            tombstones: range.tombstones,
            lost: held.lost.unsigned_abs(),
        }
    };
    Commit {
        ranges: sealed.ranges.into_iter().map(range).collect(),
        files: sealed.files.into_iter().map(data_file).collect(),
        dead: sealed.dead.into_iter().map(data_file).collect(),
    }
}

/// A staged file as a record names it.
pub(crate) fn data_file(staged: StagedFile) -> DataFile {
    DataFile {
        path: staged.target,
        staged: staged.staged,
        bytes: staged.bytes,
        rows: staged.rows,
        xxh3: staged.xxh3,
        partition: staged.partition.into_iter().collect(),
        sources: staged
            .sources
            .into_iter()
            .map(|bounds| FileSource {
                partition: bounds.partition,
                min: bounds.min_offset,
                max: bounds.max_offset,
                rows: bounds.rows,
            })
            .collect(),
    }
}

fn report(record: u64, at_micros: i64, commit: &Commit) -> CommitReport {
    CommitReport {
        record,
        rows: commit.files.iter().map(|file| file.rows).sum(),
        dead_letters: commit.ranges.iter().map(|range| range.dead_letters).sum(),
        tombstones: commit.ranges.iter().map(|range| range.tombstones).sum(),
        files: commit.files.len() as u64,
        bytes: commit.files.iter().map(|file| file.bytes).sum(),
        at_micros,
    }
}
