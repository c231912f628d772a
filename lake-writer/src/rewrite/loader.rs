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
//! become before goes with the first record. Its number is minus that of a record of the log: of a
//! claim of the session that first wrote it, and of each claim one file alone takes its number, so
//! nothing else in the table can have it.

use std::collections::HashMap;

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
    /// Number of this session's last claim. No file has it yet.
    last_claim: u64,
}

/// A file that is this session's to write, and what the table had of it when it was claimed.
#[derive(Debug)]
pub struct ClaimedFile {
    name: FileName,
    source: SourcePartition,
    epoch: u64,
    /// The number that it has already.
    number: Option<i32>,
    /// Files of the table that a file of this name became.
    held: Vec<LedgerFile>,
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
            last_claim: 0,
        })
    }

    /// Claims files, all by one record, and looks what the table has of them. Of two sessions that
    /// write the same file, the later stops the earlier.
    ///
    /// # Errors
    /// [`RewriteError::SameBytes`] when the table has the bytes of one under another name, or when
    /// two are alike; when the log fails. Nothing of any file was written.
    pub fn claim(&mut self, files: Vec<FileName>) -> Result<Vec<ClaimedFile>, RewriteError> {
        let source = |file: &FileName| {
            SourcePartition::of_upkeep(&format!("backfill {}/{}", file.set, file.name))
        };
        let sources: Vec<_> = files.iter().map(source).collect();
        let topic = match &*files {
            [] => return Ok(Vec::new()),
            [file] => format!("{} of backfill {}", file.name, file.set),
            [first, rest @ ..] => {
                format!(
                    "{} of backfill {} and {} more",
                    first.name,
                    first.set,
                    rest.len()
                )
            }
        };
        let epoch = self.claim_sources(topic, &sources)?;
        let ledger = self.runtime.block_on(ledger(self.log.store().as_ref()))?;
        refuse_same_bytes(&ledger, &files)?;
        let claimed = |(name, source): (FileName, SourcePartition)| {
            let held = ledger.files.values().filter(|held| is_of(held, &name));
            let held: Vec<_> = held.cloned().collect();
            ClaimedFile {
                number: number_of(&ledger, &name, &held),
                name,
                source,
                epoch,
                held,
            }
        };
        Ok(files.into_iter().zip(sources).map(claimed).collect())
    }

    /// Writes a file, from where the table ends. With `again`, from its first row, in place of what
    /// is there. Tells `watch` how many rows it has come to.
    ///
    /// # Errors
    /// When the file, the store or the log fails; what was written before stands, and a later session
    /// goes on behind it.
    pub fn load(
        &mut self,
        file: ClaimedFile,
        rows: &mut dyn FileRows,
        again: bool,
        watch: &mut dyn FnMut(u64),
    ) -> Result<Loaded, RewriteError> {
        let number = match file.number {
            Some(number) => number,
            None => self.number(&file.name)?,
        };
        let ClaimedFile {
            name,
            source,
            epoch,
            held,
            ..
        } = file;
        let (same, stale): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|held| !again && held.topic_id.ends_with(&*name.fingerprint));
        let mut stale = stale.iter().map(taken).collect::<Vec<_>>();
        let ends = same.iter().flat_map(|held| &held.facts.sources);
        let start = ends.map(|source| source.max + 1).max().unwrap_or(0);
        let mut loaded = Loaded {
            number,
            before: start.unsigned_abs(),
            ..Loaded::default()
        };
        let mut portions = Portions::from(&mut self.filling, rows, &self.rotation, number, start)?;
        loop {
            let portion = portions.fill()?;
            let is_last = portion.is_none();
            let sealed = portion.map_or_else(Sealed::default, |Portion { sealed, .. }| sealed);
            let stale = std::mem::take(&mut stale);
            if is_last && stale.is_empty() {
                return Ok(loaded);
            }
            loaded.note(&sealed, &stale);
            let replace = Replace {
                source: source.clone(),
                epoch,
                reason: format!("backfill {} of {}", name.set, name.name),
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

    /// Gives a file its number.
    fn number(&mut self, file: &FileName) -> Result<i32, RewriteError> {
        let FileName {
            set,
            name,
            fingerprint,
        } = file;
        let number = i32::try_from(self.last_claim).map_err(|_| RewriteError::NoNumbers)?;
        let of_file = SourcePartition::of_file(set, name, fingerprint, -number);
        self.claim_sources(format!("{name} of backfill {set}"), &[of_file])?;
        Ok(-number)
    }

    /// Claims by one record, and returns its number.
    fn claim_sources(
        &mut self,
        topic: String,
        sources: &[SourcePartition],
    ) -> Result<u64, CommitError> {
        let claimed = |source: &SourcePartition| ClaimedSource {
            source: source.clone(),
            first: 0,
        };
        let claim = Claim {
            topic,
            sources: sources.iter().map(claimed).collect(),
            begins: Vec::new(),
        };
        let held = self.runtime.block_on(self.log.claim(claim))?;
        self.last_claim = held[0].1.epoch;
        Ok(self.last_claim)
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
fn number_of(ledger: &Ledger, file: &FileName, held: &[LedgerFile]) -> Option<i32> {
    let same = |held: &&LedgerFile| held.topic_id.ends_with(&*file.fingerprint);
    let used = held
        .iter()
        .find(same)
        .and_then(|held| held.facts.sources.first());
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

/// Whether a file of the table is of this name, with whatever bytes.
fn is_of(held: &LedgerFile, file: &FileName) -> bool {
    let origin = held.origin();
    origin.is_some_and(|(set, name)| (&set, &name) == (&file.set, &file.name))
}

/// The same bytes under two names would be the same rows twice.
fn refuse_same_bytes(ledger: &Ledger, files: &[FileName]) -> Result<(), RewriteError> {
    let mut names: HashMap<&str, (String, String)> = HashMap::new();
    for held in ledger.files.values() {
        let fingerprint = held.topic_id.rsplit(' ').next();
        if let (Some(origin), Some(fingerprint)) = (held.origin(), fingerprint) {
            names.insert(fingerprint, origin);
        }
    }
    for file in files {
        let own = (file.set.clone(), file.name.clone());
        match names.insert(&file.fingerprint, own.clone()) {
            Some((set, name)) if (&set, &name) != (&own.0, &own.1) => {
                return Err(RewriteError::SameBytes {
                    file: own.1,
                    set,
                    name,
                });
            }
            _ => {}
        }
    }
    Ok(())
}
