//! Each guard taken out makes the model fail: none of them is there for nothing, and the model
//! would notice if one were missing.
//!
//! ```text
//! scenario ─► holds with every guard ─► breaks a promise without this one
//! ```
//!
//! Owns: for each guard a small world in which it matters.
//! Does not own: larger worlds without a hole (`proofs`).

use lake_writer::store::memory::Staging;

use super::explore::explore;
use super::promise;
use super::scenario::{Budget, Caller, Cuts, Guard, Scenario};

/// Two processes that write one source partition of one message, the second one in its place.
fn takeover() -> Scenario {
    Scenario {
        writers: 2,
        partitions: 1,
        rows: 1,
        files: 1,
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

/// One process whose puts go wrong.
fn alone() -> Scenario {
    let mut scenario = takeover();
    scenario.writers = 1;
    scenario.budget.claims = 1;
    scenario
}

/// The promise holds in the scenario, and one of `promises` breaks without the guard.
fn needs(guard: Guard, scenario: &Scenario, promises: &[&str]) {
    // GIVEN a world in which the promise holds
    let whole = explore(&format!("with {guard:?}"), scenario.clone());
    assert!(whole.broken.is_empty(), "{:#?}", whole.broken);
    assert!(whole.done, "nothing is ever finished in this world");
    // WHEN the guard is taken out
    let without = Scenario {
        without: Some(guard),
        ..scenario.clone()
    };
    let holed = explore(&format!("without {guard:?}"), without);
    // THEN it breaks
    assert!(
        promises
            .iter()
            .any(|promise| holed.broken.contains_key(promise)),
        "none of {promises:?} broke, but {:?}",
        holed.broken
    );
}

#[test]
fn a_range_starts_where_the_log_ends() {
    // A caller that reads its cut again in the same session, while its failed put is on its way.
    let mut scenario = alone();
    scenario.budget.delayed = 1;
    scenario.caller.retries = true;
    needs(
        Guard::StartCheck,
        &scenario,
        &[promise::ONCE, promise::CONTIGUOUS],
    );
}

#[test]
fn a_range_was_read_under_the_claim_that_holds() {
    // A caller that claims again with a cut in hand, whose files were debris in between.
    let mut scenario = takeover();
    scenario.budget.claims = 3;
    scenario.budget.sweeps = 1;
    scenario.caller.keeps_cut_over_claims = true;
    needs(Guard::EpochCheck, &scenario, &[promise::KEPT]);
}

#[test]
fn a_commit_is_of_the_session_that_claimed() {
    // A caller that goes on under the claim of its last session, which a sweep does not know.
    let mut scenario = takeover();
    scenario.budget = Budget {
        starts: 3,
        claims: 1,
        crashes: 1,
        sweeps: 1,
        ..Budget::default()
    };
    scenario.caller.adopts_claims = true;
    needs(Guard::SessionCheck, &scenario, &[promise::KEPT]);
}

#[test]
fn a_record_of_another_is_not_taken_for_ones_own() {
    needs(
        Guard::NonceOfOthers,
        &takeover(),
        &[promise::NAMED, promise::ONCE],
    );
}

#[test]
fn ones_own_record_is_recognised() {
    let mut scenario = alone();
    scenario.budget.lost = 1;
    needs(Guard::NonceOfOwn, &scenario, &[promise::NO_HALT]);
}

#[test]
fn a_record_is_put_only_if_absent() {
    needs(
        Guard::PutIfAbsent,
        &takeover(),
        &[promise::NAMED, promise::ONCE],
    );
}

#[test]
fn a_put_without_a_reply_is_looked_up() {
    let mut scenario = alone();
    scenario.budget.lost = 1;
    needs(Guard::LookAfterLostReply, &scenario, &[promise::NAMED]);
}

#[test]
fn files_become_visible_after_their_record() {
    needs(Guard::RecordBeforePublish, &alone(), &[promise::NAMED]);
}

#[test]
fn only_what_was_published_is_said_to_be() {
    let mut scenario = takeover();
    scenario.budget.crashes = 1;
    needs(Guard::PublishBeforeSaying, &scenario, &[promise::FINISHES]);
}

#[test]
fn a_session_that_starts_publishes_what_others_left() {
    // Nobody claims any more: only the start can do it.
    let mut scenario = takeover();
    scenario.budget.crashes = 1;
    scenario.budget.sweeps = 1;
    needs(Guard::RollForwardAtStart, &scenario, &[promise::FINISHES]);
}

#[test]
fn a_session_that_takes_over_publishes_what_its_predecessor_left() {
    let mut scenario = takeover();
    scenario.budget.crashes = 1;
    needs(Guard::RollForwardAfterClaim, &scenario, &[promise::SETTLED]);
}

#[test]
fn what_was_staged_stays_when_a_commit_fails() {
    let mut scenario = alone();
    scenario.budget.delayed = 1;
    needs(Guard::KeepStagedOnUnknown, &scenario, &[promise::KEPT]);
}

#[test]
fn a_sweep_lists_before_it_folds() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.sweeps = 1;
    needs(Guard::ListBeforeFold, &scenario, &[promise::KEPT]);
}

#[test]
fn a_sweep_spares_who_holds_a_partition() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.sweeps = 1;
    needs(Guard::LivingCheck, &scenario, &[promise::KEPT]);
}

#[test]
fn a_sweep_spares_what_a_commit_names() {
    let mut scenario = takeover();
    scenario.budget.sweeps = 1;
    needs(Guard::NamedCheck, &scenario, &[promise::KEPT]);
}

#[test]
fn a_prepared_record_that_was_swept_is_prepared_again() {
    let mut scenario = takeover();
    scenario.staging = Staging::File;
    scenario.budget.sweeps = 1;
    needs(Guard::PrepareAgain, &scenario, &[promise::NO_HALT]);
}

#[test]
fn a_put_counts_only_if_no_checkpoint_has_passed_it() {
    // A writer sleeps before its put, while its number is taken, checkpointed and dropped. Under the
    // claim that it believes to hold it then puts a commit that nobody can fold.
    let mut scenario = takeover();
    scenario.budget.checkpoints = 1;
    let promises = [promise::NAMED, promise::FINISHES];
    needs(Guard::LookAfterPut, &scenario, &promises);
}

#[test]
fn what_was_read_counts_only_if_no_checkpoint_has_passed_it() {
    // A late put takes the place of a dropped record, and a writer that slept reads it.
    let mut scenario = takeover();
    scenario.budget.delayed = 1;
    scenario.budget.checkpoints = 1;
    let promises = [promise::NAMED, promise::FINISHES];
    needs(Guard::LookAfterRead, &scenario, &promises);
}

#[test]
fn a_sweep_judges_only_if_no_checkpoint_has_passed_its_fold() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.sweeps = 1;
    scenario.budget.checkpoints = 1;
    needs(Guard::LookBeforeJudging, &scenario, &[promise::KEPT]);
}

#[test]
fn records_are_dropped_after_the_checkpoint_stands() {
    let mut scenario = alone();
    scenario.budget.checkpoints = 1;
    let promises = [promise::FINISHES, promise::NAMED, promise::CONTIGUOUS];
    needs(Guard::CheckpointBeforeDrop, &scenario, &promises);
}

#[test]
fn a_checkpoint_knows_what_is_not_published() {
    // Whoever claims another partition folds a writer's commit without publishing it.
    let mut scenario = takeover();
    scenario.partitions = 2;
    scenario.budget.checkpoints = 1;
    needs(
        Guard::CheckpointKeepsUnpublished,
        &scenario,
        &[promise::FINISHES],
    );
}

#[test]
fn a_file_is_replaced_only_while_it_is_live() {
    // Two sessions replace one file, one after the other.
    let mut scenario = alone();
    scenario.writers = 2;
    scenario.budget.starts = 3;
    scenario.budget.crashes = 1;
    scenario.budget.replaces = 2;
    let promises = [promise::ONCE, promise::FINISHES];
    needs(Guard::ReplacesLiveOnly, &scenario, &promises);
}

#[test]
fn a_file_is_replaced_only_after_it_was_published() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.replaces = 1;
    needs(Guard::ReplacesPublishedOnly, &scenario, &[promise::ONCE]);
}

#[test]
fn a_replacement_was_made_under_the_claim_that_holds() {
    // What a repairer has staged is debris once another has claimed in its place.
    let mut scenario = alone();
    scenario.writers = 3;
    scenario.budget.starts = 3;
    scenario.budget.sweeps = 1;
    scenario.budget.replaces = 2;
    needs(Guard::ReplaceUnderClaim, &scenario, &[promise::KEPT]);
}

#[test]
fn a_replaced_file_goes_before_its_replacement_comes() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.replaces = 1;
    needs(Guard::OldOutBeforeNewIn, &scenario, &[promise::ONCE]);
}

#[test]
fn a_file_counts_as_lost_only_if_it_is_live() {
    let mut scenario = takeover();
    scenario.budget.claims = 1;
    scenario.budget.replaces = 1;
    needs(Guard::FoldBeforeLoss, &scenario, &[promise::NO_HALT]);
}
