//! What must hold in every state, said without asking the code under test.
//!
//! Owns: the promise to readers of `data/`, and the invariants of docs/architecture.md.
//! Does not own: how it comes about.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use lake_writer::commit::append::Ask;
use lake_writer::commit::record::Body;
use stateright::Property;

use super::appending::PutReply;
use super::names::Rows;
use super::protocol::{Action, Protocol};
use super::world::World;
use super::writer::{Phase, Writer};

pub(crate) const ONCE: &str = "no row is visible twice";
pub(crate) const NAMED: &str = "nothing is visible that no record names";
pub(crate) const KEPT: &str = "every file that a record names is staged or visible";
pub(crate) const CONTIGUOUS: &str = "ranges follow one another without a gap or an overlap";
pub(crate) const NO_HALT: &str = "no writer halts";
pub(crate) const SETTLED: &str = "a writer with nothing left to do leaves nothing invisible";
pub(crate) const FINISHES: &str = "a fresh session publishes what is recorded, and then the rest";
/// Not a promise, but a sign that the model gets somewhere.
pub(crate) const DONE: &str = "every row becomes visible";

pub(crate) fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONCE, |_, world: &World| visible_once(world).is_some()),
        Property::always(NAMED, |_, world: &World| everything_visible_is_named(world)),
        Property::always(KEPT, |_, world: &World| everything_named_is_kept(world)),
        Property::always(CONTIGUOUS, |_, world: &World| ranges_are_contiguous(world)),
        Property::always(NO_HALT, |_, world: &World| world.halted.is_none()),
        Property::always(SETTLED, settled_means_visible),
        Property::always(FINISHES, a_fresh_writer_finishes),
        Property::sometimes(DONE, all_visible),
    ]
}

/// Rows that a reader sees; `None` when it sees one of them twice.
fn visible_once(world: &World) -> Option<Rows> {
    let mut seen = Rows::default();
    for file in &world.table.visible {
        if seen.0 & file.rows.0 != 0 {
            return None;
        }
        seen.0 |= file.rows.0;
    }
    Some(seen)
}

fn all_visible(protocol: &Protocol, world: &World) -> bool {
    let scenario = &protocol.scenario;
    visible_once(world) == Some(Rows::all(scenario.partitions, scenario.rows))
}

fn everything_visible_is_named(world: &World) -> bool {
    let named = |file| {
        let mut entries = world.table.log.values();
        entries.any(|entry| entry.files.contains(file))
    };
    world.table.visible.iter().all(named)
}

fn everything_named_is_kept(world: &World) -> bool {
    let table = &world.table;
    table.live().iter().all(|file| {
        table.staged.binary_search(file).is_ok() || table.visible.binary_search(file).is_ok()
    })
}

/// Whether readers see exactly the live files.
fn everything_is_carried_out(world: &World) -> bool {
    let mut live = world.table.live();
    live.sort();
    live == world.table.visible
}

/// Whether a replacement is recorded and not carried out: its rows are missing for a moment, until
/// who made it, or the next session that starts, has put them in.
fn replacement_under_way(world: &World) -> bool {
    let table = &world.table;
    let live = table.live();
    let mut replacements = table.log.values().filter(|entry| !entry.taken.is_empty());
    replacements.any(|entry| {
        let mut files = entry.files.iter().filter(|file| live.contains(file));
        files.any(|file| table.visible.binary_search(file).is_err())
    })
}

fn ranges_are_contiguous(world: &World) -> bool {
    let mut next = BTreeMap::new();
    for entry in world.table.log.values() {
        let Body::Commit(commit) = &entry.record.body else {
            continue;
        };
        for range in &commit.ranges {
            let expected = next.entry(range.source.partition).or_insert(0);
            if range.range.start() != *expected {
                return false;
            }
            *expected = range.range.next();
        }
    }
    true
}

/// Who holds every source partition, has read all of it and is not busy, has nothing left to do.
/// No other writer will ever start on its account: by now everything has to be visible.
fn settled_means_visible(protocol: &Protocol, world: &World) -> bool {
    let scenario = &protocol.scenario;
    let settled = |writer: &Writer| {
        writer.is_idle()
            && writer.reading.len() == usize::from(scenario.partitions)
            && writer.reading.iter().all(|it| it.position == scenario.rows)
            && holds_everything(protocol, world, writer)
    };
    let done = || all_visible(protocol, world) || replacement_under_way(world);
    !world.writers.iter().any(settled) || done()
}

/// Whether the last claim of every source partition is this writer's.
fn holds_everything(protocol: &Protocol, world: &World, writer: &Writer) -> bool {
    let of_topic = |partition: i32| partition < i32::from(protocol.scenario.partitions);
    let mut holders = BTreeMap::new();
    for entry in world.table.log.values() {
        if let Body::Claim(claim) = &entry.record.body {
            let claimed = claim.sources.iter();
            for claimed in claimed.filter(|claimed| of_topic(claimed.source.partition)) {
                holders.insert(claimed.source.partition, &entry.record.session);
            }
        }
    }
    let own = writer.session.text();
    holders.values().all(|session| **session == own)
}

/// Whatever has happened, one process that starts now and meets no misfortune publishes what is
/// recorded, before it claims anything (a topic that was deleted is never claimed again), and then
/// finishes everything.
/// Calls that are still on their way are left there: a world in which they landed is another state.
fn a_fresh_writer_finishes(protocol: &Protocol, world: &World) -> bool {
    if world.halted.is_some() {
        return true;
    }
    let mut hasher = DefaultHasher::new();
    world.table.hash(&mut hasher);
    let table = hasher.finish();
    let known = || protocol.finished.lock().expect("no test panics in here");
    if known().contains(&table) {
        return true;
    }
    let finishes = finish(protocol, world);
    if finishes {
        known().insert(table);
    }
    finishes
}

fn finish(protocol: &Protocol, world: &World) -> bool {
    let mut world = world.clone();
    let at = world.writers.len();
    world
        .writers
        .push(Writer::down(&protocol.scenario, u8::MAX - 1));
    protocol.take(&mut world, &Action::Start(at));
    // Opening, a claim and a commit for each message would take fewer steps than this.
    for _ in 0..200 {
        let writer = &world.writers[at];
        let action = match &writer.phase {
            Phase::Down => return false,
            Phase::Ready if writer.reading.is_empty() => {
                if !everything_is_carried_out(&world) {
                    return false;
                }
                Action::Claim(at, (0..protocol.scenario.partitions).collect())
            }
            Phase::Ready if writer.cut.is_some() => Action::Offer(at),
            Phase::Ready => match protocol.cuts(writer).pop() {
                Some(lengths) => Action::Stage(at, lengths),
                None => break,
            },
            Phase::Appending(appending) => match appending.ask {
                Ask::Put(_) => Action::Put(at, PutReply::Told),
                Ask::Look => Action::LookAtBoundary(at),
                Ask::Read(_) | Ask::Refold | Ask::Done(_) => Action::Read(at),
            },
            Phase::Publishing { .. } => Action::Publish(at),
            Phase::Folding => Action::Fold(at),
        };
        protocol.take(&mut world, &action);
        if world.halted.is_some() {
            return false;
        }
    }
    all_visible(protocol, &world)
}
