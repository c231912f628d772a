//! The code under test, called with one of its guards blinded.
//!
//! ```text
//! record, state ─► State::apply, Append::read, Append::put, Judge ─► what production would do
//! ```
//!
//! Owns: how a guard is taken out without touching the code that asks it: what it would compare is
//! made equal before the call and put back after it.
//! Does not own: any rule of the protocol.

use lake_writer::commit::CommitError;
use lake_writer::commit::append::{Append, Ask, PutSeen};
use lake_writer::commit::record::{Body, Record, Replace};
use lake_writer::commit::state::State;
use lake_writer::commit::sweep::Judge;
use lake_writer::store::TablePath;
use lake_writer::store::memory::Staging;

use super::names::{Session, Shared};
use super::scenario::{Guard, Scenario};
use super::store::{Debris, Table};

/// Why a record is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    /// To see whether the log goes on.
    Tail,
    /// A put of this number found a record.
    AfterExists,
    /// A put of this number had no answer.
    AfterUnknown,
}

/// Folds a record into a state.
pub(crate) fn apply(
    scenario: &Scenario,
    state: &mut State,
    record: &Record,
) -> Result<(), CommitError> {
    blinded(scenario, state, record, |state| state.apply(record))
}

/// Folds a table's log at one instant, from its newest checkpoint.
pub(crate) fn fold(scenario: &Scenario, table: &Table) -> Result<State, CommitError> {
    let mut state = newest_checkpoint(scenario, table);
    fold_on(scenario, table, &mut state)?;
    Ok(state)
}

/// Folds the records that are found behind a state's head.
pub(crate) fn fold_on(
    scenario: &Scenario,
    table: &Table,
    state: &mut State,
) -> Result<(), CommitError> {
    while let Some(entry) = table.record(state.next_number()) {
        apply(scenario, state, &entry.record)?;
    }
    Ok(())
}

pub(crate) fn newest_checkpoint(scenario: &Scenario, table: &Table) -> State {
    let newest = table.checkpoints.values().next_back();
    newest.map_or_else(|| empty(scenario), |fold| State::clone(fold))
}

/// The fold of no record.
pub(crate) fn empty(scenario: &Scenario) -> State {
    State {
        live: scenario.replaces().then(Default::default),
        ..State::default()
    }
}

/// Hands a record that was read to the machine.
pub(crate) fn read(
    scenario: &Scenario,
    append: &mut Append,
    state: &mut State,
    found: Option<&Record>,
    look: Look,
) -> Result<Ask, CommitError> {
    let own = append.record().clone();
    let Some(found) = found else {
        return blinded(scenario, state, &own, |state| append.read(state, None));
    };
    let mine = found.nonce == own.nonce;
    if !mine && look != Look::Tail && scenario.without == Some(Guard::NonceOfOthers) {
        let number = state.next_number();
        apply(scenario, state, found)?;
        return Ok(Ask::Done(number));
    }
    let mut shown = found.clone();
    if mine && scenario.without == Some(Guard::NonceOfOwn) {
        shown.nonce.push_str("-not recognised");
    }
    blinded(scenario, state, found, |state| {
        append.read(state, Some(&shown))
    })
}

/// Hands the outcome of a put to the machine.
pub(crate) fn put(
    scenario: &Scenario,
    append: &mut Append,
    state: &mut State,
    seen: PutSeen,
) -> Result<Ask, CommitError> {
    let own = append.record().clone();
    let believes = scenario.without == Some(Guard::LookAfterLostReply);
    let seen = match seen {
        PutSeen::Unknown if believes => PutSeen::Created,
        seen => seen,
    };
    blinded(scenario, state, &own, |state| append.put(state, seen))
}

/// Tells the machine how far the newest checkpoint reaches.
pub(crate) fn looked(
    scenario: &Scenario,
    append: &mut Append,
    state: &mut State,
    boundary: Option<u64>,
) -> Result<Ask, CommitError> {
    let own = append.record().clone();
    blinded(scenario, state, &own, |state| {
        append.looked(state, boundary)
    })
}

/// Makes what a missing guard would compare equal to what `record` says, calls, and puts it back.
fn blinded<T>(
    scenario: &Scenario,
    state: &mut State,
    record: &Record,
    call: impl FnOnce(&mut State) -> T,
) -> T {
    let (commit, guard) = match (&record.body, scenario.without) {
        (Body::Commit(commit), Some(guard)) => (commit, guard),
        (Body::Replace(replace), Some(guard)) => {
            return blinded_to_replace(guard, state, record, replace, call);
        }
        _ => return call(state),
    };
    let kept = state.sources.clone();
    for range in &commit.ranges {
        if let Some(held) = state.sources.get_mut(&range.source) {
            match guard {
                Guard::StartCheck => held.next = range.range.start(),
                Guard::EpochCheck => held.epoch = range.epoch,
                Guard::SessionCheck => held.session.clone_from(&record.session),
                _ => {}
            }
        }
    }
    let result = call(state);
    for range in &commit.ranges {
        let (Some(held), Some(kept)) = (
            state.sources.get_mut(&range.source),
            kept.get(&range.source),
        ) else {
            continue;
        };
        match guard {
            // Ranges of the model are never empty: still at the start means not applied.
            Guard::StartCheck if held.next == range.range.start() => held.next = kept.next,
            Guard::EpochCheck => held.epoch = kept.epoch,
            Guard::SessionCheck => held.session.clone_from(&kept.session),
            _ => {}
        }
    }
    result
}

/// The same for a replacement.
fn blinded_to_replace<T>(
    guard: Guard,
    state: &mut State,
    record: &Record,
    replace: &Replace,
    call: impl FnOnce(&mut State) -> T,
) -> T {
    let kept = state.clone();
    let taken = || replace.taken.iter().map(|taken| &taken.path);
    match guard {
        Guard::ReplacesLiveOnly => {
            if let Some(live) = &mut state.live {
                live.extend(taken().cloned());
            }
        }
        Guard::ReplacesPublishedOnly => state.unpublished.retain(|_, change| {
            let mut added = change.added();
            !added.any(|file| taken().any(|path| *path == file.path))
        }),
        Guard::ReplaceUnderClaim => {
            if let Some(held) = state.sources.get_mut(&replace.source) {
                held.epoch = replace.epoch;
                held.session.clone_from(&record.session);
            }
        }
        _ => {}
    }
    let result = call(state);
    if state.head == kept.head {
        *state = kept;
    } else {
        state.sources = kept.sources;
        let said = |number: &u64| record.published.contains(number);
        let hidden = kept.unpublished.into_iter();
        state
            .unpublished
            .extend(hidden.filter(|(number, _)| !said(number)));
    }
    result
}

/// What of a listing the real judge calls debris.
pub(crate) fn debris(
    scenario: &Scenario,
    state: &State,
    own: Session,
    listed: &[Debris],
) -> Vec<Debris> {
    let mut state = state.clone();
    match scenario.without {
        Some(Guard::LivingCheck) => state.sources.clear(),
        Some(Guard::NamedCheck) => state.unpublished.clear(),
        _ => {}
    }
    let judge = Judge::new(&state, &own.text());
    let is_debris = |debris: &&Debris| match (debris, scenario.staging) {
        (Debris::File(file), Staging::File) => judge.is_debris_file(&file.staging()),
        (Debris::File(file), Staging::Upload) => {
            judge.is_debris_upload(&file.target(), &file.upload())
        }
        (Debris::Record(prepared), _) => {
            let session = prepared.session.text();
            let name = format!("stage/{session}/log-{session}-{}", prepared.nonce);
            judge.is_debris_file(&TablePath::new(name).expect("the model makes legal names"))
        }
    };
    listed.iter().filter(is_debris).copied().collect()
}

/// A state of the log that is shared between states of the model.
pub(crate) type Fold = Shared<State>;
