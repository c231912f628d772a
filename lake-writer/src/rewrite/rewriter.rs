//! Writing a unit again: from the topic to a replacement that stands.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock::Chance;
use crate::commit::record::{Claim, ClaimedSource, Definition, Replace};
use crate::commit::{CommitError, Log};
use crate::source::{OffsetRange, RangeReader, SourceError, SourceEvent, SourcePartition};
use crate::verify::ledger::LedgerRange;
use crate::writer::assemble::CutMaker;
use crate::writer::cut::Sealed;
use crate::writer::data_file;

use super::RewriteError;
use super::filling::Filling;
use super::unit::{Unit, first_message};

/// How long one look for messages waits.
const POLL_WAIT: Duration = Duration::from_millis(200);

/// What a rewriter works with.
#[derive(Debug)]
pub struct RewriterParts {
    /// Makes files as the writer does.
    pub cuts: CutMaker,
    /// What the table is.
    pub definition: Definition,
    /// Ids.
    pub chance: Chance,
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its files were replaced by so many, in one record.
    Replaced {
        /// Number of the record.
        record: u64,
        /// Files that came.
        files: u64,
        /// Rows in them, dead letters aside.
        rows: u64,
    },
    /// Nothing was changed, for this reason.
    Refused(String),
}

/// A session that replaces files, under a claim of its own.
#[derive(Debug)]
pub struct Rewriter {
    filling: Filling,
    runtime: Handle,
    log: Log,
    /// The claim.
    source: SourcePartition,
    epoch: u64,
    /// Head of the log when the work of this name was begun for the first time.
    begun_at: u64,
}

impl Rewriter {
    /// Claims `work`, such as `repair`, and finishes what an earlier claim of it has left. Not to be
    /// called on the runtime.
    ///
    /// # Errors
    /// As [`Log::open`] and [`Log::claim`]; when Parquet cannot hold a column.
    pub fn begin(parts: RewriterParts, work: &str) -> Result<Self, RewriteError> {
        let RewriterParts {
            cuts,
            definition,
            chance,
        } = parts;
        let runtime = cuts.runtime.clone();
        let source = SourcePartition::of_upkeep(work);
        let opening = Log::open(cuts.store.clone(), cuts.clock.clone(), chance, definition);
        let mut log = runtime.block_on(opening)?;
        let head = log.state().head.unwrap_or(0);
        let claim = Claim {
            topic: source.topic_id.clone(),
            sources: vec![ClaimedSource {
                source: source.clone(),
                first: i64::try_from(head).unwrap_or(i64::MAX),
            }],
            begins: Vec::new(),
        };
        let held = runtime.block_on(log.claim(claim))?.remove(0).1;
        Ok(Self {
            filling: Filling::new(&cuts, log.session())?,
            runtime,
            log,
            source,
            epoch: held.epoch,
            begun_at: held.next.unsigned_abs(),
        })
    }

    /// This session's name in the log, and in the names of its files.
    pub fn session(&self) -> &str {
        self.log.session()
    }

    /// Head of the log when the work of this name was begun for the first time: a unit that is newer
    /// was written by it.
    pub fn begun_at(&self) -> u64 {
        self.begun_at
    }

    /// Publishes what crashed writers have committed and not published.
    ///
    /// # Errors
    /// As [`Log::roll_forward`].
    pub fn roll_forward(&mut self) -> Result<usize, CommitError> {
        self.runtime.block_on(self.log.roll_forward())
    }

    /// Reads the messages of a unit and puts new files in the place of those that hold them.
    ///
    /// # Errors
    /// When the topic, the store or the log fails. Before the replacement's record stands nothing has
    /// changed; afterwards it is carried out, by this session or the next.
    pub fn rewrite(
        &mut self,
        unit: &Unit,
        reader: &mut dyn RangeReader,
        reason: &str,
    ) -> Result<Outcome, RewriteError> {
        let sealed = match self.read(unit, reader) {
            Ok(sealed) => sealed,
            Err(error) => {
                self.filling.cut.abandon();
                return Err(error);
            }
        };
        let partitions: Vec<i32> = unit.offsets().map(|(partition, _)| partition).collect();
        self.filling.cut.forget(&partitions);
        if let Some(why) = differs(unit, &sealed) {
            self.filling.remove(sealed);
            return Ok(Outcome::Refused(why));
        }
        let rows = sealed.files.iter().map(|file| file.rows).sum();
        let replace = Replace {
            source: self.source.clone(),
            epoch: self.epoch,
            reason: reason.to_owned(),
            taken: unit.files.clone(),
            files: sealed.files.into_iter().map(data_file).collect(),
            dead: sealed.dead.into_iter().map(data_file).collect(),
        };
        let files = (replace.files.len() + replace.dead.len()) as u64;
        let appended = self.runtime.block_on(self.log.replace(replace))?;
        Ok(Outcome::Replaced {
            record: appended.number,
            files,
            rows,
        })
    }

    /// Every message of the unit, in durable files.
    fn read(&mut self, unit: &Unit, reader: &mut dyn RangeReader) -> Result<Sealed, RewriteError> {
        let mut open = BTreeMap::new();
        for range in &unit.ranges {
            let (partition, first) = (range.source.partition, first_message(range));
            self.filling.cut.begin(partition, first);
            if first < range.range.next() {
                open.insert(partition, OffsetRange::new(first, range.range.next()));
            }
        }
        let ranges: Vec<_> = open
            .iter()
            .map(|(number, range)| (*number, *range))
            .collect();
        reader.open(&ranges)?;
        let mut sealed = Sealed::default();
        while !open.is_empty() {
            let cut = &mut self.filling.cut;
            let progress = reader.poll(POLL_WAIT, &mut |message| cut.accept(message))?;
            self.filling.make_room(&mut sealed)?;
            if let Some(SourceEvent::Away(reason)) = progress.events.into_iter().next() {
                let action = "reading the topic to write it again".into();
                return Err(SourceError::Transient { action, reason }.into());
            }
            let short = progress.short.iter().map(|(partition, _)| partition);
            for partition in progress.done.iter().chain(short) {
                open.remove(partition);
            }
        }
        self.filling.seal(&mut sealed)?;
        Ok(sealed)
    }
}

/// In what the messages that were read differ from those that the log has counted.
fn differs(unit: &Unit, sealed: &Sealed) -> Option<String> {
    unit.ranges.iter().find_map(|range| {
        let found = Counts::read(range.source.partition, sealed);
        let committed = Counts::committed(range);
        (found != committed).then(|| {
            format!(
                "partition {}: the topic has {found} between offsets {} and {} now, {committed} were \
                 committed",
                range.source.partition,
                range.range.start(),
                range.range.next()
            )
        })
    })
}

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    rows: u64,
    dead_letters: u64,
    tombstones: u64,
}

impl Counts {
    fn committed(range: &LedgerRange) -> Self {
        Self {
            rows: range.rows,
            dead_letters: range.dead_letters,
            tombstones: range.tombstones,
        }
    }

    /// Over all seals of a partition.
    fn read(partition: i32, sealed: &Sealed) -> Self {
        let mut counts = Self::default();
        for part in sealed
            .ranges
            .iter()
            .filter(|part| part.partition == partition)
        {
            counts.rows += part.rows;
            counts.dead_letters += part.dead_letters;
            counts.tombstones += part.tombstones;
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} rows, {} dead letters and {} tombstones",
            self.rows, self.dead_letters, self.tombstones
        )
    }
}
