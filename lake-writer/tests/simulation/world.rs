//! The world of a run, and the scheduler that moves one thing in it at a time.
//!
//! ```text
//! chaos (misfortunes, turns, calls let go) ─► calm ─► one writer to the end ─► sweep ─► the oracle
//! ```
//!
//! Owns: the order of everything, drawn from the seed.
//! Does not own: what may go wrong with a call (`network`), what must hold (`oracle`).

use std::collections::BTreeMap;
use std::time::Duration;

use lake_writer::member::RunMode;
use lake_writer::store::memory::MemoryStore;
use tokio::runtime::{Handle, Runtime};

use super::command::{Command, Kind};
use super::dice::Dice;
use super::network::Network;
use super::oracle::{Oracle, Seen};
use super::process::{Ended, Process, run_ready, still_runtime};
use super::scenario::Scenario;
use super::time::Time;
use super::topic::Topic;
use super::trace::{Trace, no_more};
use super::verdict;

/// Steps without a commit after which a run that should go on has stalled.
const PATIENCE: u64 = 20_000;

/// What all processes of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) scenario: Scenario,
    pub(crate) memory: MemoryStore,
    pub(crate) topic: Topic,
    pub(crate) time: Time,
    pub(crate) oracle: Oracle,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    /// Where calls to the store run.
    pub(crate) requests: Handle,
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) shared: Shared,
    pub(crate) dice: Dice,
    pub(crate) processes: Vec<Process>,
    pub(crate) commands: Vec<Command>,
    /// Steps at which another process takes a dead one's place.
    pub(crate) starts: Vec<u64>,
    /// Steps at which the group notices that a member is gone or frozen.
    pub(crate) expiries: Vec<(u64, u32)>,
    pub(crate) last_id: u32,
    /// Nothing goes wrong any more, and calls are answered without being let go.
    pub(crate) is_calm: bool,
    pub(crate) events: BTreeMap<&'static str, u64>,
    requests: Runtime,
}

/// What a run was.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) steps: u64,
    pub(crate) hash: u64,
    pub(crate) calls: u64,
    pub(crate) seen: Seen,
    pub(crate) events: BTreeMap<&'static str, u64>,
    pub(crate) failure: Option<String>,
    pub(crate) trace: Vec<String>,
}

/// Runs a seed; keeps the text of its trace when it is to be `told`.
pub(crate) fn run(seed: u64, told: bool) -> Ran {
    let mut world = World::new(Scenario::of(seed), told);
    let failure = world.live().err();
    world
        .shared
        .trace
        .note(0, "ends", "", || format!("{failure:?}"));
    let mut events = std::mem::take(&mut world.events);
    events.extend(world.shared.network.faults());
    Ran {
        steps: world.shared.trace.steps(),
        hash: world.shared.trace.hash(),
        calls: world.shared.network.calls(),
        seen: world.shared.oracle.seen(),
        events,
        failure,
        trace: world.shared.trace.text(),
    }
}

/// Something that can move.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// An engine has its turn.
    Turn(usize),
    /// A process runs its tasks.
    Tasks(usize),
    /// A command goes on.
    Command(usize),
    /// A call goes on.
    Call,
}

impl World {
    fn new(scenario: Scenario, told: bool) -> Self {
        let seed = scenario.seed;
        let trace = Trace::new(told);
        trace.note(0, "scenario", "", || format!("{scenario:?}"));
        let memory = MemoryStore::new(scenario.staging);
        let topic = Topic::new(&scenario);
        let oracle = Oracle::new(&memory, &topic, &trace);
        let network = Network::new(Dice::new(seed, 3), scenario.rates, &oracle, &trace);
        let requests = still_runtime();
        Self {
            shared: Shared {
                scenario,
                memory,
                topic,
                time: Time::default(),
                oracle,
                network,
                trace,
                requests: requests.handle().clone(),
            },
            dice: Dice::new(seed, 1),
            processes: Vec::new(),
            commands: Vec::new(),
            starts: Vec::new(),
            expiries: Vec::new(),
            last_id: 0,
            is_calm: false,
            events: BTreeMap::new(),
            requests,
        }
    }

    fn live(&mut self) -> Result<(), String> {
        let scenario = &self.shared.scenario;
        let (writers, steps, messages) = (scenario.writers, scenario.steps, scenario.messages);
        self.shared.topic.brokers().send(messages);
        for _ in 0..writers {
            self.start_writer(RunMode::Forever);
        }
        self.rebalance(1_000);
        for _ in 0..steps {
            self.misfortune();
            self.step()?;
        }
        self.calm_down();
        self.end_writers()?;
        self.finish()?;
        self.shared.oracle.judge_end()
    }

    pub(crate) fn now_step(&self) -> u64 {
        self.shared.trace.steps()
    }

    pub(crate) fn note(&mut self, who: u32, kind: &'static str) {
        *self.events.entry(kind).or_default() += 1;
        self.shared.trace.note(who, kind, "", no_more);
    }

    pub(crate) fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn start_writer(&mut self, mode: RunMode) {
        let id = self.next_id();
        self.note(id, "starts");
        self.processes.push(Process::start(&self.shared, id, mode));
    }

    /// Moves one thing, drawn from all that can.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let step = self.shared.trace.step(self.shared.time.now());
        match self.draw(step) {
            Some(Move::Turn(at)) => self.turn(at)?,
            Some(Move::Tasks(at)) => self.processes[at].run_tasks(),
            Some(Move::Command(at)) => self.go_on(at)?,
            Some(Move::Call) => self.let_call_go(step),
            // Only frozen processes and late calls are left: time passes.
            None => {}
        }
        // Calls that were made reach their gates, and those that were let go their effects.
        run_ready(&self.requests);
        match self.shared.oracle.broken() {
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    }

    fn draw(&mut self, step: u64) -> Option<Move> {
        let calls = self.shared.network.open_gates(step);
        let now = self.shared.time.now();
        let mut moves: Vec<(Move, usize)> = Vec::with_capacity(8);
        for (at, process) in self.processes.iter().enumerate() {
            if process.frozen_until > step {
                continue;
            }
            // Most turns of an engine that waits for its tasks find nothing new.
            let waits = self.shared.network.is_busy(process.id) && process.due > now;
            moves.push((Move::Turn(at), if waits { 1 } else { 4 }));
            if process.woken || self.is_calm {
                moves.push((Move::Tasks(at), 6));
            }
        }
        for (at, command) in self.commands.iter().enumerate() {
            if command.woken || self.is_calm {
                moves.push((Move::Command(at), 4));
            }
        }
        if calls > 0 {
            moves.push((Move::Call, 2 * calls.min(6)));
        }
        let total: usize = moves.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut drawn = self.dice.below(total);
        let drawn = moves.iter().find(|(_, weight)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        drawn.map(|(drawn, _)| *drawn)
    }

    fn let_call_go(&mut self, step: u64) {
        let calls = self.shared.network.open_gates(step);
        let give_up = self.shared.scenario.rates.give_up;
        if self.dice.chance(give_up) && self.shared.network.has_gates() {
            let who = self.shared.network.lose_patience();
            self.wake(who);
            return;
        }
        let nth = self.dice.below(calls.max(1));
        let who = self.shared.network.release(nth, step);
        self.wake(who);
    }

    fn wake(&mut self, who: Option<u32>) {
        for process in &mut self.processes {
            process.woken |= Some(process.id) == who;
        }
        for command in &mut self.commands {
            command.woken |= Some(command.id) == who;
        }
    }

    /// An engine runs to its next wait. When nothing waits for it, time moves on to its end.
    fn turn(&mut self, at: usize) -> Result<(), String> {
        let id = self.processes[at].id;
        let busy = self.processes[at].woken
            || self.shared.network.is_busy(id)
            || self.shared.topic.brokers().group.has_news(id);
        let now = self.shared.time.now();
        let due = self.processes[at].due;
        if due > now {
            // Others may have more to do before this wait is over, or be very slow.
            let longer = if busy {
                self.dice.pick(&[0, 0, 0, 1])
            } else {
                self.dice.pick(&[1, 1, 1, 10, 100])
            };
            self.shared.time.reach(now + (due - now) * longer);
        }
        let now = self.shared.time.now();
        if let Some(ended) = self.processes[at].turn(now) {
            self.ended(at, &ended)?;
        }
        Ok(())
    }

    fn ended(&mut self, at: usize, ended: &Ended) -> Result<(), String> {
        let mut process = self.processes.swap_remove(at);
        let step = self.now_step();
        self.note(process.id, "is over");
        process.exit();
        self.shared.network.killed(process.id, step);
        self.shared.topic.brokers().group.remove(process.id);
        self.shared
            .trace
            .note(process.id, "said", "", || format!("{ended:?}"));
        let told_to_stop = *process.stop.borrow() == lake_writer::member::Stop::Drain;
        verdict::of_end(&self.shared, process.id, ended, told_to_stop)?;
        self.check_memory(&process)?;
        let rest = self.dice.between(1, 40);
        self.starts.push(step + rest);
        self.rebalance(0);
        Ok(())
    }

    pub(crate) fn check_memory(&mut self, process: &Process) -> Result<(), String> {
        run_ready(&self.requests);
        match process.budget.used() {
            0 => Ok(()),
            used => Err(format!(
                "process {} is over, and {used} bytes of its budget are used",
                process.id
            )),
        }
    }

    fn go_on(&mut self, at: usize) -> Result<(), String> {
        self.commands[at].run_tasks();
        if let Some(said) = self.commands[at].said() {
            let command = self.commands.swap_remove(at);
            self.shared.trace.note(command.id, "said", "", || {
                format!("{:?}: {said:?}", command.kind)
            });
            verdict::of_command(&said)?;
        }
        Ok(())
    }

    /// Lets the writers that are left end in one way or another.
    fn end_writers(&mut self) -> Result<(), String> {
        match self.dice.below(3) {
            0 => self.catch_up()?,
            1 => (0..100).try_for_each(|_| self.step())?,
            _ => {}
        }
        let ids: Vec<u32> = self.processes.iter().map(|process| process.id).collect();
        for id in ids {
            if self.dice.chance(500) {
                self.kill(id);
            } else {
                self.stop(id);
            }
        }
        self.until("the writers stop", |world| world.processes.is_empty())?;
        self.until("the commands end", |world| world.commands.is_empty())
    }

    /// Those that came through the chaos write everything that is there, without a restart.
    fn catch_up(&mut self) -> Result<(), String> {
        if self.processes.is_empty() && self.starts.is_empty() {
            self.start_writer(RunMode::Forever);
        }
        self.until("the writers have written everything", |world| {
            world.do_what_is_due();
            let next = world.shared.oracle.next_offsets();
            world.shared.topic.brokers().are_written(&next)
        })
    }

    /// One more writer gets everything, and writes it to the end.
    fn finish(&mut self) -> Result<(), String> {
        for gone in 1..=self.last_id {
            self.shared.topic.brokers().group.remove(gone);
        }
        // With something new in each partition it has to claim them all.
        self.shared.topic.brokers().send_to_each();
        self.start_writer(RunMode::UntilEnd);
        self.rebalance(0);
        self.until("the last writer ends", |world| world.processes.is_empty())?;
        self.until("late calls land", |world| !world.shared.network.has_gates())?;
        // What an earlier replacement left is debris once another claims in its place.
        for kind in [Kind::Replace, Kind::Sweep] {
            let id = self.next_id();
            self.commands.push(Command::start(&self.shared, id, kind));
            self.until("the last commands end", |world| world.commands.is_empty())?;
        }
        Ok(())
    }

    /// Steps until something is so; fails when nothing is committed for long meanwhile.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let (mut stood, mut end) = (0, self.now_step() + PATIENCE);
        while !so(self) {
            let stands = self.shared.oracle.committed();
            if stands != stood {
                (stood, end) = (stands, self.now_step() + PATIENCE);
            } else if self.now_step() > end {
                return Err(format!(
                    "it stalls: after {PATIENCE} steps without a commit it is not so that {what}"
                ));
            }
            self.step()?;
        }
        Ok(())
    }

    /// Lets a moment pass in the simulated time.
    pub(crate) fn pass(&self, time: Duration) {
        self.shared.time.reach(self.shared.time.now() + time);
    }
}
