//! Checkpoints, dropped records, and writers that slept meanwhile.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::commit::checkpoint::{Checkpoint, checkpoint_path};
use crate::commit::record::Record;
use crate::commit::upkeep::{Checkpointed, drop_needless};

/// Commits so many ranges of ten rows of partition 0, each published.
async fn commit_some(store: &dyn Store, log: &mut Log, held: &mut SourceState, count: u32) {
    for _ in 0..count {
        let name = format!("{}-{:06}-00000", log.session(), held.next);
        let commit = staged_commit(store, held, 10, &name).await;
        let appended = log.commit(commit.clone()).await.expect("commits");
        log.publish(appended.number, &commit)
            .await
            .expect("publishes");
        held.next += 10;
    }
}

async fn checkpoint(log: &mut Log) -> Option<Checkpointed> {
    log.checkpointer().write().await.expect("writes")
}

/// Counts calls.
#[derive(Debug, Default)]
struct Counter(AtomicUsize);

#[async_trait]
impl Faults for Counter {
    async fn before(&self, _step: &Step<'_>) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_fold_from_a_checkpoint_is_the_fold_of_every_record() {
    // GIVEN a table of fifty commits, of which the last are not said to be published
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    let mut held = claim(&mut log, 0).await;
    commit_some(store.as_ref(), &mut log, &mut held, 50).await;
    let whole = fold(store.as_ref()).await.expect("folds");
    let files = snapshot(store.as_ref()).await.expect("is read");
    // WHEN it is checkpointed, and every record dropped
    let written = checkpoint(&mut log).await.expect("something is new");
    assert_eq!((written.generation, written.head), (0, 51));
    let dropped = drop_needless(store.as_ref(), 0).await.expect("drops");
    assert_eq!(dropped.records, 52);
    assert_eq!(records(store.as_ref()).await.expect("lists"), []);
    // THEN state, files and ranges are the same, and so they are a few commits later
    assert_eq!(fold(store.as_ref()).await.expect("folds"), whole);
    let again = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!((&again.files, &again.ranges), (&files.files, &files.ranges));
    commit_some(store.as_ref(), &mut log, &mut held, 3).await;
    let later = fold(store.as_ref()).await.expect("folds");
    assert_eq!((later.totals.commits, later.totals.rows), (53, 530));
    assert_eq!(later.sources[&source(0)].tally.rows, 530);
    assert_eq!(later.unpublished.len(), 1);
    let files = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!((files.files.len(), files.ranges.len()), (53, 53));
    // THEN another writer goes on behind it
    let next = claim(&mut open(&store, 2).await, 0).await;
    assert_eq!(next.next, 530);
}

#[tokio::test]
async fn a_start_takes_a_bounded_number_of_requests() {
    // GIVEN a table of 400 commits with a checkpoint every fifty records, and records kept for people
    let memory = MemoryStore::new(Staging::Upload);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    let mut held = claim(&mut log, 0).await;
    for _ in 0..8 {
        commit_some(store.as_ref(), &mut log, &mut held, 50).await;
        checkpoint(&mut log).await.expect("something is new");
        drop_needless(store.as_ref(), 100).await.expect("drops");
    }
    commit_some(store.as_ref(), &mut log, &mut held, 5).await;
    // WHEN it is folded
    let counter = Arc::new(Counter::default());
    let counted = FaultStore::new(Arc::new(memory.clone()), counter.clone());
    let state = fold(&counted).await.expect("folds");
    // THEN a checkpoint, five records, what is read ahead, and four listings at most were asked for
    assert_eq!(state.sources[&source(0)].next, 4050);
    let calls = counter.0.load(Ordering::SeqCst);
    assert!(calls <= 1 + 1 + 16 + 4, "{calls} calls");
    // THEN what is stored is bounded too
    let names: Vec<_> = memory.files().into_keys().map(String::from).collect();
    let below = |folder: &str| names.iter().filter(|name| name.starts_with(folder)).count();
    assert_eq!(below("log/0"), 100 + 5);
    assert_eq!(below("log/checkpoints/"), 1);
    assert!(below("log/segments/") <= 4, "{names:?}");
    let files = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!((files.files.len(), files.ranges.len()), (405, 405));
}

#[tokio::test]
async fn a_writer_that_slept_cannot_put_a_dropped_record_again() {
    // GIVEN a writer with a claim and a staged commit
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut slept = open(&store, 1).await;
    let stale = claim(&mut slept, 0).await;
    let late = staged_commit(store.as_ref(), &stale, 10, "late").await;
    // GIVEN another that takes over, writes on, and drops what a checkpoint holds
    let mut other = open(&store, 2).await;
    let mut held = claim(&mut other, 0).await;
    commit_some(store.as_ref(), &mut other, &mut held, 3).await;
    checkpoint(&mut other).await.expect("something is new");
    drop_needless(store.as_ref(), 0).await.expect("drops");
    // WHEN the first wakes and commits: its number is free again
    let error = slept.commit(late).await.expect_err("is outdated");
    // THEN it knows that this does not count, and nobody else takes it for the log's
    assert!(
        matches!(error, CommitError::Outdated { boundary: 5 }),
        "{error}"
    );
    assert!(memory.file(&record_path(2)).is_some(), "it was put");
    let state = fold(store.as_ref()).await.expect("folds");
    assert_eq!((state.head, state.sources[&source(0)].next), (Some(5), 30));
    commit_some(store.as_ref(), &mut other, &mut held, 1).await;
    assert_eq!(
        record_numbers(store.as_ref(), None).await.expect("lists"),
        [6]
    );
    // THEN a new session of it goes on where the log stands, and the leftover is dropped
    assert_eq!(claim(&mut open(&store, 3).await, 0).await.next, 40);
    checkpoint(&mut other).await.expect("something is new");
    drop_needless(store.as_ref(), 1).await.expect("drops");
    assert!(memory.file(&record_path(2)).is_none());
}

#[tokio::test]
async fn who_is_outdated_does_not_judge_by_what_it_put_in_vain() {
    // GIVEN a writer that slept while another took over, staged files, and dropped what a checkpoint holds
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut slept = open(&store, 1).await;
    let stale = claim(&mut slept, 0).await;
    let late = staged_commit(store.as_ref(), &stale, 10, "late").await;
    let mut other = open(&store, 2).await;
    let held = claim(&mut other, 0).await;
    let name = format!("{}-000000-00000", other.session());
    let staged = staged_commit(store.as_ref(), &held, 10, &name).await;
    checkpoint(&mut other).await.expect("something is new");
    drop_needless(store.as_ref(), 0).await.expect("drops");
    // WHEN it wakes and puts its commit under the number of the other's claim
    let error = slept.commit(late).await.expect_err("is outdated");
    assert!(
        matches!(error, CommitError::Outdated { boundary: 2 }),
        "{error}"
    );
    // THEN a sweep that was under way beside it leaves what the other has staged
    let slept = Mutex::new(slept);
    sweep::sweep(&slept).await.expect("sweeps");
    let whole = fold(store.as_ref()).await.expect("folds");
    assert_eq!(slept.lock().await.state(), &whole);
    let appended = other.commit(staged.clone()).await.expect("commits");
    other
        .publish(appended.number, &staged)
        .await
        .expect("publishes");
}

#[tokio::test]
async fn a_leftover_that_was_read_does_not_count() {
    // One that fits behind the head of whoever slept, and one that does not.
    for leftover in [1, 3] {
        // GIVEN writers that slept while their log was dropped, and another one's leftover behind their head
        let memory = MemoryStore::new(Staging::File);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut slept = open(&store, 1).await;
        let mut also_slept = open(&store, 3).await;
        let mut other = open(&store, 2).await;
        let mut held = claim(&mut other, 0).await;
        commit_some(store.as_ref(), &mut other, &mut held, 3).await;
        let bytes = memory.file(&record_path(leftover)).expect("it is there");
        checkpoint(&mut other).await.expect("something is new");
        drop_needless(store.as_ref(), 0).await.expect("drops");
        memory.plant(&record_path(1), bytes);
        // WHEN one catches up THEN it stands where the log does
        let whole = fold(store.as_ref()).await.expect("folds");
        assert_eq!(slept.catch_up().await.expect("catches up"), &whole);
        // WHEN another reads it on the way to a claim THEN the claim stands behind the log's end
        let claimed = claim(&mut also_slept, 0).await;
        assert_eq!((claimed.next, claimed.epoch), (30, 5));
    }
}

#[tokio::test]
async fn a_claim_on_a_log_that_was_checkpointed_meanwhile_stands_behind_it() {
    // GIVEN a writer that opened the log before others wrote on and checkpointed
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Staging::File));
    let mut slept = open(&store, 1).await;
    let mut other = open(&store, 2).await;
    let mut held = claim(&mut other, 0).await;
    commit_some(store.as_ref(), &mut other, &mut held, 3).await;
    checkpoint(&mut other).await.expect("something is new");
    // WHEN it claims, with the records still there THEN it stands behind them
    let claimed = claim(&mut slept, 0).await;
    assert_eq!((claimed.next, claimed.epoch), (30, 5));
}

#[tokio::test]
async fn of_two_checkpoints_of_one_generation_one_stands() {
    // GIVEN a log with a checkpoint, and more records
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    let mut held = claim(&mut log, 0).await;
    commit_some(store.as_ref(), &mut log, &mut held, 2).await;
    checkpoint(&mut log).await.expect("something is new");
    assert_eq!(checkpoint(&mut log).await, None, "nothing is new");
    commit_some(store.as_ref(), &mut log, &mut held, 2).await;
    // WHEN two write the next at once
    let (one, other) = (log.checkpointer(), log.checkpointer());
    let (one, other) = tokio::join!(one.write(), other.write());
    let written = [one.expect("writes"), other.expect("writes")];
    // THEN at least one stands, and its segments are there after what is needless was dropped
    let last = written.into_iter().flatten().last().expect("one stands");
    drop_needless(store.as_ref(), 0).await.expect("drops");
    let (generation, newest) = newest_checkpoint(store.as_ref())
        .await
        .expect("looks")
        .expect("there is one");
    assert_eq!(generation, last.generation);
    let segments = memory.files().into_keys().map(String::from);
    let segments = segments.filter(|path| path.starts_with("log/segments/"));
    assert_eq!(segments.count(), newest.segments.len());
    let files = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!(files.files.len(), 4);
}

#[tokio::test]
async fn what_is_damaged_or_newer_is_refused_clearly() {
    // GIVEN a checkpointed table
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    let mut held = claim(&mut log, 0).await;
    commit_some(store.as_ref(), &mut log, &mut held, 2).await;
    checkpoint(&mut log).await.expect("something is new");
    let (_, newest) = newest_checkpoint(store.as_ref())
        .await
        .expect("looks")
        .expect("there is one");
    let segment = newest.segments[0].path();
    // WHEN a segment is damaged THEN it is named, and writers go on all the same
    memory.plant(&segment, Bytes::from_static(b"{}"));
    let error = snapshot(store.as_ref()).await.expect_err("is refused");
    assert!(error.to_string().contains(segment.as_str()), "{error}");
    fold(store.as_ref()).await.expect("needs no segments");
    memory.remove(&segment);
    let error = snapshot(store.as_ref()).await.expect_err("is refused");
    assert!(error.to_string().contains("missing"), "{error}");
    // WHEN a newer version has written a checkpoint THEN this one says so
    let newer = Bytes::from_static(br#"{"format":2,"anything":"else"}"#);
    memory.plant(&checkpoint_path(1), newer);
    let error = fold(store.as_ref()).await.expect_err("is refused");
    assert!(error.to_string().contains("newer lake-writer"), "{error}");
    memory.plant(&checkpoint_path(1), Bytes::from_static(b"half a checkp"));
    let error = fold(store.as_ref()).await.expect_err("is refused");
    assert!(error.to_string().contains("log/checkpoints/"), "{error}");
}

/// The checkpoint and the segment of the golden records are written as they were, and read back.
#[test]
fn golden_checkpoint_and_segment_of_format_1_read_and_write_alike() {
    // GIVEN the golden records
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log-format-1");
    let read = |name: &str| {
        let path = format!("{folder}/{name}");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut state = State::default();
    let mut segment = segment::Segment::beginning(0);
    for number in 0..6 {
        let text = read(&format!("{number:020}.json"));
        let record = Record::decode(number, text.trim_end().as_bytes()).expect("reads");
        segment.add(number, &record.body);
        state.apply(&record).expect("folds");
    }
    // WHEN they become a segment and a checkpoint THEN these are the golden ones
    let bytes = segment.encode();
    let named = segment::SegmentRef::new(&segment, &bytes, "00000000000000c0");
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    assert_eq!(text, read("segment.json").trim_end());
    assert_eq!(
        segment::Segment::decode(&named, &bytes).expect("reads"),
        segment
    );
    let at = "2026-01-31T12:05:00.000000Z".to_owned();
    let checkpoint = Checkpoint::of(&state, vec![named], "0123456789abcdef", at);
    let checkpoint = checkpoint.expect("the log is not empty");
    let bytes = checkpoint.encode();
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    assert_eq!(text, read("checkpoint.json").trim_end());
    assert_eq!(Checkpoint::decode(0, &bytes).expect("reads"), checkpoint);
    assert_eq!(checkpoint.state(), state);
}

#[tokio::test]
async fn a_follower_sees_what_a_snapshot_sees_and_reads_only_what_is_new() {
    // GIVEN a table of 300 commits, followed
    let memory = MemoryStore::new(Staging::File);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let mut log = open(&store, 1).await;
    let mut held = claim(&mut log, 0).await;
    commit_some(store.as_ref(), &mut log, &mut held, 300).await;
    checkpoint(&mut log).await.expect("something is new");
    let mut follower = crate::commit::Follower::default();
    follower.catch_up(store.as_ref()).await.expect("reads");
    // WHEN two more commits come
    commit_some(store.as_ref(), &mut log, &mut held, 2).await;
    let counter = Arc::new(Counter::default());
    let counted = FaultStore::new(Arc::new(memory.clone()), counter.clone());
    follower.catch_up(&counted).await.expect("reads");
    // THEN they are there, for as many reads as records behind the head are tried at once
    let whole = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!(follower.files(), &whole.files);
    assert_eq!(follower.state().sources, whole.state.sources);
    let calls = counter.0.load(Ordering::SeqCst);
    assert!(calls <= 20, "{calls} calls for two records");
    // WHEN a checkpoint passes what was read, and every record is dropped
    commit_some(store.as_ref(), &mut log, &mut held, 30).await;
    checkpoint(&mut log).await.expect("something is new");
    drop_needless(store.as_ref(), 0).await.expect("drops");
    // THEN it is read anew, and is the same again
    follower.catch_up(store.as_ref()).await.expect("reads");
    let whole = snapshot(store.as_ref()).await.expect("is read");
    assert_eq!(follower.files(), &whole.files);
    assert_eq!(follower.state().sources, whole.state.sources);
    assert_eq!(follower.files().len(), 332);
}
