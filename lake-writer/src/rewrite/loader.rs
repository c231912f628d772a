//! Writing files into the table, each once, in place of what the same file had become before.
//!
//! ```text
//! FileRows ─► Portions ─► Log::replace, one record a portion
//! ```
//!
//! Owns: which number a file has in the table, what of it is there already, what gives way to it.
//! Does not own: reading files (`source::file`), filling and publishing (`filling`, `commit`).
//!
//! A file is known by the name of its set, its own name and the XXH3 of its bytes. Under the same
//! bytes it goes on behind the last row that is there; under others everything that the name had
//! become before goes with the first record. Its number is minus that of a record of the log, of a
//! claim that was made for it alone: nothing else in the table can have it.

use tokio::runtime::Handle;

use crate::batch::Rotation;
use crate::commit::record::{Claim, ClaimedSource, Replace, TakenFile};
use crate::commit::{CommitError, Log};
use crate::source::SourcePartition;
use crate::source::file::FileRows;
use crate::verify::ledger::{Ledger, LedgerFile, ledger};
use crate::writer::cut::Sealed;
use crate::writer::data_file;

use super::filling::Filling;
use super::portions::{Portion, Portions};
use super::{RewriteError, RewriterParts};

/// What a file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The set that it belongs to.
    pub set: String,
    /// Its own name, without folders.
    pub name: String,
    /// XXH3 of its bytes.
    pub fingerprint: String,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Rows that were written now.
    pub rows: u64,
    /// Rows that could not be, written as dead letters now.
    pub dead_letters: u64,
    /// Files that came.
    pub files: u64,
    /// Files that gave way.
    pub replaced: u64,
    /// Rows and dead letters that were there before.
    pub before: u64,
    /// `kafka_partition` of its rows.
    pub number: i32,
}

/// A session that writes files into the table.
#[derive(Debug)]
pub struct Loader {
    filling: Filling,
    runtime: Handle,
    log: Log,
    rotation: Rotation,
}

/// A file that was claimed, and what the table has of it.
struct Claimed {
    source: SourcePartition,
    epoch: u64,
    number: i32,
    /// The row to begin with.
    start: i64,
    /// What gives way to the first portion.
    stale: Vec<TakenFile>,
}

impl Loader {
    /// Opens the log. Not to be called on the runtime.
    ///
    /// # Errors
    /// As [`Log::open`]; when Parquet cannot hold a column.
    pub fn begin(parts: RewriterParts, rotation: Rotation) -> Result<Self, RewriteError> {
        let RewriterParts {
            cuts,
            definition,
            chance,
        } = parts;
        let runtime = cuts.runtime.clone();
        let opening = Log::open(cuts.store.clone(), cuts.clock.clone(), chance, definition);
        let log = runtime.block_on(opening)?;
        Ok(Self {
            filling: Filling::new(&cuts, log.session())?,
            runtime,
            log,
            rotation,
        })
    }

    /// Writes a file, from where the table ends. With `again`, from its first row, in place of what
    /// is there. Tells `watch` how many rows it has come to.
    ///
    /// # Errors
    /// When the file, the store or the log fails; what was written before stands, and the same call
    /// goes on behind it. [`RewriteError::SameBytes`] when the table has these bytes under another
    /// name.
    pub fn load(
        &mut self,
        file: &FileName,
        rows: &mut dyn FileRows,
        again: bool,
        watch: &mut dyn FnMut(u64),
    ) -> Result<Loaded, RewriteError> {
        let mut claimed = self.claim(file, again)?;
        let mut loaded = Loaded {
            number: claimed.number,
            before: claimed.start.unsigned_abs(),
            ..Loaded::default()
        };
        let mut portions = Portions::from(
            &mut self.filling,
            rows,
            &self.rotation,
            claimed.number,
            claimed.start,
        )?;
        loop {
            let portion = portions.fill()?;
            let is_last = portion.is_none();
            let sealed = portion.map_or_else(Sealed::default, |Portion { sealed, .. }| sealed);
            let stale = std::mem::take(&mut claimed.stale);
            if is_last && stale.is_empty() {
                return Ok(loaded);
            }
            loaded.note(&sealed, &stale);
            let replace = Replace {
                source: claimed.source.clone(),
                epoch: claimed.epoch,
                reason: format!("backfill {} of {}", file.set, file.name),
                taken: stale,
                files: sealed.files.into_iter().map(data_file).collect(),
                dead: sealed.dead.into_iter().map(data_file).collect(),
            };
            self.runtime.block_on(self.log.replace(replace))?;
            watch(loaded.rows + loaded.dead_letters + loaded.before);
            if is_last {
                return Ok(loaded);
            }
        }
    }

    fn claim(&mut self, file: &FileName, again: bool) -> Result<Claimed, RewriteError> {
        let FileName {
            set,
            name,
            fingerprint,
        } = file;
        // Of two that write the same file, the later stops the earlier.
        let source = SourcePartition::of_upkeep(&format!("backfill {set}/{name}"));
        let epoch = self.claim_source(&source, file)?;
        let ledger = self.runtime.block_on(ledger(self.log.store().as_ref()))?;
        refuse_same_bytes(&ledger, file)?;
        let of_name = |held: &&LedgerFile| {
            let origin = held.origin();
            origin.is_some_and(|(of_set, of_name)| (&of_set, &of_name) == (set, name))
        };
        let held = ledger.files.values().filter(of_name);
        let (same, stale): (Vec<_>, Vec<_>) =
            held.partition(|held| !again && held.topic_id.ends_with(&**fingerprint));
        let ends = same.iter().flat_map(|held| &held.facts.sources);
        let start = ends.map(|source| source.max + 1).max().unwrap_or(0);
        let number = match number_of(&ledger, file, &same) {
            Some(number) => number,
            None => self.number(file, epoch)?,
        };
        Ok(Claimed {
            source,
            epoch,
            number,
            start,
            stale: stale.into_iter().map(taken).collect(),
        })
    }

    /// Gives a file its number.
    fn number(&mut self, file: &FileName, epoch: u64) -> Result<i32, RewriteError> {
        let number = i32::try_from(epoch).map_err(|_| RewriteError::NoNumbers)?;
        let FileName {
            set,
            name,
            fingerprint,
        } = file;
        let of_file = SourcePartition::of_file(set, name, fingerprint, -number);
        self.claim_source(&of_file, file)?;
        Ok(-number)
    }

    fn claim_source(
        &mut self,
        source: &SourcePartition,
        file: &FileName,
    ) -> Result<u64, CommitError> {
        let claim = Claim {
            topic: format!("{} of backfill {}", file.name, file.set),
            sources: vec![ClaimedSource {
                source: source.clone(),
                first: 0,
            }],
            begins: Vec::new(),
        };
        let held = self.runtime.block_on(self.log.claim(claim))?;
        Ok(held[0].1.epoch)
    }
}

impl Loaded {
    fn note(&mut self, sealed: &Sealed, stale: &[TakenFile]) {
        let rows =
            |files: &[crate::stage::StagedFile]| files.iter().map(|file| file.rows).sum::<u64>();
        self.rows += rows(&sealed.files);
        self.dead_letters += rows(&sealed.dead);
        self.files += (sealed.files.len() + sealed.dead.len()) as u64;
        self.replaced += stale.len() as u64;
    }
}

/// The number that a file has already: that of its rows, or one that was given and not used.
fn number_of(ledger: &Ledger, file: &FileName, held: &[&LedgerFile]) -> Option<i32> {
    let used = held.first().and_then(|held| held.facts.sources.first());
    used.map(|source| source.partition).or_else(|| {
        let mut given = ledger.next.keys().filter(|source| {
            let of_file = source.as_file();
            of_file.is_some_and(|of| of == (&*file.set, &*file.name, &*file.fingerprint))
        });
        given.next().map(|source| source.partition)
    })
}

fn taken(file: &LedgerFile) -> TakenFile {
    TakenFile {
        path: file.path.clone(),
        bytes: file.facts.bytes,
        rows: file.facts.rows,
    }
}

/// The same bytes under two names would be the same rows twice.
fn refuse_same_bytes(ledger: &Ledger, file: &FileName) -> Result<(), RewriteError> {
    let suffix = format!(" {}", file.fingerprint);
    let mut others = ledger
        .files
        .values()
        .filter(|held| held.topic_id.ends_with(&suffix));
    let other = others.find_map(|held| {
        let (set, name) = held.origin()?;
        ((&set, &name) != (&file.set, &file.name)).then_some((set, name))
    });
    match other {
        None => Ok(()),
        Some((set, name)) => Err(RewriteError::SameBytes {
            file: file.name.clone(),
            set,
            name,
        }),
    }
}
