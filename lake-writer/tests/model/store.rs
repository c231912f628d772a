//! The store as the model has it: what lies there, and calls that are still on their way.
//!
//! ```text
//! put, publish, delete ─► Table (now) or Flight (later) ─► log/, stage/, data/
//! ```
//!
//! Owns: put-if-absent, publishing without overwriting, listing; effects that come late.
//! Does not own: what the caller makes of an answer.

use std::collections::BTreeMap;

use lake_writer::commit::append::PutSeen;
use lake_writer::store::Published;
use lake_writer::store::memory::Staging;

use super::machine::Fold;
use super::names::{Entry, FileId, Session, Shared};
use super::scenario::{Guard, Scenario};

/// A prepared log record that lies below `stage/` until it gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PreparedId {
    pub(crate) session: Session,
    pub(crate) nonce: u8,
}

/// What a listing for a sweep shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Debris {
    File(FileId),
    Record(PreparedId),
}

/// Everything that is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    /// Every record that was ever put at the log's end: the history that counts.
    pub(crate) log: BTreeMap<u64, Shared<Entry>>,
    /// Number of the first record that was not dropped.
    pub(crate) kept_from: u64,
    /// Records that were put in the place of dropped ones. They do not count.
    pub(crate) ghosts: BTreeMap<u64, Shared<Entry>>,
    pub(crate) checkpoints: BTreeMap<u64, Fold>,
    /// Sorted.
    pub(crate) staged: Vec<FileId>,
    /// Sorted; empty where records are prepared in memory.
    pub(crate) prepared: Vec<PreparedId>,
    /// Below `data/` and `dead/`; sorted.
    pub(crate) visible: Vec<FileId>,
}

/// A call whose caller was told that it failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flight {
    Put {
        number: u64,
        entry: Shared<Entry>,
        prepared: PreparedId,
    },
    Publish(FileId),
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutDone {
    Seen(PutSeen),
    /// Neither the prepared bytes nor a record of that number is there.
    Gone,
}

impl Table {
    /// The record that is found under a number.
    pub(crate) fn record(&self, number: u64) -> Option<&Shared<Entry>> {
        if number < self.kept_from {
            self.ghosts.get(&number)
        } else {
            self.log.get(&number)
        }
    }

    /// Number of the newest checkpoint: records up to it do not count any more.
    pub(crate) fn boundary(&self) -> Option<u64> {
        self.checkpoints.keys().next_back().copied()
    }

    /// Drops the records up to `number`, ghosts among them, and older checkpoints.
    pub(crate) fn drop_records(&mut self, number: u64) {
        self.kept_from = self.kept_from.max(number + 1);
        self.ghosts.retain(|ghost, _| *ghost > number);
        self.checkpoints
            .retain(|checkpoint, _| *checkpoint >= number);
    }

    pub(crate) fn stage(&mut self, file: FileId) {
        insert(&mut self.staged, file);
    }

    pub(crate) fn prepare(&mut self, scenario: &Scenario, prepared: PreparedId) {
        if scenario.staging == Staging::File {
            insert(&mut self.prepared, prepared);
        }
    }

    pub(crate) fn drop_prepared(&mut self, prepared: PreparedId) {
        remove(&mut self.prepared, &prepared);
    }

    pub(crate) fn put(
        &mut self,
        scenario: &Scenario,
        number: u64,
        entry: &Shared<Entry>,
        prepared: PreparedId,
    ) -> PutDone {
        let blind = scenario.without == Some(Guard::PutIfAbsent);
        if self.record(number).is_some() && !blind {
            return PutDone::Seen(PutSeen::Exists);
        }
        if scenario.staging == Staging::File && !remove(&mut self.prepared, &prepared) {
            return PutDone::Gone;
        }
        if number < self.kept_from {
            self.ghosts.insert(number, entry.clone());
        } else {
            self.log.insert(number, entry.clone());
        }
        PutDone::Seen(PutSeen::Created)
    }

    pub(crate) fn publish(&mut self, file: FileId) -> Published {
        if self.visible.contains(&file) {
            return Published::Before;
        }
        if !remove(&mut self.staged, &file) {
            return Published::Missing;
        }
        insert(&mut self.visible, file);
        Published::Now
    }

    /// Removes a visible file; one that is not there is fine.
    pub(crate) fn take_out(&mut self, file: FileId) {
        remove(&mut self.visible, &file);
    }

    /// Files that the log names and that no later record has taken out.
    pub(crate) fn live(&self) -> Vec<FileId> {
        let mut live: Vec<FileId> = Vec::new();
        for entry in self.log.values() {
            live.retain(|file| !entry.taken.contains(file));
            live.extend(&entry.files);
        }
        live
    }

    pub(crate) fn list(&self) -> Vec<Debris> {
        let records = self.prepared.iter().copied().map(Debris::Record);
        let files = self.staged.iter().copied().map(Debris::File);
        records.chain(files).collect()
    }

    pub(crate) fn delete(&mut self, debris: Debris) {
        match debris {
            Debris::File(file) => remove(&mut self.staged, &file),
            Debris::Record(prepared) => remove(&mut self.prepared, &prepared),
        };
    }

    /// A late call takes effect, if it still can.
    pub(crate) fn land(&mut self, scenario: &Scenario, flight: Flight) {
        match flight {
            Flight::Put {
                number,
                entry,
                prepared,
            } => {
                self.put(scenario, number, &entry, prepared);
            }
            Flight::Publish(file) => {
                self.publish(file);
            }
        }
    }
}

fn insert<T: Ord>(sorted: &mut Vec<T>, value: T) {
    if let Err(at) = sorted.binary_search(&value) {
        sorted.insert(at, value);
    }
}

fn remove<T: Ord>(sorted: &mut Vec<T>, value: &T) -> bool {
    let found = sorted.binary_search(value);
    if let Ok(at) = found {
        sorted.remove(at);
    }
    found.is_ok()
}
