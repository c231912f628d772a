//! Rewriting over a topic and a store in memory: what was broken is whole again, and nothing else changed.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::clock::Chance;
use crate::commit::sweep::find;
use crate::source::{RangeReader, Watermarks};
use crate::store::memory::Staging;
use crate::store::{Store, TablePath};
use crate::verify::ledger::ledger;
use crate::verify::tests::world::{World, definition, everything, named, places_in};

impl World {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.memory.clone())
    }

    fn rewriter(&self, work: &str, seed: u64) -> Rewriter {
        let parts = RewriterParts {
            cuts: self.cuts(),
            definition: definition(),
            chance: Chance::from_seed(seed),
        };
        Rewriter::begin(parts, work).expect("claims")
    }

    fn units(&self) -> Vec<Unit> {
        let topic_id = self.topic.reader().identify().expect("is there").topic_id;
        let store = self.store();
        let ledger = ledger(store.as_ref());
        units(&self.runtime.block_on(ledger).expect("is read"), &topic_id)
    }

    fn watermarks(&self) -> std::collections::BTreeMap<i32, Watermarks> {
        let mut reader = self.topic.reader();
        let marks = |partition| (partition, reader.watermarks(partition).expect("is there"));
        [0, 1].map(marks).into()
    }

    fn plan(&self) -> Plan {
        Plan::of(
            &self.verify(&everything()),
            self.units(),
            &self.watermarks(),
        )
    }

    /// Carries a plan out; returns what was refused.
    fn mend(&self, plan: &Plan, seed: u64) -> Vec<String> {
        let mut rewriter = self.rewriter("repair", seed);
        let store = self.store();
        for path in &plan.foreign {
            let moving = move_out(store.as_ref(), rewriter.session(), path);
            self.runtime.block_on(moving).expect("moves");
        }
        let mut refused = Vec::new();
        for unit in &plan.units {
            let outcome = rewriter.rewrite(unit, &mut self.topic.reader(), "repair");
            if let Outcome::Refused(why) = outcome.expect("can be tried") {
                refused.push(why);
            }
        }
        refused
    }

    /// Every place in `data/`, sorted.
    fn places(&self) -> Vec<(i32, i64)> {
        let files = self.files("data/");
        let mut places: Vec<_> = files.values().flat_map(places_in).collect();
        places.sort_unstable();
        places
    }
}

#[test]
fn a_lost_or_damaged_file_is_written_again_from_its_range() {
    let damage: [fn(&World, &TablePath, &Bytes); 3] = [
        |world, path, _| world.memory.remove(path),
        |world, path, bytes| world.memory.plant(path, bytes.slice(..bytes.len() / 2)),
        |world, path, bytes| {
            let mut flipped = bytes.to_vec();
            flipped[bytes.len() / 3] ^= 1;
            world.memory.plant(path, flipped.into());
        },
    ];
    for (seed, damage) in (100..).zip(damage) {
        // GIVEN a table, and one of its files damaged
        let world = World::filled();
        let whole = world.places();
        let (path, bytes) = world.first_file();
        damage(&world, &path, &bytes);
        // WHEN what verification finds is put right
        let plan = world.plan();
        assert_eq!(plan.units.len(), 1);
        assert_eq!((&plan.beyond[..], &plan.foreign[..]), (&[][..], &[][..]));
        assert_eq!(world.mend(&plan, seed), Vec::<String>::new());
        // THEN nothing differs any more, the same rows are there, and nothing is left behind
        assert_eq!(named(&world.verify(&everything())), []);
        assert_eq!(world.places(), whole);
        assert!(world.memory.file(&path).is_none(), "{path} is replaced");
        let store = world.store();
        let debris = find(store.as_ref());
        let debris = world.runtime.block_on(debris).expect("is found");
        assert_eq!(debris.files, []);
        // AND a writer goes on
        world.send(0, 3);
        world.write();
        assert_eq!(named(&world.verify(&everything())), []);
    }
}

#[test]
fn a_lost_file_of_dead_letters_is_written_again_too() {
    let world = World::filled();
    let (path, _) = world
        .files("dead/")
        .into_iter()
        .next()
        .expect("a dead letter");
    world.memory.remove(&path);
    let plan = world.plan();
    assert_eq!(world.mend(&plan, 1), Vec::<String>::new());
    assert_eq!(named(&world.verify(&everything())), []);
    assert_eq!(world.files("dead/").len(), 1);
}

#[test]
fn a_foreign_file_is_moved_out_and_kept() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a copy of a file, which doubles rows
        let world = World::new(staging);
        world.send(0, 40);
        world.write();
        let (path, bytes) = world.first_file();
        let copy = format!("{}/copy.parquet", path.parent().expect("a folder"));
        let copy = TablePath::new(copy).expect("legal");
        world.memory.plant(&copy, bytes.clone());
        // WHEN it is repaired THEN no commit is touched for the doubled rows
        let plan = world.plan();
        assert_eq!(
            (&plan.foreign[..], plan.units.len()),
            (&[copy.clone()][..], 0)
        );
        world.mend(&plan, 1);
        assert_eq!(named(&world.verify(&everything())), []);
        // AND the file is outside of the table, whole
        let moved = world.files("foreign/");
        assert_eq!(moved.values().collect::<Vec<_>>(), [&bytes]);
        assert!(moved.keys().all(|to| to.as_str().ends_with(copy.as_str())));
    }
}

#[test]
fn a_topic_that_lost_messages_takes_no_row_from_the_lake() {
    // GIVEN a topic that was compacted since, and a lost file of the same commit
    let world = World::filled();
    let (path, bytes) = world.first_file();
    let before = world.files("data/");
    let (partition, offset) = places_in(&bytes)[0];
    world.topic.compact_away(partition, offset);
    world.memory.remove(&path);
    // WHEN it is repaired THEN it is refused by name, and every other file is as it was
    let refused = world.mend(&world.plan(), 1);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("were committed"), "{refused:?}");
    let after = world.files("data/");
    let expected: Vec<_> = before.into_iter().filter(|(of, _)| *of != path).collect();
    assert_eq!(after.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_retention_has_taken_is_beyond_repair_and_said_so() {
    let world = World::filled();
    let (path, _) = world.first_file();
    let of_file = |unit: &Unit| unit.files.iter().any(|file| file.path == path);
    let unit = world.units().into_iter().find(of_file).expect("its commit");
    for (partition, range) in unit.offsets() {
        world.topic.retain_from(partition, range.start() + 1);
    }
    world.memory.remove(&path);
    let plan = world.plan();
    assert!(plan.units.is_empty());
    assert!(
        plan.beyond
            .iter()
            .any(|why| why.contains("gone by retention")),
        "{:?}",
        plan.beyond
    );
}

#[test]
fn a_backfill_replaces_exactly_what_was_there_and_goes_on_where_it_stopped() {
    // GIVEN a table of several commits
    let world = World::filled();
    for _ in 0..3 {
        world.send(0, 20);
        world.send(1, 20);
        world.write();
    }
    let (whole, files, units) = (world.places(), world.files("data/"), world.units());
    assert!(units.len() > 2, "several commits");
    // WHEN a backfill is interrupted after one of them, and begun again under its name
    let mut first = world.rewriter("backfill a", 1);
    let outcome = first.rewrite(&units[0], &mut world.topic.reader(), "backfill a");
    assert!(matches!(outcome, Ok(Outcome::Replaced { .. })));
    let mut second = world.rewriter("backfill a", 2);
    assert_eq!(second.begun_at(), first.begun_at());
    let units = world.units();
    let done = |unit: &&Unit| unit.is_newer_than(second.begun_at());
    assert_eq!(units.iter().filter(done).count(), 1);
    for unit in units
        .iter()
        .filter(|unit| !unit.is_newer_than(first.begun_at()))
    {
        let outcome = second.rewrite(unit, &mut world.topic.reader(), "backfill a");
        assert!(
            matches!(outcome, Ok(Outcome::Replaced { .. })),
            "{outcome:?}"
        );
    }
    // THEN every file is another one, and the rows are the same
    assert!(
        world
            .files("data/")
            .keys()
            .all(|path| !files.contains_key(path))
    );
    assert_eq!(world.places(), whole);
    assert_eq!(named(&world.verify(&everything())), []);
    // AND the one that lost its claim can do nothing
    let late = first.rewrite(&world.units()[1], &mut world.topic.reader(), "backfill a");
    assert!(late.is_err(), "{late:?}");
    assert_eq!(named(&world.verify(&everything())), []);
    // AND another name begins anew
    let other = world.rewriter("backfill b", 3);
    assert!(
        world
            .units()
            .iter()
            .all(|unit| !unit.is_newer_than(other.begun_at()))
    );
}

#[test]
fn a_topic_that_was_created_again_has_nothing_to_say_of_former_commits() {
    let world = World::filled();
    let (path, _) = world.first_file();
    world.topic.recreate();
    world.memory.remove(&path);
    let plan = world.plan();
    assert!(plan.units.is_empty() && !plan.beyond.is_empty(), "{plan:?}");
}
