//! What befalls processes, brokers and clocks.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lake_writer::member::{RunMode, Stop};
use lake_writer::source::SourceEvent;

use super::command::{Command, Kind};
use super::world::World;

/// Processes that live at most, frozen ones included.
const MOST_PROCESSES: usize = 6;

/// Messages after which no more are sent by themselves.
const MOST_MESSAGES: usize = 400;

impl World {
    /// What is due at this step, and perhaps one thing more.
    pub(crate) fn misfortune(&mut self) {
        self.do_what_is_due();
        let rates = self.shared.scenario.rates;
        if self.dice.chance(rates.crash) {
            self.crash_one();
        }
        if self.dice.chance(rates.freeze) {
            self.freeze_one();
        }
        if self.dice.chance(rates.stop)
            && let Some(id) = self.pick_process()
        {
            self.stop(id);
        }
        if self.dice.chance(rates.rebalance) {
            self.note(0, "rebalances");
            self.rebalance(500);
        }
        if self.dice.chance(rates.seize) {
            self.seize();
        }
        if self.dice.chance(rates.command) {
            let kind = self.dice.pick(&[Kind::Sweep, Kind::Status, Kind::Replace]);
            let id = self.next_id();
            self.note(id, "is a command");
            self.commands.push(Command::start(&self.shared, id, kind));
        }
        if self.dice.chance(rates.send) && self.shared.topic.brokers().sent() < MOST_MESSAGES {
            let most = self.shared.scenario.messages;
            let messages = 1 + self.dice.below(most);
            self.shared.topic.brokers().send(messages);
        }
        self.trouble_around();
    }

    /// Brokers, store, retention, clocks.
    fn trouble_around(&mut self) {
        let rates = self.shared.scenario.rates;
        let away = self.shared.topic.brokers().away;
        if self.dice.chance(if away { 50 } else { rates.brokers_away }) {
            self.set_brokers_away(!away);
        }
        let outage = self.shared.network.has_outage();
        if self
            .dice
            .chance(if outage { 50 } else { rates.store_outage })
        {
            self.note(
                0,
                if outage {
                    "store is back"
                } else {
                    "store goes away"
                },
            );
            self.shared.network.set_outage(!outage);
        }
        if self.dice.chance(rates.retention) {
            self.retain();
        }
        if self.dice.chance(rates.grow) && self.shared.topic.brokers().partitions.len() < 6 {
            self.note(0, "topic grows");
            self.shared
                .topic
                .brokers()
                .partitions
                .push(Default::default());
            self.rebalance(0);
        }
        if self.dice.chance(rates.jump) && !self.processes.is_empty() {
            let at = self.dice.below(self.processes.len());
            let days = self.dice.pick(&[-400_i64, -1, 1, 400]);
            let micros = days * 86_400_000_000;
            self.processes[at]
                .off_micros
                .store(micros, Ordering::Relaxed);
            self.note(0, "clock jumps");
        }
    }

    fn set_brokers_away(&mut self, away: bool) {
        self.note(
            0,
            if away {
                "brokers go away"
            } else {
                "brokers are back"
            },
        );
        let event = if away {
            SourceEvent::Away("simulated".into())
        } else {
            SourceEvent::Back
        };
        let mut brokers = self.shared.topic.brokers();
        brokers.away = away;
        brokers.group.tell_all(&event);
    }

    /// Retention takes messages, mostly such as were written.
    fn retain(&mut self) {
        let next = self.shared.oracle.next_offsets();
        let beyond = self.dice.chance(300);
        let mut brokers = self.shared.topic.brokers();
        let at = self.dice.below(brokers.partitions.len());
        let partition = &mut brokers.partitions[at];
        let stands = i32::try_from(at)
            .ok()
            .and_then(|at| next.get(&at).copied())
            .unwrap_or(0);
        let most = if beyond { partition.high() } else { stands };
        partition.low = partition
            .low
            .max(self.dice.between(0, most.unsigned_abs()) as i64);
        drop(brokers);
        self.note(0, "retention");
    }

    fn pick_process(&mut self) -> Option<u32> {
        if self.processes.is_empty() {
            return None;
        }
        let at = self.dice.below(self.processes.len());
        Some(self.processes[at].id)
    }

    fn crash_one(&mut self) {
        if !self.commands.is_empty() && self.dice.chance(200) {
            let at = self.dice.below(self.commands.len());
            let command = self.commands.swap_remove(at);
            self.note(command.id, "crashes");
            let step = self.now_step();
            self.shared.network.killed(command.id, step);
        } else if let Some(id) = self.pick_process() {
            self.kill(id);
            let (rest, notice) = (self.dice.between(1, 60), self.dice.between(0, 60));
            let step = self.now_step();
            self.starts.push(step + rest);
            self.expiries.push((step + notice, id));
        }
    }

    /// Kills a process. The group notices later.
    pub(crate) fn kill(&mut self, id: u32) {
        let Some(at) = self.processes.iter().position(|process| process.id == id) else {
            return;
        };
        self.note(id, "crashes");
        let mut process = self.processes.swap_remove(at);
        process.kill();
        let step = self.now_step();
        self.shared.network.killed(id, step);
        if let Err(broken) = self.check_memory(&process) {
            self.shared.oracle.report(broken);
        }
    }

    /// Tells a process to commit what is in hand and to stop.
    pub(crate) fn stop(&mut self, id: u32) {
        if let Some(process) = self.processes.iter().find(|process| process.id == id) {
            process.stop.send_replace(Stop::Drain);
            self.note(id, "is told to stop");
        }
    }

    fn freeze_one(&mut self) {
        let Some(id) = self.pick_process() else {
            return;
        };
        let step = self.now_step();
        let (long, notice) = (self.dice.between(10, 200), self.dice.between(0, 40));
        let process = self.processes.iter_mut().find(|process| process.id == id);
        process.expect("it was picked").frozen_until = step + long;
        self.note(id, "freezes");
        if self.dice.chance(800) {
            self.expiries.push((step + notice, id));
        }
        if self.processes.len() < MOST_PROCESSES && self.dice.chance(300) {
            self.starts.push(step + notice);
        }
    }

    /// Processes start again, and the group notices who is gone.
    pub(crate) fn do_what_is_due(&mut self) {
        let step = self.now_step();
        let due = |at: &u64| *at <= step;
        let starting = self.starts.iter().filter(|at| due(at)).count();
        self.starts.retain(|at| !due(at));
        for _ in 0..starting {
            self.start_writer(RunMode::Forever);
        }
        let expired: Vec<u32> = self
            .expiries
            .iter()
            .filter(|(at, _)| due(at))
            .map(|(_, id)| *id)
            .collect();
        self.expiries.retain(|(at, _)| !due(at));
        for id in &expired {
            self.note(*id, "is put out");
            self.shared.topic.brokers().group.put_out(*id);
            // A session timeout is long.
            self.pass(Duration::from_secs(10));
        }
        let numbers = self.shared.topic.brokers().numbers();
        let active: BTreeSet<u32> = self.active().into_iter().collect();
        let lacking = self
            .shared
            .topic
            .brokers()
            .group
            .orphaned(&numbers, &active);
        if starting > 0 || !expired.is_empty() || (lacking && self.dice.chance(100)) {
            self.rebalance(if starting > 0 { 300 } else { 0 });
        }
    }

    /// Members that the group counts as alive.
    fn active(&self) -> Vec<u32> {
        let step = self.now_step();
        let expired = |id: u32| self.expiries.iter().any(|(_, expiring)| *expiring == id);
        let alive = self.processes.iter();
        let alive = alive.filter(|process| process.frozen_until <= step || expired(process.id));
        alive.map(|process| process.id).collect()
    }

    /// Shares out the partitions; those that have an owner move with a chance of `moves` per mille.
    pub(crate) fn rebalance(&mut self, moves: u32) {
        let active = self.active();
        let mut brokers = self.shared.topic.brokers();
        let numbers = brokers.numbers();
        brokers
            .group
            .rebalance(&numbers, &active, moves, &mut self.dice);
    }

    fn seize(&mut self) {
        let active = self.active();
        if active.is_empty() {
            return;
        }
        let to = self.dice.pick(&active);
        let mut brokers = self.shared.topic.brokers();
        let numbers = brokers.numbers();
        brokers.group.seize(self.dice.pick(&numbers), to);
        drop(brokers);
        self.note(to, "seizes");
    }

    /// From here on nothing goes wrong any more.
    pub(crate) fn calm_down(&mut self) {
        self.note(0, "calm");
        self.is_calm = true;
        if self.shared.topic.brokers().away {
            self.set_brokers_away(false);
        }
        self.shared.topic.brokers().errors = 0;
        self.shared.network.calm_down();
        for process in &mut self.processes {
            process.frozen_until = 0;
        }
        self.shared.scenario.rates = Default::default();
    }
}
