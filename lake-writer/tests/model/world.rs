//! The whole world of the model, and one step in it.
//!
//! Owns: what a state of the model is made of, sweeps, and what was seen to happen.
//! Does not own: which steps can be taken next (`protocol`).

use std::sync::atomic::{AtomicUsize, Ordering};

use lake_writer::commit::CommitError;
use lake_writer::commit::append::Ask;
use lake_writer::commit::state::State;

use super::machine::{self, Fold, Look};
use super::names::Session;
use super::scenario::{Budget, Guard, Scenario};
use super::store::{Debris, Flight, Table};
use super::writer::Writer;

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) flights: Vec<Flight>,
    pub(crate) writers: Vec<Writer>,
    pub(crate) sweepers: Vec<Sweeper>,
    /// What of the budget is left.
    pub(crate) left: Budget,
    pub(crate) halted: Option<Halt>,
}

/// Why a writer stopped for a person to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Halt {
    /// The log does not add up.
    Broken,
    /// A committed file is neither staged nor published.
    LostFile,
    /// A prepared record was swept.
    Gone,
    /// A session was refused for what it had recorded itself.
    FencedByItself,
}

/// A sweep that is under way. It outlives the session that began it, as a task does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sweeper {
    own: Session,
    /// What its log had folded when it began, where records can be dropped since.
    base: Option<Fold>,
    phase: Sweeping,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sweeping {
    /// What was staged is listed.
    Listed(Vec<Debris>),
    /// The log is folded before anything was listed: only where that guard is missing.
    Folded(Fold),
    /// What is to be removed.
    Judged(Vec<Debris>),
}

/// How often things happened over a whole run: a model in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    fenced: AtomicUsize,
    recognised: AtomicUsize,
    races: AtomicUsize,
    rolled_forward: AtomicUsize,
    swept: AtomicUsize,
    landed: AtomicUsize,
    prepared_again: AtomicUsize,
    lost_touch: AtomicUsize,
    refolded: AtomicUsize,
    replaced: AtomicUsize,
    refused: AtomicUsize,
    found_replaced: AtomicUsize,
}

/// One step of one process.
pub(crate) struct Step<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) witness: &'a Witness,
    pub(crate) world: &'a mut World,
    /// Which writer or sweeper takes it.
    pub(crate) at: usize,
}

impl World {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            table: Table::default(),
            flights: Vec::new(),
            writers: (0..scenario.writers)
                .map(|process| Writer::down(scenario, process))
                .collect(),
            sweepers: Vec::new(),
            left: scenario.budget,
            halted: None,
        }
    }
}

impl Step<'_> {
    /// A session lists what is staged, to sweep.
    pub(crate) fn begin_sweep(&mut self) {
        let own = self.world.writers[self.at].session;
        let phase = if self.scenario.without == Some(Guard::ListBeforeFold) {
            match machine::fold(self.scenario, &self.world.table) {
                Ok(state) => Sweeping::Folded(Fold::new(state)),
                Err(_) => return,
            }
        } else {
            Sweeping::Listed(self.world.table.list())
        };
        let fold = self.world.writers[self.at].fold.clone();
        let base = self.scenario.truncates().then_some(fold);
        self.world.sweepers.push(Sweeper { own, base, phase });
    }

    /// A sweep goes on: it judges, or removes the next file.
    pub(crate) fn sweep(&mut self) {
        let Sweeper { own, base, phase } = self.world.sweepers[self.at].clone();
        let folded = self.fold_for_sweep(base.as_ref());
        let table = &mut self.world.table;
        let left = match phase {
            Sweeping::Folded(state) => machine::debris(self.scenario, &state, own, &table.list()),
            Sweeping::Listed(listed) => match folded {
                Ok(state) => machine::debris(self.scenario, &state, own, &listed),
                Err(_) => Vec::new(),
            },
            Sweeping::Judged(mut debris) => {
                table.delete(debris.remove(0));
                self.witness.swept();
                debris
            }
        };
        if left.is_empty() {
            self.world.sweepers.remove(self.at);
        } else {
            self.world.sweepers[self.at].phase = Sweeping::Judged(left);
        }
    }

    /// What a sweep knows of the log when it judges.
    fn fold_for_sweep(&self, base: Option<&Fold>) -> Result<State, CommitError> {
        let table = &self.world.table;
        let Some(base) = base else {
            return machine::fold(self.scenario, table);
        };
        if self.passed_by_checkpoint(base.head, Guard::LookBeforeJudging) {
            return machine::fold(self.scenario, table);
        }
        let mut state = State::clone(base);
        machine::fold_on(self.scenario, table, &mut state)?;
        Ok(state)
    }

    /// A call that failed long ago takes effect.
    pub(crate) fn land(&mut self) {
        let flight = self.world.flights.remove(self.at);
        let before = self.world.table.log.len() + self.world.table.visible.len();
        self.world.table.land(self.scenario, flight);
        let after = self.world.table.log.len() + self.world.table.visible.len();
        self.witness
            .landed
            .fetch_add(after - before, Ordering::Relaxed);
    }
}

impl Witness {
    pub(crate) fn fenced(&self) {
        self.fenced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn looked(&self, look: Look, ask: Option<&Ask>) {
        let counted = match (look, ask) {
            (Look::AfterUnknown | Look::AfterExists, Some(Ask::Look)) => &self.recognised,
            (Look::AfterUnknown | Look::AfterExists, Some(_)) => &self.races,
            _ => return,
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rolled_forward(&self, files: usize) {
        self.rolled_forward.fetch_add(files, Ordering::Relaxed);
    }

    pub(crate) fn prepared_again(&self) {
        self.prepared_again.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost_touch(&self) {
        self.lost_touch.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refolded(&self) {
        self.refolded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn found_replaced(&self) {
        self.found_replaced.fetch_add(1, Ordering::Relaxed);
    }

    fn swept(&self) {
        self.swept.fetch_add(1, Ordering::Relaxed);
    }

    /// What happened, by name.
    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let counts = [
            ("fenced", &self.fenced),
            ("recognised", &self.recognised),
            ("races", &self.races),
            ("rolled forward", &self.rolled_forward),
            ("swept", &self.swept),
            ("landed late", &self.landed),
            ("prepared again", &self.prepared_again),
            ("lost touch", &self.lost_touch),
            ("refolded", &self.refolded),
            ("replaced", &self.replaced),
            ("replacement refused", &self.refused),
            ("found replaced", &self.found_replaced),
        ];
        let read =
            |(name, count): (&'static str, &AtomicUsize)| (name, count.load(Ordering::Relaxed));
        counts.into_iter().map(read).collect()
    }
}
