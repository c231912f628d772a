//! Files into a table in memory: once each, whatever was interrupted, and nothing else changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::batch::Rotation;
use crate::clock::Chance;
use crate::source::file::FileRows;
use crate::verify::FindingKind;
use crate::verify::place::Answer;
use crate::verify::tests::world::{World, definition, everything, named, places_in};

/// Rows of a file, of which reading fails before the one with number `breaks_at`, and which is changed before
/// the one with number `changes_at`.
struct Given {
    rows: Vec<String>,
    at: usize,
    breaks_at: Option<usize>,
    changes_at: Option<usize>,
}

impl FileRows for Given {
    fn next(&mut self, document: &mut Vec<u8>) -> Result<bool, FileError> {
        if self.breaks_at == Some(self.at) {
            return Err(FileError::Malformed {
                path: PathBuf::from("given"),
                format: "CSV",
                reason: "torn".into(),
            });
        }
        document.clear();
        let row = self.rows.get(self.at);
        document.extend(row.map_or("", String::as_str).bytes());
        self.at += 1;
        Ok(row.is_some())
    }

    fn check(&self) -> Result<(), FileError> {
        match self.changes_at {
            Some(row) if self.at > row => Err(FileError::Changed(PathBuf::from("given"))),
            _ => Ok(()),
        }
    }
}

fn given(count: usize) -> Given {
    let row = |n| match n % 10 {
        9 => "no sale".to_owned(),
        _ => format!(r#"{{"region":"Corse","amount":"{n}.50","note":{n},"tags":null,"by":{{}}}}"#),
    };
    Given {
        rows: (0..count).map(row).collect(),
        at: 0,
        breaks_at: None,
        changes_at: None,
    }
}

fn torn(count: usize, breaks_at: usize) -> Given {
    Given {
        breaks_at: Some(breaks_at),
        ..given(count)
    }
}

fn file(set: &str, name: &str, fingerprint: u64) -> FileName {
    FileName {
        set: set.into(),
        name: name.into(),
        fingerprint: format!("{fingerprint:016x}"),
    }
}

impl Loader {
    fn claim_one(&mut self, file: &FileName) -> Result<ClaimedFile, RewriteError> {
        let mut claimed = self.claim(vec![file.clone()])?;
        Ok(claimed.remove(0))
    }
}

impl World {
    fn loader(&self, seed: u64) -> Loader {
        let parts = RewriterParts {
            cuts: self.cuts(),
            definition: definition(),
            chance: Chance::from_seed(seed),
        };
        let rotation = Rotation {
            max_rows: 20,
            max_bytes: 1 << 30,
            max_age: Duration::from_secs(60),
            max_event_span_ms: None,
        };
        Loader::begin(parts, rotation).expect("opens")
    }

    fn load(&self, seed: u64, file: &FileName, mut rows: Given) -> Result<Loaded, RewriteError> {
        let mut loader = self.loader(seed);
        let claimed = loader.claim_one(file)?;
        loader.load(claimed, &mut rows, false, &mut |_| {})
    }

    /// How many rows and dead letters there are of each source partition, each offset once.
    fn by_number(&self) -> BTreeMap<i32, usize> {
        let mut numbers: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
        for folder in ["data/", "dead/"] {
            for bytes in self.files(folder).values() {
                for (number, offset) in places_in(bytes) {
                    numbers.entry(number).or_default().push(offset);
                }
            }
        }
        let once = |(number, mut offsets): (i32, Vec<i64>)| {
            offsets.sort_unstable();
            let all = offsets.len();
            offsets.dedup();
            assert_eq!(offsets.len(), all, "an offset of {number} is there twice");
            (number, all)
        };
        numbers.into_iter().map(once).collect()
    }

    fn is_clean(&self) {
        assert_eq!(named(&self.verify(&everything())), []);
        assert_eq!(self.quick(), []);
    }
}

#[test]
fn a_file_is_there_once_however_often_it_is_written() {
    let world = World::filled();
    let before = world.by_number();
    // WHEN two files are written, each of several records
    let first = world
        .load(100, &file("history", "a.csv", 1), given(50))
        .expect("is written");
    let second = world
        .load(101, &file("history", "b.csv", 2), given(30))
        .expect("is written");
    assert_eq!((first.rows, first.dead_letters, first.before), (45, 5, 0));
    assert_ne!(first.number, second.number);
    let mut wanted = before.clone();
    wanted.extend([(first.number, 50), (second.number, 30)]);
    assert_eq!(world.by_number(), wanted);
    world.is_clean();
    // THEN the same bytes add nothing
    let again = world
        .load(102, &file("history", "a.csv", 1), given(50))
        .expect("is read");
    assert_eq!((again.rows, again.before, again.replaced), (0, 50, 0));
    assert_eq!(world.by_number(), wanted);
    // AND other bytes under the name take the place of what it had become
    let changed = world
        .load(103, &file("history", "a.csv", 3), given(40))
        .expect("is written");
    assert!(changed.replaced > 0 && changed.rows == 36);
    wanted.remove(&first.number);
    wanted.insert(changed.number, 40);
    assert_eq!(world.by_number(), wanted);
    // AND a file without rows leaves nothing of it
    let empty = world
        .load(104, &file("history", "a.csv", 4), given(0))
        .expect("is written");
    assert!(empty.replaced > 0 && empty.rows == 0);
    wanted.remove(&changed.number);
    assert_eq!(world.by_number(), wanted);
    world.is_clean();
    // AND a writer goes on as if nothing had been
    world.send(0, 7);
    world.write();
    *wanted.entry(0).or_default() += 7;
    assert_eq!(world.by_number(), wanted);
    world.is_clean();
}

#[test]
fn what_was_interrupted_goes_on_behind_the_last_row_that_stands() {
    let world = World::filled();
    let name = file("history", "a.csv", 1);
    for (seed, breaks_at, stand) in [(100, 15, 0), (101, 25, 20), (102, 41, 40)] {
        let broken = world.load(seed, &name, torn(50, breaks_at));
        assert!(matches!(broken, Err(RewriteError::File(_))), "{broken:?}");
        let there: usize = world
            .by_number()
            .into_iter()
            .filter(|(n, _)| *n < 0)
            .map(|(_, n)| n)
            .sum();
        assert_eq!(there, stand);
        world.is_clean();
    }
    let last = world.load(103, &name, given(50)).expect("is written");
    assert_eq!((last.rows, last.dead_letters, last.before), (9, 1, 40));
    assert_eq!(world.by_number()[&last.number], 50);
    world.is_clean();
    // AND written again, all of it gives way, under the same number
    let mut loader = world.loader(104);
    let claimed = loader.claim_one(&name).expect("is claimed");
    let anew = loader
        .load(claimed, &mut given(50), true, &mut |_| {})
        .expect("is written");
    assert_eq!((anew.number, anew.rows, anew.before), (last.number, 45, 0));
    assert_eq!(world.by_number()[&last.number], 50);
    world.is_clean();
}

#[test]
fn the_same_bytes_under_another_name_are_refused() {
    let world = World::filled();
    world
        .load(100, &file("history", "a.csv", 1), given(10))
        .expect("is written");
    let before = world.by_number();
    for other in [file("history", "b.csv", 1), file("other", "a.csv", 1)] {
        let refused = world.load(101, &other, given(10)).expect_err("is refused");
        assert!(
            refused.to_string().contains("a.csv` of backfill history"),
            "{refused}"
        );
    }
    assert_eq!(world.by_number(), before);
    // Names that begin alike are others.
    world
        .load(102, &file("history", "a.csv b", 5), given(10))
        .expect("is written");
    world
        .load(103, &file("history", "a.csv", 1), given(10))
        .expect("is there");
    assert_eq!(world.by_number().len(), before.len() + 1);
    world.is_clean();
}

#[test]
fn of_two_that_write_the_same_file_the_later_stops_the_earlier() {
    let world = World::filled();
    let name = file("history", "a.csv", 1);
    let mut earlier = world.loader(100);
    // GIVEN one that has written a portion WHEN another begins the same file
    let claimed = earlier.claim_one(&name).expect("is claimed");
    let mut rows = given(50);
    let outcome = earlier.load(claimed, &mut rows, false, &mut |written| {
        if written == 20 {
            let later = world.load(101, &name, given(50)).expect("is written");
            assert_eq!(later.before, 20);
        }
    });
    // THEN the first is fenced, and no row is there twice
    let Err(RewriteError::Commit(error)) = outcome else {
        panic!("was not stopped: {outcome:?}");
    };
    assert!(
        matches!(error, crate::commit::CommitError::Fenced(_)),
        "{error}"
    );
    let numbers = world.by_number();
    assert_eq!(
        numbers.iter().find(|(n, _)| **n < 0).map(|(_, n)| *n),
        Some(50)
    );
    world.is_clean();
}

#[test]
fn a_lost_file_is_found_and_a_row_is_traced() {
    let world = World::filled();
    let loaded = world
        .load(100, &file("history", "a.csv", 1), given(20))
        .expect("is written");
    assert_eq!(world.at(loaded.number, 3), Answer::Row);
    assert_eq!(world.at(loaded.number, 9), Answer::DeadLetter);
    assert_eq!(world.at(loaded.number, 99), Answer::NotYetCommitted);
    assert_eq!(world.at(-1_000, 0), Answer::NeverInTopic);
    let of_file = |bytes: &bytes::Bytes| places_in(bytes).iter().any(|(n, _)| *n == loaded.number);
    let files = world.files("data/");
    let (path, _) = files
        .iter()
        .find(|(_, bytes)| of_file(bytes))
        .expect("is there");
    world.memory.remove(path);
    let found = named(&world.verify(&everything()));
    assert_eq!(found, [(FindingKind::MissingFile, path.to_string())]);
}

#[test]
fn files_of_one_session_are_claimed_at_once_and_have_numbers_of_their_own() {
    let world = World::filled();
    let mut loader = world.loader(100);
    let names: Vec<_> = (1..4)
        .map(|n| file("history", &format!("{n}.csv"), n))
        .collect();
    let mut numbers = Vec::new();
    for (claimed, rows) in loader
        .claim(names.clone())
        .expect("are free")
        .into_iter()
        .zip([30, 0, 7])
    {
        let loaded = loader.load(claimed, &mut given(rows), false, &mut |_| {});
        numbers.push((loaded.expect("is written").number, rows));
    }
    numbers.sort_unstable();
    numbers.dedup_by_key(|(number, _)| *number);
    assert_eq!(numbers.len(), 3, "{numbers:?}");
    for (number, rows) in numbers {
        assert_eq!(world.by_number().get(&number).copied().unwrap_or(0), rows);
    }
    world.is_clean();
    // WHEN two of them are alike THEN none is begun
    let before = world.by_number();
    let twins = vec![file("history", "x.csv", 9), file("history", "y.csv", 9)];
    let refused = world.loader(101).claim(twins).expect_err("is refused");
    assert!(
        refused.to_string().contains("x.csv` of backfill history"),
        "{refused}"
    );
    assert_eq!(world.by_number(), before);
}

#[test]
fn of_a_file_that_changes_nothing_is_written_that_was_read_afterwards() {
    let world = World::filled();
    let before = world.by_number();
    let name = file("history", "a.csv", 1);
    for (seed, changes_at, stand) in [(100, 5, None), (101, 25, Some(20)), (102, 50, Some(40))] {
        let rows = Given {
            changes_at: Some(changes_at),
            ..given(50)
        };
        let outcome = world.load(seed, &name, rows);
        assert!(
            matches!(outcome, Err(RewriteError::File(FileError::Changed(_)))),
            "{outcome:?}"
        );
        let there: usize = world
            .by_number()
            .into_iter()
            .filter(|(n, _)| *n < 0)
            .map(|(_, n)| n)
            .sum();
        assert_eq!((there > 0).then_some(there), stand);
        world.is_clean();
    }
    // WHEN the changed file is written THEN it takes the place of what was there of the old one
    let loaded = world
        .load(103, &file("history", "a.csv", 2), given(30))
        .expect("is written");
    let mut wanted = before;
    wanted.insert(loaded.number, 30);
    assert_eq!(world.by_number(), wanted);
    world.is_clean();
}
