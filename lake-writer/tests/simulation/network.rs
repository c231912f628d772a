//! Calls on their way to the store and back, until the scheduler lets them go on.
//!
//! ```text
//! process ─► gate (before) ─► effect, perhaps twice ─► the oracle looks ─► gate (after) ─► process
//! ```
//!
//! Owns: which calls are under way, what becomes of each: it passes, fails, is late, loses its reply.
//! Does not own: the order, which the scheduler draws; what the store does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lake_writer::store::fault::{Faults, Op, Step};
use lake_writer::store::{StoreError, StoreErrorKind, TablePath};
use tokio::sync::oneshot;

use super::dice::Dice;
use super::oracle::Oracle;
use super::scenario::Rates;
use super::trace::{Trace, no_more};

/// The way to the store, shared by all processes of a run.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    inner: Arc<Mutex<Inner>>,
    oracle: Oracle,
    trace: Trace,
}

#[derive(Debug)]
struct Inner {
    dice: Dice,
    rates: Rates,
    /// Calls pass without a stop.
    calm: bool,
    outage: bool,
    gates: Vec<Gate>,
    waiting: Vec<Patience>,
    faults: BTreeMap<&'static str, u64>,
    calls: u64,
}

/// A call that waits to go on.
#[derive(Debug)]
struct Gate {
    process: u32,
    op: Op,
    path: TablePath,
    moment: Moment,
    /// Step before which it does not go on.
    not_before: u64,
    /// Whether its process was killed since.
    orphan: bool,
    go: oneshot::Sender<Fate>,
}

/// A caller that could give up.
#[derive(Debug)]
struct Patience {
    process: u32,
    op: Op,
    path: TablePath,
    give_up: oneshot::Sender<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Fail(StoreErrorKind),
}

impl Network {
    pub(crate) fn new(dice: Dice, rates: Rates, oracle: &Oracle, trace: &Trace) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                dice,
                rates,
                calm: false,
                outage: false,
                gates: Vec::new(),
                waiting: Vec::new(),
                faults: BTreeMap::new(),
                calls: 0,
            })),
            oracle: oracle.clone(),
            trace: trace.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way of one process.
    pub(crate) fn of(&self, process: u32) -> Arc<dyn Faults> {
        Arc::new(Way {
            network: self.clone(),
            process,
        })
    }

    /// Whether the store can be reached.
    pub(crate) fn set_outage(&self, outage: bool) {
        self.inner().outage = outage;
    }

    pub(crate) fn has_outage(&self) -> bool {
        self.inner().outage
    }

    /// From here on nothing goes wrong any more, except that calls of the dead may still land.
    pub(crate) fn calm_down(&self) {
        let mut inner = self.inner();
        inner.rates = Rates::default();
        inner.outage = false;
        inner.calm = true;
        for gate in &mut inner.gates {
            gate.not_before = 0;
        }
    }

    /// How many calls wait and may go on at this step.
    pub(crate) fn open_gates(&self, step: u64) -> usize {
        let inner = self.inner();
        let open = |gate: &&Gate| gate.not_before <= step;
        inner.gates.iter().filter(open).count()
    }

    pub(crate) fn has_gates(&self) -> bool {
        !self.inner().gates.is_empty()
    }

    /// Whether calls of the process are under way.
    pub(crate) fn is_busy(&self, process: u32) -> bool {
        self.inner()
            .gates
            .iter()
            .any(|gate| gate.process == process)
    }

    /// Lets the `nth` of the open gates go on. Returns the process whose call it is.
    pub(crate) fn release(&self, nth: usize, step: u64) -> Option<u32> {
        let mut inner = self.inner();
        let mut open = (0..inner.gates.len()).filter(|at| inner.gates[*at].not_before <= step);
        let at = open.nth(nth)?;
        let gate = inner.gates.swap_remove(at);
        let fate = inner.fate(&gate);
        drop(inner);
        let kind = match (fate, gate.moment, gate.orphan) {
            (Fate::Pass, Moment::Before, true) => "lands late",
            (Fate::Pass, Moment::Before, false) => "arrives",
            (Fate::Pass, Moment::After, _) => "is answered",
            (Fate::Fail(_), Moment::Before, _) => "fails",
            (Fate::Fail(_), Moment::After, _) => "loses reply",
        };
        if matches!(kind, "lands late" | "fails" | "loses reply") {
            self.count(kind);
        }
        self.trace
            .note(gate.process, kind, gate.op.name(), || gate.path.to_string());
        let _ = gate.go.send(fate);
        Some(gate.process)
    }

    /// Makes the caller of a call give up while the call goes on. Returns the process.
    pub(crate) fn lose_patience(&self) -> Option<u32> {
        let mut inner = self.inner();
        inner.waiting.retain(|waiting| !waiting.give_up.is_closed());
        if inner.waiting.is_empty() {
            return None;
        }
        let at = inner.waiting.len();
        let at = inner.dice.below(at);
        let waiting = inner.waiting.swap_remove(at);
        drop(inner);
        self.count("gives up");
        self.trace
            .note(waiting.process, "gives up", waiting.op.name(), || {
                waiting.path.to_string()
            });
        let _ = waiting.give_up.send(());
        Some(waiting.process)
    }

    /// The process is dead: its calls arrive late or never, and nobody hears of their replies.
    pub(crate) fn killed(&self, process: u32, step: u64) {
        let mut inner = self.inner();
        let Inner {
            gates, dice, calm, ..
        } = &mut *inner;
        gates.retain_mut(|gate| {
            if gate.process != process {
                return true;
            }
            gate.orphan = true;
            let lands = gate.moment == Moment::Before && dice.chance(500);
            if !*calm {
                gate.not_before = step + dice.between(0, 300);
            }
            lands
        });
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.inner().faults.entry(what).or_default() += 1;
    }

    /// Faults by kind.
    pub(crate) fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.inner().faults.clone()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.inner().calls
    }
}

impl Inner {
    fn fate(&mut self, gate: &Gate) -> Fate {
        if gate.orphan || self.calm {
            return Fate::Pass;
        }
        let rates = self.rates;
        match gate.moment {
            Moment::Before if self.outage => Fate::Fail(StoreErrorKind::Transient),
            Moment::Before if needs_room(gate.op) && self.dice.chance(rates.full) => {
                Fate::Fail(StoreErrorKind::Full)
            }
            Moment::Before if self.dice.chance(rates.fail_before) => {
                Fate::Fail(StoreErrorKind::Transient)
            }
            Moment::After if self.dice.chance(rates.lose_reply) => {
                Fate::Fail(StoreErrorKind::Transient)
            }
            _ => Fate::Pass,
        }
    }
}

fn needs_room(op: Op) -> bool {
    matches!(op, Op::Prepare | Op::Stage | Op::Write | Op::Finish)
}

/// How far the oracle has to look after an operation.
fn changes(op: Op) -> bool {
    !matches!(
        op,
        Op::Read
            | Op::ReadRange
            | Op::Size
            | Op::List
            | Op::ListAfter
            | Op::OpenUploads
            | Op::Stage
            | Op::Write
    )
}

/// The way of one process to the store.
#[derive(Debug)]
struct Way {
    network: Network,
    process: u32,
}

impl Way {
    async fn pass(&self, step: &Step<'_>, moment: Moment) -> Result<(), StoreError> {
        let Some(told) = self.gate(step, moment) else {
            return Ok(());
        };
        match told.await {
            Ok(Fate::Pass) => Ok(()),
            Ok(Fate::Fail(kind)) => Err(StoreError {
                kind,
                ..step.lost("simulated")
            }),
            Err(_) => Err(step.lost("the process is gone")),
        }
    }

    fn gate(&self, step: &Step<'_>, moment: Moment) -> Option<oneshot::Receiver<Fate>> {
        let now = self.network.trace.steps();
        let mut inner = self.network.inner();
        inner.calls += u64::from(moment == Moment::Before);
        if inner.calm {
            drop(inner);
            if moment == Moment::Before {
                let network = &self.network;
                network
                    .trace
                    .note(self.process, "calls", step.op.name(), || {
                        step.path.to_string()
                    });
            }
            return None;
        }
        let delay = inner.rates.delay;
        let late = if inner.dice.chance(delay) {
            inner.dice.between(1, 60)
        } else {
            0
        };
        let (go, told) = oneshot::channel();
        inner.gates.push(Gate {
            process: self.process,
            op: step.op,
            path: step.path.clone(),
            moment,
            not_before: now + late,
            orphan: false,
            go,
        });
        if late > 0 {
            *inner.faults.entry("is delayed").or_default() += 1;
        }
        Some(told)
    }
}

#[async_trait]
impl Faults for Way {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.pass(step, Moment::Before).await
    }

    async fn again(&self, step: &Step<'_>) -> bool {
        let mut inner = self.network.inner();
        let rate = inner.rates.send_again;
        let again = inner.dice.chance(rate);
        drop(inner);
        if again {
            self.network.count("is sent again");
            self.network
                .trace
                .note(self.process, "is sent again", step.op.name(), no_more);
        }
        again
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        if changes(step.op) {
            self.network.oracle.look(step.op, step.path);
        }
        self.pass(step, Moment::After).await
    }

    async fn give_up(&self, step: &Step<'_>) -> StoreError {
        let (give_up, told) = oneshot::channel();
        {
            let mut inner = self.network.inner();
            if inner.rates.give_up > 0 {
                inner.waiting.push(Patience {
                    process: self.process,
                    op: step.op,
                    path: step.path.clone(),
                    give_up,
                });
            }
        }
        match told.await {
            Ok(()) => step.lost("no answer in time"),
            Err(_) => std::future::pending().await,
        }
    }
}
