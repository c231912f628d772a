//! Runs a scenario through the checker and tells what came of it.
//!
//! Owns: the figures that a run prints, and traces to read.
//! Does not own: which outcome is right (`proofs`, `guards`).

use std::collections::BTreeMap;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::promise::DONE;
use super::protocol::{Action, Protocol};
use super::scenario::Scenario;

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Explored {
    /// Whether a state was reached in which everything is visible.
    pub(crate) done: bool,
    /// The shortest history that breaks each promise which was broken.
    pub(crate) broken: BTreeMap<&'static str, Vec<Action>>,
    /// What happened, and how often.
    pub(crate) happened: BTreeMap<&'static str, usize>,
}

/// Explores every state of a scenario; a scenario without a guard only until a promise is broken.
pub(crate) fn explore(name: &str, scenario: Scenario) -> Explored {
    let protocol = Protocol::new(scenario);
    let finish = match protocol.scenario.without {
        None => HasDiscoveries::All,
        Some(_) => HasDiscoveries::AnyFailures,
    };
    let checker = protocol.clone().checker().finish_when(finish);
    let checker = checker.spawn_bfs().join();
    println!(
        "{name}: {} unique states of {} generated, depth {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
    );
    let happened: BTreeMap<_, _> = protocol.witness.counts().into_iter().collect();
    println!("    {happened:?}");
    let mut broken = BTreeMap::new();
    for (property, path) in checker.discoveries() {
        if protocol.property(property).expectation != Expectation::Sometimes {
            let actions = path.into_actions();
            println!("    broken: {property}, by {actions:?}");
            broken.insert(property, actions);
        }
    }
    Explored {
        done: checker.discovery(DONE).is_some(),
        broken,
        happened,
    }
}
