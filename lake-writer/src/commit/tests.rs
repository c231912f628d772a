//! The log against a store in memory, with faults put between.

mod checkpoints;
mod replacements;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::record::{
    Claim, ClaimedSource, Commit, CommittedRange, DataFile, Definition, FileSource, record_path,
};
use super::state::SourceState;
use super::*;
use crate::clock::{Chance, SystemClock};
use crate::source::{OffsetRange, SourcePartition};
use crate::store::fault::{FaultStore, Faults, Op, Step};
use crate::store::memory::{MemoryStore, Staging};
use crate::store::{Published, Store};

fn definition() -> Definition {
    Definition {
        partition_by: vec!["region".into()],
        time_zone: "UTC".into(),
        columns: vec![("region".into(), "Utf8".into())],
    }
}

fn source(partition: i32) -> SourcePartition {
    SourcePartition {
        topic_id: "topic".into(),
        partition,
    }
}

async fn open(store: &Arc<dyn Store>, seed: u64) -> Log {
    let clock = Arc::new(SystemClock::new());
    Log::open(store.clone(), clock, Chance::from_seed(seed), definition())
        .await
        .expect("opens")
}

async fn claim(log: &mut Log, partition: i32) -> SourceState {
    let claim = Claim {
        topic: "sales".into(),
        sources: vec![ClaimedSource {
            source: source(partition),
            first: 0,
        }],
        begins: Vec::new(),
    };
    log.claim(claim).await.expect("claims").remove(0).1
}

/// As a writer names its files: by session, cut and number.
async fn staged_commit(store: &dyn Store, held: &SourceState, rows: i64, name: &str) -> Commit {
    let path = TablePath::new(format!("data/region=Corse/{name}.parquet")).expect("legal");
    let staging = TablePath::new(format!("stage/{}", name.replacen('-', "/", 1))).expect("legal");
    let mut writer = store.stage(&path, &staging).await.expect("stages");
    writer
        .write(Bytes::from_static(b"rows"))
        .await
        .expect("writes");
    let staged = writer.finish().await.expect("finishes");
    let range = OffsetRange::new(held.next, held.next + rows);
    Commit {
        ranges: vec![CommittedRange {
            source: source(0),
            range,
            epoch: held.epoch,
            rows: rows.unsigned_abs(),
            dead_letters: 0,
            tombstones: 0,
            lost: 0,
        }],
        files: vec![DataFile {
            path,
            staged,
            bytes: 4,
            rows: rows.unsigned_abs(),
            xxh3: "0".into(),
            partition: [("region".to_owned(), Some("Corse".to_owned()))].into(),
            sources: vec![FileSource {
                partition: 0,
                min: range.start(),
                max: range.next() - 1,
                rows: rows.unsigned_abs(),
            }],
        }],
        dead: Vec::new(),
    }
}

fn visible(store: &MemoryStore) -> Vec<String> {
    let files = store.files().into_keys().map(String::from);
    files.filter(|path| path.starts_with("data/")).collect()
}

/// Makes puts of log records go wrong, so many times.
#[derive(Debug)]
struct BadPuts {
    memory: MemoryStore,
    left: AtomicU32,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The put takes effect and its reply is lost.
    AfterEffect,
    /// The put never reaches the store.
    BeforeEffect,
    /// Somebody sweeps the prepared bytes just before the put.
    Swept,
}

impl BadPuts {
    /// A store whose puts all go well until `left` says otherwise.
    fn over(memory: &MemoryStore, fault: Fault) -> (Arc<dyn Store>, Arc<Self>) {
        let bad = Arc::new(Self {
            memory: memory.clone(),
            left: AtomicU32::new(0),
            fault,
        });
        let store = FaultStore::new(Arc::new(memory.clone()), bad.clone());
        (Arc::new(store), bad)
    }

    fn sweep_prepared(&self) {
        let prepared = |path: &TablePath| path.file_name().starts_with("log-");
        for path in self.memory.files().into_keys().filter(prepared) {
            self.memory.remove(&path);
        }
    }

    fn happens(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        left.is_ok()
    }
}

#[async_trait]
impl Faults for BadPuts {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        if step.op != Op::PutIfAbsent {
            return Ok(());
        }
        match self.fault {
            Fault::BeforeEffect if self.happens() => Err(step.lost("never sent")),
            Fault::Swept if self.happens() => {
                self.sweep_prepared();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        let concerned = step.op == Op::PutIfAbsent && self.fault == Fault::AfterEffect;
        if concerned && self.happens() {
            return Err(step.lost("the reply is lost"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_commit_becomes_visible_and_moves_the_offset() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a claimed partition and a staged file
        let memory = MemoryStore::new(staging);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut log = open(&store, 1).await;
        let held = claim(&mut log, 0).await;
        let commit = staged_commit(store.as_ref(), &held, 10, "a").await;
        assert!(visible(&memory).is_empty());
        // WHEN it is committed and published
        let appended = log.commit(commit.clone()).await.expect("commits");
        assert!(
            visible(&memory).is_empty(),
            "nothing is visible before it is published"
        );
        log.publish(appended.number, &commit)
            .await
            .expect("publishes");
        // THEN a reader sees it, and a fold by another writer stands behind it
        assert_eq!(visible(&memory), ["data/region=Corse/a.parquet"]);
        let state = fold(store.as_ref()).await.expect("folds");
        assert_eq!(state.sources[&source(0)].next, 10);
        assert_eq!(state.totals.rows, 10);
    }
}

#[tokio::test]
async fn a_writer_whose_partition_was_claimed_is_fenced() {
    // GIVEN a writer with a staged commit
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut old = open(&store, 1).await;
    let held = claim(&mut old, 0).await;
    let commit = staged_commit(store.as_ref(), &held, 10, "old").await;
    // WHEN another writer claims the partition before the commit
    let mut new = open(&store, 2).await;
    let newer = claim(&mut new, 0).await;
    assert_eq!(newer.next, held.next);
    // THEN the first is refused, and leaves no trace in data/ or in the offsets
    let error = old.commit(commit).await.expect_err("is fenced");
    assert!(matches!(error, CommitError::Fenced(_)), "{error}");
    assert!(visible(&memory).is_empty());
    let commit = staged_commit(store.as_ref(), &newer, 10, "new").await;
    let appended = new.commit(commit.clone()).await.expect("commits");
    new.publish(appended.number, &commit)
        .await
        .expect("publishes");
    assert_eq!(visible(&memory), ["data/region=Corse/new.parquet"]);
}

#[tokio::test]
async fn the_same_range_cannot_be_committed_twice() {
    // GIVEN a commit that stands
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    let mut log = open(&store, 1).await;
    let held = claim(&mut log, 0).await;
    let first = staged_commit(store.as_ref(), &held, 10, "a").await;
    log.commit(first).await.expect("commits");
    // WHEN its range is offered again in other files THEN it is refused
    let again = staged_commit(store.as_ref(), &held, 10, "b").await;
    let error = log.commit(again).await.expect_err("is refused");
    assert!(
        matches!(error, CommitError::Fenced(ref f) if f.next == 10 && f.start == 0),
        "{error}"
    );
}

#[tokio::test]
async fn a_put_whose_reply_was_lost_counts_once() {
    // GIVEN a store that puts the third record (the commit) and loses its reply
    let memory = MemoryStore::new(Staging::File);
    let plain: Arc<dyn Store> = Arc::new(memory.clone());
    let held = claim(&mut open(&plain, 1).await, 0).await;
    let (store, puts) = BadPuts::over(&memory, Fault::AfterEffect);
    let mut log = open(&store, 1).await;
    let again = claim(&mut log, 0).await;
    assert_eq!(again.next, held.next);
    let commit = staged_commit(store.as_ref(), &again, 10, "a").await;
    puts.left.store(1, Ordering::SeqCst);
    // WHEN it commits
    let appended = log
        .commit(commit.clone())
        .await
        .expect("finds its own record");
    log.publish(appended.number, &commit)
        .await
        .expect("publishes");
    // THEN the range stands once, and the next one follows it
    let state = fold(store.as_ref()).await.expect("folds");
    assert_eq!(state.sources[&source(0)].next, 10);
    assert_eq!(state.totals.commits, 1);
}

#[tokio::test]
async fn a_put_that_failed_without_effect_is_an_error() {
    // GIVEN a store that drops a put and its reply
    let memory = MemoryStore::new(Staging::File);
    let (store, puts) = BadPuts::over(&memory, Fault::BeforeEffect);
    let mut log = open(&store, 1).await;
    let held = claim(&mut log, 0).await;
    let commit = staged_commit(store.as_ref(), &held, 10, "a").await;
    puts.left.store(1, Ordering::SeqCst);
    // WHEN it commits THEN it fails, and the log has not moved
    let error = log.commit(commit).await.expect_err("fails");
    assert!(matches!(error, CommitError::Store(_)), "{error}");
    assert_eq!(fold(store.as_ref()).await.expect("folds").totals.commits, 0);
}

#[tokio::test]
async fn the_next_start_publishes_what_a_crash_left() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a commit that was recorded, and whose writer died before publishing
        let memory = MemoryStore::new(staging);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut log = open(&store, 1).await;
        let held = claim(&mut log, 0).await;
        let commit = staged_commit(store.as_ref(), &held, 10, "a").await;
        log.commit(commit).await.expect("commits");
        drop(log);
        assert!(visible(&memory).is_empty());
        // WHEN another writer starts
        let mut next = open(&store, 2).await;
        assert_eq!(next.roll_forward().await.expect("rolls forward"), 1);
        // THEN the file is visible, and its next record says so
        assert_eq!(visible(&memory), ["data/region=Corse/a.parquet"]);
        claim(&mut next, 0).await;
        assert!(
            fold(store.as_ref())
                .await
                .expect("folds")
                .unpublished
                .is_empty()
        );
    }
}

#[tokio::test]
async fn who_takes_a_partition_over_publishes_what_its_holder_left() {
    // GIVEN two running writers, one of which dies between its record and publishing
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut running = open(&store, 1).await;
    let mut dying = open(&store, 2).await;
    let held = claim(&mut dying, 0).await;
    let commit = staged_commit(store.as_ref(), &held, 10, "a").await;
    dying.commit(commit).await.expect("commits");
    drop(dying);
    // WHEN the other, which started before, claims another partition THEN it is none of its business
    claim(&mut running, 1).await;
    assert!(visible(&memory).is_empty());
    // WHEN it takes the partition over THEN the file is visible, and reading goes on behind it
    assert_eq!(claim(&mut running, 0).await.next, 10);
    assert_eq!(visible(&memory), ["data/region=Corse/a.parquet"]);
}

#[tokio::test]
async fn a_prepared_record_that_was_swept_is_prepared_again() {
    // GIVEN a store whose sweeper takes the prepared record of a session that has no claim yet
    let memory = MemoryStore::new(Staging::File);
    let plain: Arc<dyn Store> = Arc::new(memory.clone());
    open(&plain, 1).await;
    let (store, puts) = BadPuts::over(&memory, Fault::Swept);
    puts.left.store(1, Ordering::SeqCst);
    // WHEN the session claims THEN the claim stands all the same, once
    claim(&mut open(&store, 2).await, 0).await;
    let state = fold(store.as_ref()).await.expect("folds");
    assert_eq!(state.head, Some(1));
    assert_eq!(state.sources[&source(0)].epoch, 1);
}

#[tokio::test]
async fn a_file_that_is_gone_is_a_loud_error() {
    // GIVEN a recorded commit whose staged file someone removed
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    let mut log = open(&store, 1).await;
    let held = claim(&mut log, 0).await;
    let commit = staged_commit(store.as_ref(), &held, 10, "a").await;
    log.commit(commit.clone()).await.expect("commits");
    store
        .discard(&commit.files[0].staged, &commit.files[0].path)
        .await
        .expect("discards");
    // WHEN a writer starts THEN it names the file and the offsets
    let error = open(&store, 2)
        .await
        .roll_forward()
        .await
        .expect_err("halts")
        .to_string();
    assert!(
        error.contains("data/region=Corse/a.parquet") && error.contains("0..10"),
        "{error}"
    );
}

#[tokio::test]
async fn many_writers_append_without_a_gap() {
    // GIVEN eight writers on one log
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    open(&store, 0).await;
    // WHEN each claims its own partition twenty times, all at once
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut log = open(&store, 100 + writer).await;
            for _ in 0..20 {
                claim(&mut log, i32::try_from(writer).expect("small")).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("runs");
    }
    // THEN every record stands at a number of its own: the table's and 160 claims
    assert_eq!(fold(store.as_ref()).await.expect("folds").head, Some(160));
}

#[tokio::test]
async fn a_table_with_another_definition_is_refused() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    open(&store, 1).await;
    let refused = |definition: Definition| {
        let store = store.clone();
        async move {
            let clock = Arc::new(SystemClock::new());
            let error = Log::open(store, clock, Chance::from_seed(2), definition).await;
            error.expect_err("is refused").to_string()
        }
    };
    let other = Definition {
        partition_by: vec!["date(sold_at)".into()],
        ..definition()
    };
    assert!(
        refused(other)
            .await
            .contains("is partitioned by [\"region\"]")
    );
    let other = Definition {
        time_zone: "Europe/Paris".into(),
        ..definition()
    };
    assert!(refused(other).await.contains("time zone UTC"));
    let other = Definition {
        columns: vec![("region".into(), "Int32".into())],
        ..definition()
    };
    assert!(refused(other).await.contains("`region`"));
}

#[tokio::test]
async fn a_missing_record_is_a_hole_and_not_the_end() {
    // GIVEN a log of four records, one of which someone removed
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    for _ in 0..3 {
        claim(&mut log, 0).await;
    }
    store.delete(&record_path(2)).await.expect("deletes");
    // WHEN it is folded THEN the hole is named
    let error = fold(store.as_ref())
        .await
        .expect_err("is broken")
        .to_string();
    assert!(
        error.contains("record 2") && error.contains("record 3 is there"),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_clearly() {
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    open(&store, 1).await;
    memory.plant(
        &record_path(1),
        Bytes::from_static(br#"{"format":2,"anything":"else"}"#),
    );
    let error = fold(store.as_ref())
        .await
        .expect_err("is refused")
        .to_string();
    assert!(
        error.contains("format 2") && error.contains("newer lake-writer"),
        "{error}"
    );
}

#[tokio::test]
async fn the_latest_start_counts_for_partitions_claimed_later() {
    // GIVEN a first claim of partition 0 that says where partition 1 begins
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    let mut log = open(&store, 1).await;
    let first = |partition, first| ClaimedSource {
        source: source(partition),
        first,
    };
    let begins = vec![first(0, 100), first(1, 200)];
    let body = Claim {
        topic: "sales".into(),
        sources: vec![first(0, 5)],
        begins,
    };
    assert_eq!(log.claim(body).await.expect("claims")[0].1.next, 100);
    // WHEN another writer claims partition 1 with its low watermark
    let claim = Claim {
        topic: "sales".into(),
        sources: vec![first(1, 7)],
        begins: Vec::new(),
    };
    let claimed = open(&store, 2).await.claim(claim).await.expect("claims");
    // THEN it begins where the first claim said
    assert_eq!(claimed[0].1.next, 200);
}

#[tokio::test]
async fn a_sweep_takes_only_what_nobody_can_commit() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a dead writer with a recorded, unpublished file and one that was never recorded
        let memory = MemoryStore::new(staging);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut dead = open(&store, 1).await;
        let held = claim(&mut dead, 0).await;
        let named = |log: &Log, n: u32| (log.session().to_owned(), n);
        let name = |(session, n): (String, u32)| format!("{session}-000000-{n:05}");
        let recorded = name(named(&dead, 0));
        let recorded = staged_commit(store.as_ref(), &held, 10, &recorded).await;
        dead.commit(recorded.clone()).await.expect("commits");
        let lost = staged_commit(store.as_ref(), &held, 10, &name(named(&dead, 1))).await;
        // WHEN a sweep runs while its claim stands THEN nothing is debris
        let next = Mutex::new(open(&store, 2).await);
        assert_eq!(
            sweep::sweep(&next).await.expect("sweeps"),
            sweep::Swept::default()
        );
        // WHEN another has claimed the partition, and died before it could publish anything, THEN
        // only the unrecorded file is
        let other = record::Record {
            format: record::FORMAT,
            session: "00000000000000aa".into(),
            nonce: "00000000000000ab".into(),
            checked: None,
            at: String::new(),
            published: Vec::new(),
            body: record::Body::Claim(Claim {
                topic: "sales".into(),
                sources: vec![ClaimedSource {
                    source: source(0),
                    first: 0,
                }],
                begins: Vec::new(),
            }),
        };
        memory.plant(&record_path(3), other.encode().into());
        let swept = sweep::sweep(&next).await.expect("sweeps");
        assert_eq!(swept.files + swept.uploads, 1);
        let path = &lost.files[0].path;
        let published = store
            .publish(&lost.files[0].staged, path, 4)
            .await
            .expect("looks");
        assert_eq!(published, Published::Missing);
        assert_eq!(
            next.lock()
                .await
                .roll_forward()
                .await
                .expect("rolls forward"),
            1
        );
        assert_eq!(visible(&memory), [recorded.files[0].path.as_str()]);
    }
}

/// Every record of the fixtures reads, and is written back byte for byte: what one version wrote
/// every later one reads.
#[test]
fn golden_records_of_format_1_read_and_write_alike() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log-format-1");
    let mut state = State::default();
    for number in 0..6 {
        let path = format!("{folder}/{number:020}.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let record = record::Record::decode(number, text.trim_end().as_bytes()).expect("reads");
        assert_eq!(
            String::from_utf8(record.encode()).expect("UTF-8"),
            text.trim_end(),
            "{path}"
        );
        state.apply(&record).expect("folds");
    }
    assert_eq!(state.sources[&source(0)].next, 1000);
    assert_eq!(state.totals.rows, 999);
    assert_eq!(state.totals.dead_letters, 3);
}
