//! The promise holds in every state of larger worlds, and the worlds are not empty.
//!
//! ```text
//! scenario ─► all histories within its budget ─► no promise broken, and the misfortunes did happen
//! ```
//!
//! Owns: which worlds are explored at every run of the tests.
//! Does not own: smaller ones with a hole (`guards`).

use lake_writer::store::memory::Staging;

use super::explore::explore;
use super::scenario::{Budget, Caller, Cuts, Scenario};

/// Two processes, two source partitions, cuts of two files; nothing goes wrong yet.
fn two_writers() -> Scenario {
    Scenario {
        writers: 2,
        partitions: 2,
        rows: 1,
        files: 2,
        cuts: Cuts::Whole,
        staging: Staging::Upload,
        begun: true,
        budget: Budget {
            starts: 2,
            claims: 2,
            ..Budget::default()
        },
        caller: Caller::default(),
        without: None,
    }
}

/// No promise breaks anywhere, everything can be finished, and each of `happenings` was met.
fn holds(name: &str, scenario: Scenario, happenings: &[&str]) {
    let explored = explore(name, scenario);
    assert!(explored.broken.is_empty(), "{:#?}", explored.broken);
    assert!(explored.done, "nothing is ever finished in this world");
    for happening in happenings {
        assert!(
            explored.happened[happening] > 0,
            "{happening} never happened: {:?}",
            explored.happened
        );
    }
}

#[test]
fn rebalances_and_crashes() {
    let mut scenario = two_writers();
    scenario.budget.starts = 3;
    scenario.budget.claims = 3;
    scenario.budget.crashes = 1;
    let happenings = ["fenced", "races", "rolled forward"];
    holds("rebalances and crashes", scenario, &happenings);
}

#[test]
fn lost_replies_and_calls_that_come_late() {
    let mut scenario = two_writers();
    scenario.budget.starts = 3;
    scenario.budget.lost = 1;
    scenario.budget.delayed = 1;
    let happenings = ["fenced", "recognised", "landed late"];
    holds("lost replies and late calls", scenario, &happenings);
}

#[test]
fn cuts_of_any_size() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.rows = 2;
    scenario.cuts = Cuts::Any;
    scenario.budget.starts = 3;
    scenario.budget.claims = 3;
    scenario.budget.crashes = 1;
    let happenings = ["fenced", "races", "rolled forward"];
    holds("cuts of any size", scenario, &happenings);
}

#[test]
fn sweeps_of_files() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.staging = Staging::File;
    scenario.budget.starts = 3;
    scenario.budget.claims = 3;
    scenario.budget.crashes = 1;
    scenario.budget.sweeps = 1;
    let happenings = ["fenced", "swept", "prepared again", "rolled forward"];
    holds("sweeps of files", scenario, &happenings);
}

#[test]
fn sweeps_of_uploads_with_late_calls() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.rows = 2;
    scenario.cuts = Cuts::Any;
    scenario.budget.starts = 3;
    scenario.budget.delayed = 1;
    scenario.budget.sweeps = 1;
    let happenings = ["fenced", "swept", "landed late", "rolled forward"];
    holds("sweeps of uploads", scenario, &happenings);
}

#[test]
fn callers_freer_than_the_engine() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.caller = Caller {
        retries: true,
        keeps_cut_over_claims: true,
        adopts_claims: true,
    };
    scenario.budget = Budget {
        starts: 3,
        claims: 2,
        crashes: 1,
        delayed: 1,
        sweeps: 1,
        lost: 0,
        checkpoints: 0,
        replaces: 0,
    };
    let happenings = ["fenced", "swept", "landed late", "rolled forward"];
    holds("free callers", scenario, &happenings);
}

#[test]
fn an_empty_log_is_begun_once() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.begun = false;
    scenario.budget.starts = 3;
    scenario.budget.lost = 1;
    scenario.budget.delayed = 1;
    let happenings = ["races", "recognised", "landed late"];
    holds("an empty log", scenario, &happenings);
}

#[test]
fn three_writers() {
    let mut scenario = two_writers();
    scenario.writers = 3;
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.claims = 3;
    let happenings = ["fenced", "races", "rolled forward"];
    holds("three writers", scenario, &happenings);
}

#[test]
fn checkpoints_and_dropped_records() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.delayed = 1;
    scenario.budget.checkpoints = 1;
    let happenings = ["fenced", "lost touch", "landed late", "rolled forward"];
    holds("checkpoints", scenario, &happenings);
}

#[test]
fn checkpoints_and_sweeps() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.sweeps = 1;
    scenario.budget.checkpoints = 2;
    let happenings = ["fenced", "lost touch", "swept", "rolled forward"];
    holds("checkpoints and sweeps", scenario, &happenings);
}

#[test]
fn replacements_and_crashes() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.claims = 1;
    scenario.budget.crashes = 1;
    scenario.budget.replaces = 2;
    let happenings = [
        "replaced",
        "replacement refused",
        "rolled forward",
        "fenced",
    ];
    holds("replacements and crashes", scenario, &happenings);
}

#[test]
fn replacements_and_late_calls() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.claims = 1;
    scenario.budget.delayed = 1;
    scenario.budget.replaces = 1;
    let happenings = ["replaced", "landed late", "found replaced"];
    holds("replacements and late calls", scenario, &happenings);
}

#[test]
fn replacements_checkpoints_and_sweeps() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.claims = 1;
    scenario.budget.sweeps = 1;
    scenario.budget.checkpoints = 1;
    scenario.budget.replaces = 1;
    let happenings = ["replaced", "lost touch"];
    holds("replacements, checkpoints, sweeps", scenario, &happenings);
}

#[test]
#[ignore = "a million states; for longer runs: --ignored"]
fn larger_world_of_crashes_lost_and_late_calls() {
    let mut scenario = two_writers();
    scenario.budget.starts = 3;
    scenario.budget.crashes = 1;
    scenario.budget.lost = 1;
    scenario.budget.delayed = 1;
    let happenings = ["fenced", "recognised", "landed late", "rolled forward"];
    holds(
        "larger: crashes, lost and late calls",
        scenario,
        &happenings,
    );
}

#[test]
#[ignore = "a million states; for longer runs: --ignored"]
fn larger_world_of_checkpoints_and_late_calls() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.claims = 3;
    scenario.budget.delayed = 1;
    scenario.budget.checkpoints = 1;
    let happenings = ["fenced", "lost touch", "landed late", "rolled forward"];
    holds("larger: checkpoints and late calls", scenario, &happenings);
}

#[test]
#[ignore = "a million states; for longer runs: --ignored"]
fn larger_world_of_checkpoints_and_sweeps() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.budget.starts = 3;
    scenario.budget.crashes = 1;
    scenario.budget.sweeps = 1;
    scenario.budget.checkpoints = 2;
    let happenings = ["fenced", "lost touch", "swept", "rolled forward"];
    holds("larger: checkpoints and sweeps", scenario, &happenings);
}

#[test]
#[ignore = "a million states; for longer runs: --ignored"]
fn larger_world_of_checkpoints_and_prepared_files() {
    let mut scenario = two_writers();
    scenario.partitions = 1;
    scenario.files = 1;
    scenario.staging = Staging::File;
    scenario.budget.starts = 3;
    scenario.budget.lost = 1;
    scenario.budget.sweeps = 1;
    scenario.budget.checkpoints = 1;
    let happenings = ["lost touch", "recognised", "swept", "prepared again"];
    holds(
        "larger: checkpoints and prepared files",
        scenario,
        &happenings,
    );
}
