//! One writing process, step by step, as `Log` and the engine take the steps.
//!
//! ```text
//! start ─► fold ─► roll forward ─► claim ─► stage ─► offer ─► put ─► publish ─► …
//!            ▲                                                 │
//!            └──────────────── any failure ◄───────────────────┘
//! ```
//!
//! Owns: the order of steps, and where another process can come between two of them.
//! Does not own: what may be appended (the real `State` and `Append` decide), the store.
//!
//! What touches nothing but the process's own memory is done together with the step before it:
//! nobody can tell the difference.

use lake_writer::commit::record::{Body, FileChange};
use lake_writer::commit::state::State;
use lake_writer::store::Published;

use super::appending::{Appending, Purpose};
use super::machine::{self, Fold};
use super::names::{
    CutRange, FileId, Rows, Session, added_by, claim_of, commit_of, definition, source, taken_by,
};
use super::replacing::Repair;
use super::scenario::{Guard, Scenario};
use super::store::Flight;
use super::world::{Halt, Step};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    pub(crate) session: Session,
    pub(crate) phase: Phase,
    /// The log as far as this process has folded it.
    pub(crate) fold: Fold,
    /// Commits seen published, not yet said in a record.
    pub(crate) published: Vec<u64>,
    pub(crate) reading: Vec<Reading>,
    /// Staged, and not yet known to be recorded and published.
    pub(crate) cut: Option<Cut>,
    /// A file to be replaced, and its replacement, staged.
    pub(crate) repair: Option<Repair>,
    pub(crate) nonces: u8,
    pub(crate) cuts: u8,
}

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Not started, or failed.
    Down,
    /// The newest checkpoint is read, and nothing after it.
    Folding,
    /// Between two things to do.
    Ready,
    /// A record is on its way.
    Appending(Appending),
    /// Files go, or get their final names, one after the other.
    Publishing {
        work: Vec<(u64, Carry)>,
        then: After,
    },
}

/// One step of what a record says of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Carry {
    TakeOut(FileId),
    PutIn(FileId),
}

/// What follows when everything is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum After {
    /// The session is open.
    Open,
    /// These source partitions are read from the log's offsets on.
    Claim(Vec<u8>),
    /// The cut is in the table.
    Commit,
    /// What is in hand is dropped, and read again where it is not in the table.
    ReadAgain,
    /// The replacement of this file can be staged, under this claim.
    Repair { epoch: u64, old: FileId },
    /// What is to be replaced is published, and the replacement can be offered.
    OfferReplace,
    /// The replacement is carried out.
    Replaced,
}

/// A claimed source partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) partition: u8,
    epoch: u64,
    /// Next offset to read.
    pub(crate) position: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cut {
    ranges: Vec<CutRange>,
    pub(crate) files: Vec<FileId>,
    /// Whether it was offered to the log and the store failed.
    pub(crate) failed: bool,
}

impl Writer {
    pub(crate) fn down(scenario: &Scenario, process: u8) -> Self {
        Self {
            session: Session {
                process,
                incarnation: 0,
            },
            phase: Phase::Down,
            fold: Fold::new(machine::empty(scenario)),
            published: Vec::new(),
            reading: Vec::new(),
            cut: None,
            repair: None,
            nonces: 0,
            cuts: 0,
        }
    }

    /// Whether the process is between two things to do with nothing in hand.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.cut.is_none() && self.repair.is_none()
    }
}

impl Step<'_> {
    pub(crate) fn writer(&mut self) -> &mut Writer {
        &mut self.world.writers[self.at]
    }

    /// A new session: folds the log, begins it when it is empty, finishes what others have left.
    pub(crate) fn start(&mut self) {
        let Session {
            process,
            incarnation,
        } = self.writer().session;
        *self.writer() = Writer::down(self.scenario, process);
        self.writer().session.incarnation = incarnation + 1;
        self.writer().fold =
            Fold::new(machine::newest_checkpoint(self.scenario, &self.world.table));
        if self.scenario.truncates() {
            self.writer().phase = Phase::Folding;
        } else {
            // Records never change: read one by one or at once, they are the same.
            self.fold_to_end();
        }
    }

    /// The log is folded.
    pub(crate) fn folded(&mut self, state: State) {
        let begun = state.definition.is_some();
        self.writer().fold = Fold::new(state);
        if begun {
            self.open();
        } else {
            self.append(Body::Table(definition()), Purpose::Table);
        }
    }

    pub(crate) fn open(&mut self) {
        let without = self.scenario.without;
        let left = match without {
            Some(Guard::RollForwardAtStart) => Vec::new(),
            _ => self.unpublished(|_| true),
        };
        self.witness.rolled_forward(left.len());
        self.carry_out_all(left, After::Open);
    }

    /// What of commits and replacements no record says is carried out.
    pub(crate) fn unpublished(&mut self, which: impl Fn(&FileChange) -> bool) -> Vec<(u64, Carry)> {
        let changes = self.writer().fold.unpublished.clone();
        let changes = changes.iter().filter(|(_, change)| which(change));
        changes
            .flat_map(|(number, change)| self.work_of(*number, change))
            .collect()
    }

    /// What a change comes to, step by step.
    pub(crate) fn work_of(&self, number: u64, change: &FileChange) -> Vec<(u64, Carry)> {
        let going = taken_by(change).into_iter().map(Carry::TakeOut);
        let coming = added_by(change).into_iter().map(Carry::PutIn);
        let mut work: Vec<_> = going.chain(coming).map(|carry| (number, carry)).collect();
        if self.scenario.lacks(Guard::OldOutBeforeNewIn) {
            work.reverse();
        }
        work
    }

    /// Takes source partitions.
    pub(crate) fn claim(&mut self, partitions: &[u8]) {
        self.append(
            Body::Claim(claim_of(partitions)),
            Purpose::Claim(partitions.to_vec()),
        );
    }

    /// Reads so many messages of each source partition and stages them.
    pub(crate) fn stage(&mut self, lengths: &[u8]) {
        let lake = self.scenario.files;
        let mut rows = vec![Rows::default(); usize::from(lake)];
        let mut ranges = Vec::new();
        let writer = self.writer();
        for (reading, length) in writer.reading.iter_mut().zip(lengths) {
            let (start, next) = (reading.position, reading.position + length);
            for offset in start..next {
                let file = usize::from((reading.partition + offset) % lake);
                rows[file].insert(reading.partition, offset);
            }
            if start < next {
                ranges.push(CutRange {
                    partition: reading.partition,
                    start,
                    next,
                    epoch: reading.epoch,
                });
            }
            reading.position = next;
        }
        let (session, cut) = (writer.session, writer.cuts);
        writer.cuts += 1;
        let file = |(file, rows): (u8, Rows)| FileId {
            session,
            cut,
            file,
            dead: file > 0 && file + 1 == lake,
            rows,
        };
        let files = (0..lake).zip(rows).filter(|(_, rows)| !rows.is_empty());
        let files: Vec<FileId> = files.map(file).collect();
        writer.cut = Some(Cut {
            ranges,
            files: files.clone(),
            failed: false,
        });
        for file in files {
            self.world.table.stage(file);
        }
    }

    /// Offers the staged cut to the log.
    pub(crate) fn offer(&mut self) {
        let staging = self.scenario.staging;
        let Some(cut) = self.writer().cut.clone() else {
            return;
        };
        if self.scenario.without == Some(Guard::RecordBeforePublish) {
            for file in &cut.files {
                self.world.table.publish(*file);
            }
        }
        let commit = commit_of(&cut.ranges, &cut.files, staging);
        self.append(Body::Commit(commit), Purpose::Commit);
    }

    /// Folds the log, finishes what it shows, drops the staged cut and reads again from where the
    /// log stands, under the same claims.
    pub(crate) fn read_again(&mut self) {
        match machine::fold(self.scenario, &self.world.table) {
            Ok(state) => self.writer().fold = Fold::new(state),
            Err(_) => {
                self.world.halted = Some(Halt::Broken);
                return;
            }
        }
        let left = self.unpublished(|_| true);
        self.carry_out_all(left, After::ReadAgain);
    }

    /// Goes on under the claims of the process's earlier sessions.
    pub(crate) fn adopt(&mut self) {
        let writer = self.writer();
        for partition in 0..u8::MAX {
            let Some(held) = writer.fold.sources.get(&source(partition)) else {
                break;
            };
            let process = format!("{:08x}", writer.session.process);
            if held.session.starts_with(&process) {
                writer.reading.push(Reading {
                    partition,
                    epoch: held.epoch,
                    position: next_of(&writer.fold, partition),
                });
            }
        }
    }

    pub(crate) fn claimed(&mut self, partitions: &[u8]) {
        let taken: Vec<_> = partitions.iter().copied().map(source).collect();
        let left = match self.scenario.without {
            Some(Guard::RollForwardAfterClaim) => Vec::new(),
            _ => self.unpublished(|change| change.concerns(&taken)),
        };
        self.witness.rolled_forward(left.len());
        self.carry_out_all(left, After::Claim(partitions.to_vec()));
    }

    pub(crate) fn carry_out_all(&mut self, work: Vec<(u64, Carry)>, then: After) {
        if work.is_empty() {
            self.all_published(then);
        } else {
            self.writer().phase = Phase::Publishing { work, then };
        }
    }

    /// Removes the next file or gives it its final name, or fails and leaves that for later.
    pub(crate) fn publish(&mut self, late: bool) {
        let Phase::Publishing { mut work, then } = self.writer().phase.clone() else {
            return;
        };
        let (number, carry) = work.remove(0);
        match carry {
            Carry::TakeOut(file) => self.world.table.take_out(file),
            Carry::PutIn(file) if late => {
                self.world.flights.push(Flight::Publish(file));
                self.session_over();
                return;
            }
            Carry::PutIn(file) => {
                let missing = self.world.table.publish(file) == Published::Missing;
                if missing && self.is_lost(file) {
                    self.world.halted = Some(Halt::LostFile);
                    return;
                }
            }
        }
        let writer = self.writer();
        if work.first().is_none_or(|(next, _)| *next != number) {
            let mut state = State::clone(&writer.fold);
            state.unpublished.remove(&number);
            writer.fold = Fold::new(state);
            writer.published.push(number);
        }
        if work.is_empty() {
            self.all_published(then);
        } else {
            self.writer().phase = Phase::Publishing { work, then };
        }
    }

    fn all_published(&mut self, then: After) {
        let writer = self.writer();
        writer.phase = Phase::Ready;
        match then {
            After::Open => {}
            After::Commit => writer.cut = None,
            After::Repair { epoch, old } => self.stage_replacement(epoch, old),
            After::OfferReplace => self.offer_replacement(),
            After::Replaced => {
                writer.repair = None;
                self.witness.replaced();
            }
            After::ReadAgain => {
                writer.cut = None;
                for reading in &mut writer.reading {
                    reading.position = next_of(&writer.fold, reading.partition);
                }
            }
            After::Claim(partitions) => {
                for partition in partitions {
                    let held = &writer.fold.sources[&source(partition)];
                    let reading = Reading {
                        partition,
                        epoch: held.epoch,
                        position: next_of(&writer.fold, partition),
                    };
                    writer.reading.retain(|old| old.partition != partition);
                    writer.reading.push(reading);
                }
                writer.reading.sort_by_key(|reading| reading.partition);
            }
        }
    }

    /// Whatever fails, the session drops what it has in hand.
    pub(crate) fn session_over(&mut self) {
        let session = self.writer().session;
        *self.writer() = Writer::down(self.scenario, session.process);
        self.writer().session = session;
    }
}

fn next_of(state: &State, partition: u8) -> u8 {
    let next = state.sources[&source(partition)].next;
    u8::try_from(next).expect("the model's offsets are few")
}
