//! The stages together, over a store in memory.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::trial::{DAY, Trial, TrialStore, column, noisy_row, offsets, row};
use super::*;
use crate::store::memory::Staging;
use crate::store::{Staged, StoreErrorKind};

const REGIONS: [Option<&str>; 7] = [
    Some("Île-de-France"),
    Some("Provence-Alpes-Côte d'Azur"),
    Some(""),
    None,
    Some("a/b=c %2F"),
    Some("__HIVE_DEFAULT_PARTITION__"),
    Some("Corse"),
];

/// A message, and what must become of it.
#[derive(Clone, Debug)]
enum Sent {
    Row {
        day: i64,
        region: Option<&'static str>,
        note: String,
    },
    Malformed,
    YearTooLate,
    Tombstone,
}

impl Sent {
    fn value(&self, offset: i64) -> Option<Vec<u8>> {
        let json = |sold_at: i64, region: Option<&str>, note: &str| {
            let value = serde_json::json!({
                "id": offset, "sold_at": sold_at, "region": region, "note": note,
                "lines": vec![7; usize::try_from(offset % 3).expect("an offset")],
            });
            Some(value.to_string().into_bytes())
        };
        match self {
            Self::Row { day, region, note } => json(day * DAY + offset, *region, note),
            Self::Malformed => Some(format!("{{\"id\": {offset}").into_bytes()),
            Self::YearTooLate => json(i64::MAX / 2, None, ""),
            Self::Tombstone => None,
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        20 => (20_000i64..20_005, prop::sample::select(&REGIONS[..]), "[a-zé]{0,40}")
            .prop_map(|(day, region, note)| Sent::Row { day, region, note }),
        1 => Just(Sent::Malformed),
        1 => Just(Sent::YearTooLate),
        1 => Just(Sent::Tombstone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn every_message_comes_out_once(
        messages in prop::collection::vec((0i32..3, 1i64..4, sent()), 1..1_000),
        spec in prop::sample::select(vec![
            &["date(sold_at)", "region"][..], &["region"], &["hour(sold_at)"], &["id"], &[],
        ]),
        sort_by in prop::sample::select(vec![&[][..], &["note", "id"]]),
        budget_bytes in prop::sample::select(vec![200_000usize, 1 << 20, 64 << 20]),
        commit_every in 50usize..2_000,
        poll in 1usize..300,
    ) {
        // GIVEN messages of three source partitions with gaps between their offsets.
        let (store, removed) = TrialStore::new(Staging::File);
        let mut trial = Trial::over(store, removed, spec, sort_by, budget_bytes);
        let mut next = [100i64; 3];
        for partition in 0..3 {
            trial.cut.begin(partition, 100);
        }
        let mut expected: BTreeMap<(i32, i64), Sent> = BTreeMap::new();
        let mut sealed = Vec::new();
        // WHEN they are accepted, relieved after each poll, and committed now and then.
        for (count, (partition, step, sent)) in messages.into_iter().enumerate() {
            // Only a table that is partitioned by time cannot take every time.
            let by_time = spec.iter().any(|entry| entry.contains("sold_at"));
            let sent = match sent {
                Sent::YearTooLate if !by_time => Sent::Malformed,
                sent => sent,
            };
            let at = &mut next[usize::try_from(partition).expect("a number")];
            let offset = *at + step - 1;
            *at = offset + 1;
            trial.accept(partition, offset, sent.value(offset).as_deref());
            expected.insert((partition, offset), sent);
            if count % poll == 0 {
                trial.relieve(&mut sealed);
            }
            if count % commit_every == commit_every - 1 {
                sealed.push(trial.seal().expect("a commit"));
            }
        }
        sealed.push(trial.seal().expect("a commit"));
        // THEN ranges follow each other and count every message.
        let mut at = [100i64; 3];
        let mut counted = 0;
        for range in sealed.iter().flat_map(|sealed| &sealed.ranges) {
            let partition = usize::try_from(range.partition).expect("a number");
            prop_assert_eq!(range.range.start(), at[partition]);
            at[partition] = range.range.next();
            counted += range.rows + range.dead_letters + range.tombstones;
        }
        prop_assert_eq!(at, next);
        prop_assert_eq!(counted, expected.len() as u64);
        // THEN each row is in one file, of its own lake partition, with its values.
        for file in sealed.iter().flat_map(|sealed| &sealed.files) {
            for batch in trial.rows_of(file) {
                check_rows(&batch, file, &mut expected)?;
            }
        }
        // THEN dead letters hold the message as it was, and tombstones are left.
        for file in sealed.iter().flat_map(|sealed| &sealed.dead) {
            for batch in trial.rows_of(file) {
                check_dead_letters(&batch, &mut expected)?;
            }
        }
        prop_assert!(expected.values().all(|sent| matches!(sent, Sent::Tombstone)));
        // THEN no byte is counted any more, and no file is left in between.
        prop_assert_eq!(trial.budget.used(), 0);
        let staged = trial.store.memory.files();
        prop_assert!(staged.keys().all(|path| path.as_str().ends_with(".parquet")));
    }
}

fn check_rows(
    batch: &RecordBatch,
    file: &StagedFile,
    expected: &mut BTreeMap<(i32, i64), Sent>,
) -> Result<(), TestCaseError> {
    let ids = column(batch, "id").as_primitive::<Int64Type>();
    let regions = column(batch, "region").as_string::<i32>();
    let notes = column(batch, "note").as_string::<i32>();
    let lines = column(batch, "lines").as_list::<i32>();
    for (row, (partition, offset)) in offsets(batch).enumerate() {
        let Some(Sent::Row { day, region, note }) = expected.remove(&(partition, offset)) else {
            return Err(TestCaseError::fail(format!(
                "{partition}/{offset} is no row, or twice"
            )));
        };
        prop_assert_eq!(ids.value(row), offset);
        prop_assert_eq!(regions.iter().nth(row).flatten(), region);
        prop_assert_eq!(notes.value(row), note);
        let length = usize::try_from(offset % 3).expect("an offset");
        prop_assert_eq!(lines.value(row).len(), length);
        for (name, value) in &file.partition {
            let date = chrono::DateTime::from_timestamp_micros(day * DAY).expect("in range");
            let right = match name.as_str() {
                "region" => region
                    .filter(|region| !region.is_empty())
                    .map(str::to_owned),
                "date" => Some(date.format("%Y-%m-%d").to_string()),
                "hour" => Some(date.format("%Y-%m-%d-00").to_string()),
                _ => Some(offset.to_string()),
            };
            prop_assert_eq!(value, &right);
        }
    }
    Ok(())
}

fn check_dead_letters(
    batch: &RecordBatch,
    expected: &mut BTreeMap<(i32, i64), Sent>,
) -> Result<(), TestCaseError> {
    let values = column(batch, "value").as_binary::<i32>();
    let reasons = column(batch, "reason").as_string::<i32>();
    let fields = column(batch, "field").as_string::<i32>();
    for (row, (partition, offset)) in offsets(batch).enumerate() {
        let Some(sent) = expected.remove(&(partition, offset)) else {
            return Err(TestCaseError::fail(format!(
                "{partition}/{offset} is there twice"
            )));
        };
        let value = sent.value(offset);
        prop_assert_eq!(Some(values.value(row)), value.as_deref());
        match sent {
            Sent::Malformed => prop_assert_eq!(reasons.value(row), "truncated"),
            Sent::YearTooLate => {
                prop_assert_eq!(reasons.value(row), "out_of_range");
                prop_assert_eq!(fields.value(row), "sold_at");
            }
            other => return Err(TestCaseError::fail(format!("{other:?} is no dead letter"))),
        }
    }
    Ok(())
}

#[test]
fn the_budget_holds_with_two_thousand_lake_partitions() {
    // GIVEN rows of 2,040 lake partitions in a mixed order, several times the budget.
    let limit = 12 << 20;
    let mut trial = Trial::new(&["date(sold_at)", "region"], limit);
    trial.cut.begin(0, 0);
    let mut sealed = Vec::new();
    // WHEN they are accepted.
    let rows = 80_000;
    for offset in 0..rows {
        let lake_partition = offset * 7_919 % 2_040;
        let region = format!("Région n° {}", lake_partition % 12);
        let value = row(20_000 + lake_partition / 12, &region, offset);
        trial.accept(0, offset, Some(&value));
        if offset % 2_000 == 0 {
            trial.relieve(&mut sealed);
        }
    }
    sealed.push(trial.seal().expect("a commit"));
    // THEN no more bytes were counted at any moment than the budget has, and all rows are there.
    let peak = trial.budget.peak();
    assert!(peak <= limit, "{peak} of {limit} bytes");
    assert!(peak > limit / 4, "{peak} bytes: this tests nothing");
    let written: u64 = sealed
        .iter()
        .flat_map(|s| &s.files)
        .map(|file| file.rows)
        .sum();
    assert_eq!(written, u64::try_from(rows).expect("positive"));
    assert!(sealed.iter().all(|sealed| sealed.files.len() <= 2_040));
}

#[test]
fn a_store_that_holds_bytes_back_asks_for_a_commit() {
    // GIVEN a store that keeps files whole until they are finished.
    let (store, removed) = TrialStore::new(Staging::Upload);
    let mut trial = Trial::over(store, removed, &["region"], &[], 4 << 20);
    trial.cut.begin(0, 0);
    // WHEN rows that cannot be compressed come and come.
    let mut offset = 0;
    let asked = loop {
        for _ in 0..2_000 {
            trial.accept(0, offset, Some(&noisy_row("Corse", offset)));
            offset += 1;
        }
        let relief = trial.cut.relieve().expect("the store takes everything");
        if relief == Relief::CommitNow || offset > 1_000_000 {
            break relief;
        }
    };
    // THEN a commit is asked for before the budget is used up, and lets all memory go.
    assert_eq!(asked, Relief::CommitNow);
    let sealed = trial.seal().expect("a commit");
    assert_eq!(
        sealed.files.iter().map(|file| file.rows).sum::<u64>(),
        offset.unsigned_abs()
    );
    assert!(trial.budget.peak() <= trial.budget.limit_bytes());
    assert_eq!(trial.budget.used(), 0);
}

#[test]
fn a_slow_store_stops_the_reading_until_it_has_caught_up() {
    // GIVEN a store that takes no byte for now.
    let (store, removed) = TrialStore::new(Staging::File);
    let slow = Arc::clone(&store.slow);
    let taken = slow.writes.forget_permits(Semaphore::MAX_PERMITS);
    let mut trial = Trial::over(store, removed, &["id"], &[], 4 << 20);
    trial.cut.begin(0, 0);
    // WHEN cut after cut is sealed without waiting for it.
    let mut sealing = Vec::new();
    let mut offset = 0;
    while trial.cut.relieve().expect("no failure") != Relief::Wait {
        for _ in 0..200 {
            trial.accept(0, offset, Some(&row(20_000, "Corse", offset)));
            offset += 1;
        }
        sealing.push(trial.cut.seal());
        assert!(offset < 1_000_000, "never asked to wait");
    }
    // THEN it asks to wait while within the budget, and no longer once the store has taken all.
    assert!(trial.budget.used() <= trial.budget.limit_bytes());
    slow.writes.add_permits(taken);
    let sealed = trial
        .runtime
        .block_on(futures::future::try_join_all(sealing));
    let sealed = sealed.expect("all durable");
    assert_eq!(trial.cut.relieve().expect("no failure"), Relief::Enough);
    assert_eq!(trial.budget.used(), 0);
    let rows: u64 = sealed
        .iter()
        .flat_map(|s| &s.files)
        .map(|file| file.rows)
        .sum();
    assert_eq!(rows, offset.unsigned_abs());
}

#[test]
fn a_lost_file_fails_the_cut_and_nothing_is_left_behind() {
    // GIVEN rows of two lake partitions, and a store that is full from now on.
    let mut trial = Trial::new(&["region"], 64 << 20);
    trial.cut.begin(0, 0);
    for offset in 0..10 {
        let region = ["Corse", "Bretagne"][usize::try_from(offset % 2).expect("0 or 1")];
        trial.accept(0, offset, Some(&row(20_000, region, offset)));
    }
    trial.store.slow.fails.store(true, Ordering::SeqCst);
    // WHEN the cut is sealed THEN its future says what the store said, and no memory is kept.
    let error = trial.seal().expect_err("the store is full");
    assert_eq!(error.kind, StoreErrorKind::Full);
    trial.cut.abandon();
    assert_eq!(trial.cut.position(0), None);
    // WHEN the store takes bytes again THEN the same rows are written.
    trial.store.slow.fails.store(false, Ordering::SeqCst);
    trial.cut.begin(0, 0);
    for offset in 0..10 {
        trial.accept(0, offset, Some(&row(20_000, "Corse", offset)));
    }
    let sealed = trial.seal().expect("a commit");
    assert_eq!((sealed.files.len(), sealed.files[0].rows), (1, 10));
}

#[test]
fn an_abandoned_cut_removes_its_files() {
    // GIVEN a budget so small that files are begun before the seal.
    let mut trial = Trial::new(&["region"], 1 << 20);
    trial.cut.begin(0, 0);
    let mut sealed = Vec::new();
    for offset in 0..20_000 {
        trial.accept(0, offset, Some(&noisy_row("Corse", offset)));
        if offset % 500 == 0 {
            trial.relieve(&mut sealed);
        }
    }
    assert!(sealed.is_empty(), "one file, begun and open");
    assert!(trial.cut.data.encoded_bytes() > 100_000 && !trial.cut.is_empty());
    // WHEN the cut is abandoned THEN the file is removed, and nothing is held.
    trial.cut.abandon();
    let removed = trial.next_removed();
    assert!(
        removed.as_str().starts_with("data/region=Corse/"),
        "{removed}"
    );
    assert!(trial.cut.is_empty());
    assert!(trial.store.memory.files().is_empty());
    assert_eq!(trial.cut.contents(), Contents::default());
}

#[test]
fn a_seal_that_nobody_waits_for_removes_its_files() {
    // GIVEN a sealed cut whose files are not yet written.
    let (store, removed) = TrialStore::new(Staging::File);
    let slow = Arc::clone(&store.slow);
    let taken = slow.writes.forget_permits(Semaphore::MAX_PERMITS);
    let mut trial = Trial::over(store, removed, &["region"], &[], 64 << 20);
    trial.cut.begin(0, 0);
    trial.accept(0, 0, Some(&row(20_000, "Corse", 0)));
    // WHEN nobody waits any more, and the store goes on THEN the file is removed.
    drop(trial.cut.seal());
    slow.writes.add_permits(taken);
    trial.next_removed();
    assert!(trial.store.memory.files().is_empty());
}

#[test]
fn files_say_who_wrote_them_and_how() {
    // GIVEN a table sorted by note.
    let (store, removed) = TrialStore::new(Staging::File);
    let mut trial = Trial::over(store, removed, &["region"], &["note"], 64 << 20);
    trial.cut.begin(0, 0);
    for offset in 0..1_000 {
        trial.accept(0, offset, Some(&row(20_000, "Corse", offset)));
    }
    trial.accept(0, 1_000, Some(b"not json"));
    let sealed = trial.seal().expect("a commit");
    // WHEN the file is opened THEN names, metadata and columns are as described.
    let file = &sealed.files[0];
    assert_eq!(
        file.target.as_str(),
        "data/region=Corse/00000000000000ab-000001-00001.parquet"
    );
    assert_eq!(
        file.staged,
        Staged::File {
            path: TablePath::new("stage/00000000000000ab/00000000000000ab-000001-00001")
                .expect("a path")
        }
    );
    assert!(sealed.dead[0].target.as_str().starts_with("dead/date="));
    let reader = SerializedFileReader::new(trial.bytes_of(file)).expect("a Parquet file");
    let metadata = reader.metadata().file_metadata();
    let value = |key: &str| {
        let entries = metadata.key_value_metadata().expect("metadata");
        entries
            .iter()
            .find(|entry| entry.key == key)
            .and_then(|entry| entry.value.clone())
    };
    assert_eq!(value("lake-writer.table").as_deref(), Some("memory:///"));
    assert_eq!(
        value("lake-writer.cut").as_deref(),
        Some("00000000000000ab-000001")
    );
    let group = reader.metadata().row_group(0);
    let sorting = group.sorting_columns().expect("sorted");
    assert_eq!((sorting.len(), sorting[0].column_idx), (1, 3));
    let dictionaries: Vec<_> = group
        .columns()
        .iter()
        .map(|column| {
            (
                column.column_path().string(),
                column.dictionary_page_offset().is_some(),
            )
        })
        .collect();
    let has = |name: &str| dictionaries.iter().any(|(path, has)| path == name && *has);
    assert!(
        has("region") && has("note") && has("kafka_partition"),
        "{dictionaries:?}"
    );
    assert!(!has("id") && !has("kafka_offset"), "{dictionaries:?}");
    let names: Vec<_> = metadata
        .schema_descr()
        .root_schema()
        .get_fields()
        .iter()
        .map(|f| f.name().to_owned())
        .collect();
    assert_eq!(names[5..], ["kafka_partition", "kafka_offset"]);
}

#[test]
fn estimates_come_before_the_encoding() {
    // GIVEN a cut that holds rows only WHEN asked for its size THEN there is one, which the first
    // sealed cut makes better.
    let mut trial = Trial::new(&["region"], 64 << 20);
    trial.cut.begin(0, 0);
    let accept = |trial: &mut Trial, from: i64| {
        for offset in from..from + 5_000 {
            trial.accept(0, offset, Some(&row(20_000, "Corse", offset)));
        }
    };
    accept(&mut trial, 0);
    let first = trial.cut.contents();
    assert_eq!(first.rows, 5_000);
    assert!(first.encoded_bytes > 0 && first.first_at.is_some());
    let sealed = trial.seal().expect("a commit");
    assert_eq!(trial.cut.contents(), Contents::default());
    accept(&mut trial, 5_000);
    let bytes = sealed.files[0].bytes;
    let estimate = trial.cut.contents().encoded_bytes;
    assert!(
        (bytes / 2..bytes * 2).contains(&estimate),
        "{estimate} for {bytes}"
    );
}
