//! Checkpoints, dropped records, and looking whether what was seen still counts.
//!
//! ```text
//! fold ─► checkpoint N ─► records up to N dropped ─► a put at a dropped number succeeds, for nothing
//! ```
//!
//! Owns: when records are dropped, and when readers look whether a checkpoint has passed them.
//! Does not own: what an append makes of a look (the real `Append` decides), folding itself.
//!
//! The newest checkpoint's number is the boundary. A record at or below it does not count: it is in
//! the checkpoint, or it was put by a writer that slept.

use lake_writer::commit::append::{Append, Ask};
use lake_writer::commit::state::State;

use super::machine::{self, Fold};
use super::names::Shared;
use super::scenario::Guard;
use super::store::PreparedId;
use super::world::{Halt, Step};
use super::writer::Phase;

impl Step<'_> {
    /// Folds to the log's end, and begins again where a checkpoint has passed the beginning.
    pub(crate) fn fold_to_end(&mut self) {
        let mut state = State::clone(&self.writer().fold);
        let began = state.head;
        let result = machine::fold_on(self.scenario, &self.world.table, &mut state);
        if self.passed_by_checkpoint(began, Guard::LookAfterRead) {
            self.writer().fold =
                Fold::new(machine::newest_checkpoint(self.scenario, &self.world.table));
            return;
        }
        match result {
            Ok(()) => self.folded(state),
            Err(_) => self.world.halted = Some(Halt::Broken),
        }
    }

    /// Whether a checkpoint stands that is newer than `head`, so that records behind `head` may
    /// have been dropped while they were read.
    pub(crate) fn passed_by_checkpoint(&self, head: Option<u64>, guard: Guard) -> bool {
        !self.scenario.lacks(guard) && self.world.table.boundary() > head
    }

    /// Whether a put that seems to have worked is still to be looked at.
    pub(crate) fn looks_after_put(&self) -> bool {
        self.scenario.truncates() && !self.scenario.lacks(Guard::LookAfterPut)
    }

    /// A put seemed to work: whether its number still counted is seen afterwards.
    pub(crate) fn look_at_boundary(&mut self) {
        let Phase::Appending(mut appending) = self.writer().phase.clone() else {
            return;
        };
        let boundary = self
            .world
            .table
            .boundary()
            .filter(|_| self.looks_after_put());
        let mut append = Append::clone(&appending.append);
        let mut state = State::clone(&self.writer().fold);
        let asked = machine::looked(self.scenario, &mut append, &mut state, boundary);
        appending.append = Shared::new(append);
        self.writer().fold = Fold::new(state);
        match asked {
            Ok(Ask::Done(number)) => self.appended(number, &appending),
            Ok(ask) => {
                appending.ask = ask;
                self.writer().phase = Phase::Appending(appending);
                self.read();
            }
            Err(error) => self.append_failed(&appending, Some(&error)),
        }
    }

    /// The log has moved on past what this session knew: what its own record came to is for a new
    /// session to find out.
    pub(crate) fn lost_touch(&mut self, prepared: PreparedId) {
        self.witness.lost_touch();
        self.world.table.drop_prepared(prepared);
        self.session_over();
    }

    /// Writes down the state up to this writer's head.
    pub(crate) fn checkpoint(&mut self) {
        let mut state = State::clone(&self.writer().fold);
        if self.scenario.lacks(Guard::CheckpointKeepsUnpublished) {
            state.unpublished.clear();
        }
        if let Some(head) = state.head {
            let checkpoints = &mut self.world.table.checkpoints;
            checkpoints.entry(head).or_insert_with(|| Fold::new(state));
        }
    }
}
