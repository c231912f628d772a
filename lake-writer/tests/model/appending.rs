//! One record on its way into the log, as `Log` drives the real `Append`.
//!
//! ```text
//! prepare ─► read to the end ─► put ─► look whether a checkpoint has passed it ─► done
//! ```
//!
//! Owns: which answers of the store lead to which question, and what follows from a failure.
//! Does not own: whether the record may be put (the real `Append` and `State` decide).

use lake_writer::commit::CommitError;
use lake_writer::commit::append::{Append, Ask, PutSeen};
use lake_writer::commit::record::Body;
use lake_writer::commit::state::State;

use super::machine::{self, Fold, Look};
use super::names::{Entry, FileId, Shared, record};
use super::scenario::{Caller, Guard};
use super::store::{Debris, Flight, PreparedId, PutDone};
use super::world::{Halt, Step};
use super::writer::{After, Carry, Phase};

/// A record on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Appending {
    pub(crate) append: Shared<Append>,
    pub(crate) ask: Ask,
    look: Look,
    pub(crate) prepared: PreparedId,
    said: usize,
    pub(crate) purpose: Purpose,
}

/// What the record is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Table,
    Claim(Vec<u8>),
    Commit,
    /// A claim by who wants to replace this file.
    Repair(FileId),
    Replace,
}

/// What the caller of a put sees, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PutReply {
    /// The store's answer arrives.
    Told,
    /// It took effect, and the answer is lost.
    LostAfter,
    /// It never reached the store.
    LostBefore,
    /// It took effect, its answer was lost, and the client repeated it by itself.
    ToldTwice,
    /// It fails, and takes effect later or never.
    Late,
}

impl Step<'_> {
    pub(crate) fn append(&mut self, body: Body, purpose: Purpose) {
        let without = self.scenario.without;
        let writer = self.writer();
        let (session, nonce) = (writer.session, writer.nonces);
        writer.nonces += 1;
        let mut said = writer.published.clone();
        if let (Some(Guard::PublishBeforeSaying), Purpose::Commit) = (without, &purpose) {
            // The commit that is being made will stand at the next number, if nobody comes between.
            said.push(writer.fold.next_number());
        }
        let record = record(session, nonce, &said, body);
        let (append, ask) = Append::begin(record, &writer.fold);
        let prepared = PreparedId { session, nonce };
        let said = writer.published.len();
        writer.phase = Phase::Appending(Appending {
            append: Shared::new(append),
            ask,
            look: Look::Tail,
            prepared,
            said,
            purpose,
        });
        self.world.table.prepare(self.scenario, prepared);
        self.read();
    }

    /// Reads the log to its end and hears what the machine makes of it.
    pub(crate) fn read(&mut self) {
        let Phase::Appending(mut appending) = self.writer().phase.clone() else {
            return;
        };
        let mut append = Append::clone(&appending.append);
        let mut state = State::clone(&self.writer().fold);
        let result = loop {
            let asked = match appending.ask {
                Ask::Read(number) => {
                    let found = self.world.table.record(number);
                    if found.is_none() && appending.look == Look::AfterUnknown {
                        break Err(None);
                    }
                    let found = found.map(|entry| &entry.record);
                    let look = std::mem::replace(&mut appending.look, Look::Tail);
                    let asked = machine::read(self.scenario, &mut append, &mut state, found, look);
                    self.witness.looked(look, asked.as_ref().ok());
                    asked
                }
                Ask::Look => {
                    let boundary = self.world.table.boundary();
                    let boundary = boundary.filter(|_| !self.scenario.lacks(Guard::LookAfterRead));
                    machine::looked(self.scenario, &mut append, &mut state, boundary)
                }
                Ask::Refold => {
                    self.witness.refolded();
                    state = machine::newest_checkpoint(self.scenario, &self.world.table);
                    for number in &self.writer().published {
                        state.unpublished.remove(number);
                    }
                    Ok(append.refolded(&state))
                }
                Ask::Put(_) | Ask::Done(_) => break Ok(appending.ask),
            };
            match asked {
                Ok(ask) => appending.ask = ask,
                Err(error) => break Err(Some(error)),
            }
        };
        appending.append = Shared::new(append);
        self.writer().fold = Fold::new(state);
        match result {
            Ok(Ask::Done(number)) => self.appended(number, &appending),
            Ok(_) => self.writer().phase = Phase::Appending(appending),
            Err(error) => self.append_failed(&appending, error.as_ref()),
        }
    }

    /// Puts the record.
    pub(crate) fn put(&mut self, reply: PutReply) {
        let Phase::Appending(mut appending) = self.writer().phase.clone() else {
            return;
        };
        let Ask::Put(number) = appending.ask else {
            return;
        };
        let entry = Entry::new(appending.append.record().clone());
        let prepared = appending.prepared;
        let put = |step: &mut Self| {
            let table = &mut step.world.table;
            table.put(step.scenario, number, &entry, prepared)
        };
        let seen = match reply {
            PutReply::Told => put(self),
            PutReply::LostAfter => {
                put(self);
                PutDone::Seen(PutSeen::Unknown)
            }
            PutReply::LostBefore => PutDone::Seen(PutSeen::Unknown),
            PutReply::ToldTwice => {
                put(self);
                PutDone::Seen(PutSeen::Exists)
            }
            PutReply::Late => {
                self.world.flights.push(Flight::Put {
                    number,
                    entry: entry.clone(),
                    prepared,
                });
                PutDone::Seen(PutSeen::Unknown)
            }
        };
        let seen = match seen {
            PutDone::Seen(seen) => seen,
            PutDone::Gone if self.scenario.without == Some(Guard::PrepareAgain) => {
                self.world.halted = Some(Halt::Gone);
                return;
            }
            PutDone::Gone => {
                // Nothing was put, and nothing of it can be on its way: prepared anew, the same
                // record is offered again.
                self.witness.prepared_again();
                self.world.table.prepare(self.scenario, prepared);
                appending.ask = Ask::Read(number);
                self.writer().phase = Phase::Appending(appending);
                self.read();
                return;
            }
        };
        let mut append = Append::clone(&appending.append);
        let mut state = State::clone(&self.writer().fold);
        let asked = machine::put(self.scenario, &mut append, &mut state, seen);
        self.writer().fold = Fold::new(state);
        appending.append = Shared::new(append);
        match asked {
            Ok(Ask::Look) if !self.looks_after_put() => {
                appending.ask = Ask::Look;
                self.writer().phase = Phase::Appending(appending);
                self.look_at_boundary();
            }
            Ok(ask) => {
                appending.ask = ask;
                appending.look = match seen {
                    PutSeen::Unknown => Look::AfterUnknown,
                    PutSeen::Created | PutSeen::Exists => Look::AfterExists,
                };
                self.writer().phase = Phase::Appending(appending);
                if seen == PutSeen::Exists && !self.scenario.truncates() {
                    // What stands there will not change: nobody can come between.
                    self.read();
                }
            }
            Err(error) => self.append_failed(&appending, Some(&error)),
        }
    }

    pub(crate) fn appended(&mut self, number: u64, appending: &Appending) {
        self.world.table.drop_prepared(appending.prepared);
        self.writer().published.drain(..appending.said);
        match &appending.purpose {
            Purpose::Table => self.open(),
            Purpose::Claim(partitions) => self.claimed(partitions),
            Purpose::Commit => {
                let Some(cut) = self.writer().cut.clone() else {
                    return;
                };
                let coming = cut.files.into_iter().map(Carry::PutIn);
                let work = coming.map(|carry| (number, carry)).collect();
                self.carry_out_all(work, After::Commit);
            }
            Purpose::Repair(old) => self.repair_claimed(number, *old),
            Purpose::Replace => self.replacement_stands(number),
        }
    }

    /// The append ended with an error; `None` is one of the store.
    pub(crate) fn append_failed(&mut self, appending: &Appending, error: Option<&CommitError>) {
        self.world.table.drop_prepared(appending.prepared);
        let Some(error) = error else {
            if self.scenario.without == Some(Guard::KeepStagedOnUnknown) {
                let cut = self.writer().cut.clone();
                for file in cut.into_iter().flat_map(|cut| cut.files) {
                    self.world.table.delete(Debris::File(file));
                }
            }
            let goes_on = self.scenario.caller.retries
                && matches!(appending.purpose, Purpose::Claim(_) | Purpose::Commit);
            if goes_on {
                let writer = self.writer();
                writer.phase = Phase::Ready;
                if let (Some(cut), Purpose::Commit) = (&mut writer.cut, &appending.purpose) {
                    cut.failed = true;
                }
            } else {
                self.session_over();
            }
            return;
        };
        let fenced = match error {
            CommitError::Fenced(fenced) => fenced,
            CommitError::Outdated { .. } => return self.lost_touch(appending.prepared),
            CommitError::NotLive { .. } => {
                self.witness.refused();
                return self.session_over();
            }
            _ => {
                self.world.halted = Some(Halt::Broken);
                return;
            }
        };
        let own = self.writer().session.text();
        let by_itself = fenced.session == own && fenced.held == fenced.epoch;
        if by_itself && self.scenario.caller == Caller::default() {
            self.world.halted = Some(Halt::FencedByItself);
        }
        self.witness.fenced();
        self.session_over();
    }
}
