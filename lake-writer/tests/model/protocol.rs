//! Everything that can happen next, for the checker to try.
//!
//! ```text
//! World ─► actions ─► Step ─► World
//! ```
//!
//! Owns: the bounds of a scenario: which steps are open in a state.
//! Does not own: the steps (`writer`, `world`), what must hold (`promise`).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use lake_writer::commit::append::Ask;
use stateright::{Model, Property};

use super::appending::PutReply;
use super::names::Entry;
use super::names::{FileId, Session, definition, record};
use super::promise;
use super::scenario::{Cuts, Guard, Scenario};
use super::world::{Step, Witness, World};
use super::writer::{Phase, Writer};

/// The model of one scenario.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) scenario: Scenario,
    pub(crate) witness: Arc<Witness>,
    /// Tables from which a fresh writer was seen to finish, by hash: it looks at nothing else.
    pub(crate) finished: Arc<Mutex<HashSet<u64>>>,
}

/// Something that can happen. The number is a writer's, a sweep's or a late call's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start(usize),
    Claim(usize, Vec<u8>),
    Adopt(usize),
    Stage(usize, Vec<u8>),
    Offer(usize),
    ReadAgain(usize),
    Read(usize),
    LookAtBoundary(usize),
    Fold(usize),
    Checkpoint(usize),
    /// Records up to this one are dropped, by anybody.
    Drop(u64),
    Put(usize, PutReply),
    Publish(usize),
    PublishLate(usize),
    Crash(usize),
    Land(usize),
    BeginSweep(usize),
    Sweep(usize),
    /// Claims, to replace a file.
    Repair(usize, FileId),
    Replace(usize),
}

impl Action {
    fn at(&self) -> usize {
        match self {
            Self::Start(at)
            | Self::Claim(at, _)
            | Self::Adopt(at)
            | Self::Stage(at, _)
            | Self::Offer(at)
            | Self::ReadAgain(at)
            | Self::Read(at)
            | Self::LookAtBoundary(at)
            | Self::Fold(at)
            | Self::Checkpoint(at)
            | Self::Put(at, _)
            | Self::Publish(at)
            | Self::PublishLate(at)
            | Self::Crash(at)
            | Self::Land(at)
            | Self::BeginSweep(at)
            | Self::Sweep(at)
            | Self::Repair(at, _)
            | Self::Replace(at) => *at,
            Self::Drop(_) => 0,
        }
    }
}

impl Protocol {
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            witness: Arc::default(),
            finished: Arc::default(),
        }
    }

    fn actions_of_writer(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let (writer, left) = (&world.writers[at], &world.left);
        match &writer.phase {
            Phase::Down => {
                // Processes are alike: let them start in order for the first time.
                let in_order = at == 0 || world.writers[at - 1].session.incarnation > 0;
                if left.starts > 0 && in_order {
                    actions.push(Action::Start(at));
                }
                return;
            }
            Phase::Ready => self.actions_when_ready(world, at, actions),
            Phase::Appending(appending) => match appending.ask {
                Ask::Put(_) => {
                    actions.push(Action::Put(at, PutReply::Told));
                    if left.lost > 0 {
                        actions.push(Action::Put(at, PutReply::LostAfter));
                        actions.push(Action::Put(at, PutReply::ToldTwice));
                        actions.push(Action::Put(at, PutReply::LostBefore));
                    }
                    if left.delayed > 0 {
                        actions.push(Action::Put(at, PutReply::Late));
                    }
                }
                Ask::Look => actions.push(Action::LookAtBoundary(at)),
                Ask::Read(_) | Ask::Refold | Ask::Done(_) => actions.push(Action::Read(at)),
            },
            Phase::Folding => actions.push(Action::Fold(at)),
            Phase::Publishing { .. } => {
                actions.push(Action::Publish(at));
                if left.delayed > 0 {
                    actions.push(Action::PublishLate(at));
                }
            }
        }
        if left.crashes > 0 {
            actions.push(Action::Crash(at));
        }
    }

    fn actions_when_ready(&self, world: &World, at: usize, actions: &mut Vec<Action>) {
        let (writer, left, caller) = (&world.writers[at], &world.left, self.scenario.caller);
        if writer.repair.is_some() {
            actions.push(Action::Replace(at));
            return;
        }
        if left.claims > 0 && (writer.cut.is_none() || caller.keeps_cut_over_claims) {
            for set in 1_u8..1 << self.scenario.partitions {
                let claimed = (0..self.scenario.partitions).filter(|p| set & (1 << p) != 0);
                actions.push(Action::Claim(at, claimed.collect()));
            }
        }
        if caller.adopts_claims && writer.reading.is_empty() && writer.session.incarnation > 1 {
            actions.push(Action::Adopt(at));
        }
        if left.replaces > 0 && writer.reading.is_empty() && writer.cut.is_none() {
            let live = world.table.live().into_iter();
            actions.extend(live.map(|file| Action::Repair(at, file)));
        }
        if let Some(cut) = &writer.cut {
            actions.push(Action::Offer(at));
            if cut.failed {
                actions.push(Action::ReadAgain(at));
            }
        } else {
            let cuts = self.cuts(writer);
            actions.extend(cuts.into_iter().map(|lengths| Action::Stage(at, lengths)));
        }
        if left.sweeps > 0 {
            actions.push(Action::BeginSweep(at));
        }
        if left.checkpoints > 0 && writer.fold.head != world.table.boundary() {
            actions.push(Action::Checkpoint(at));
        }
    }

    /// Up to where records can be dropped.
    fn droppable(&self, world: &World) -> Option<u64> {
        let number = if self.scenario.lacks(Guard::CheckpointBeforeDrop) {
            world.writers.iter().filter_map(|it| it.fold.head).max()
        } else {
            world.table.boundary()
        };
        number.filter(|number| *number >= world.table.kept_from)
    }

    /// Every cut that could be made, as lengths by source partition being read.
    pub(crate) fn cuts(&self, writer: &Writer) -> Vec<Vec<u8>> {
        let rows = self.scenario.rows;
        let left = writer.reading.iter().map(|reading| rows - reading.position);
        let mut cuts = match self.scenario.cuts {
            Cuts::Whole => vec![left.collect()],
            Cuts::Any => left.fold(vec![Vec::new()], |cuts: Vec<Vec<u8>>, most| {
                let longer = |cut: &Vec<u8>| {
                    let cut = cut.clone();
                    (0..=most).map(move |length| [cut.as_slice(), &[length]].concat())
                };
                cuts.iter().flat_map(longer).collect()
            }),
        };
        cuts.retain(|lengths| lengths.iter().any(|length| *length > 0));
        cuts
    }

    /// Takes a step in a world.
    pub(crate) fn take(&self, world: &mut World, action: &Action) {
        self.spend(world, action);
        let mut step = Step {
            scenario: &self.scenario,
            witness: &self.witness,
            world,
            at: action.at(),
        };
        match action {
            Action::Start(_) => step.start(),
            Action::Claim(_, partitions) => step.claim(partitions),
            Action::Adopt(_) => step.adopt(),
            Action::Stage(_, lengths) => step.stage(lengths),
            Action::Offer(_) => step.offer(),
            Action::ReadAgain(_) => step.read_again(),
            Action::Read(_) => step.read(),
            Action::LookAtBoundary(_) => step.look_at_boundary(),
            Action::Fold(_) => step.fold_to_end(),
            Action::Checkpoint(_) => step.checkpoint(),
            Action::Drop(number) => step.world.table.drop_records(*number),
            Action::Put(_, reply) => step.put(*reply),
            Action::Publish(_) => step.publish(false),
            Action::PublishLate(_) => step.publish(true),
            Action::Crash(_) => step.session_over(),
            Action::Land(_) => step.land(),
            Action::BeginSweep(_) => step.begin_sweep(),
            Action::Sweep(_) => step.sweep(),
            Action::Repair(_, file) => step.repair(*file),
            Action::Replace(_) => step.begin_replacement(),
        }
    }

    fn spend(&self, world: &mut World, action: &Action) {
        let left = &mut world.left;
        let spent = match action {
            Action::Start(_) => &mut left.starts,
            Action::Claim(..) => &mut left.claims,
            Action::Crash(_) => &mut left.crashes,
            Action::BeginSweep(_) => &mut left.sweeps,
            Action::Checkpoint(_) => &mut left.checkpoints,
            Action::Repair(..) => &mut left.replaces,
            Action::PublishLate(_) | Action::Put(_, PutReply::Late) => &mut left.delayed,
            Action::Put(_, PutReply::Told) => return,
            Action::Put(..) => &mut left.lost,
            _ => return,
        };
        // A fresh writer that finishes a world lives beyond its budget.
        *spent = spent.saturating_sub(1);
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(&self.scenario);
        if self.scenario.begun {
            let nobody = Session {
                process: u8::MAX,
                incarnation: 0,
            };
            let begin = lake_writer::commit::record::Body::Table(definition());
            let begin = Entry::new(record(nobody, 0, &[], begin));
            world.table.log.insert(0, begin);
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.halted.is_some() {
            return;
        }
        for at in 0..world.writers.len() {
            self.actions_of_writer(world, at, actions);
        }
        actions.extend((0..world.sweepers.len()).map(Action::Sweep));
        actions.extend((0..world.flights.len()).map(Action::Land));
        if let Some(number) = self.droppable(world) {
            actions.push(Action::Drop(number));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        self.take(&mut world, &action);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promise::properties()
    }
}
