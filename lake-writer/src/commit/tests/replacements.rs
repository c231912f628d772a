//! Files that give way to others: once, and never to come back.

use super::*;
use crate::commit::record::{Replace, TakenFile};

/// The source partition that a repair claims.
fn repair() -> SourcePartition {
    SourcePartition {
        topic_id: "repair".into(),
        partition: 0,
    }
}

async fn claim_repair(log: &mut Log) -> SourceState {
    let claim = Claim {
        topic: "repair".into(),
        sources: vec![ClaimedSource {
            source: repair(),
            first: 0,
        }],
        begins: Vec::new(),
    };
    log.claim(claim).await.expect("claims").remove(0).1
}

/// A replacement of the files of a commit by the file of another one, which was staged and not
/// committed.
fn replacement(held: &SourceState, old: &Commit, new: Commit) -> Replace {
    let taken = old.all_files().map(|file| TakenFile {
        path: file.path.clone(),
        bytes: file.bytes,
        rows: file.rows,
    });
    Replace {
        source: repair(),
        epoch: held.epoch,
        reason: "a test".into(),
        taken: taken.collect(),
        files: new.files,
        dead: Vec::new(),
    }
}

/// A table of one published commit, and a repairer with a claim.
struct Repair {
    memory: MemoryStore,
    store: Arc<dyn Store>,
    held: SourceState,
    old: Commit,
    repairer: Log,
    claimed: SourceState,
}

impl Repair {
    async fn begin(staging: Staging) -> Self {
        let memory = MemoryStore::new(staging);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut log = open(&store, 1).await;
        let held = claim(&mut log, 0).await;
        let old = staged_commit(store.as_ref(), &held, 10, "old").await;
        let appended = log.commit(old.clone()).await.expect("commits");
        log.publish(appended.number, &old).await.expect("publishes");
        let mut repairer = open(&store, 2).await;
        let claimed = claim_repair(&mut repairer).await;
        Self {
            memory,
            store,
            held,
            old,
            repairer,
            claimed,
        }
    }

    async fn replacement(&self, name: &str) -> Replace {
        let new = staged_commit(self.store.as_ref(), &self.held, 10, name).await;
        replacement(&self.claimed, &self.old, new)
    }
}

#[tokio::test]
async fn a_replacement_takes_the_old_file_out_and_puts_the_new_one_in() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a published commit
        let mut repair = Repair::begin(staging).await;
        let replace = repair.replacement("new").await;
        // WHEN its file is replaced
        repair.repairer.replace(replace).await.expect("replaces");
        // THEN a reader sees the new one alone, and log and snapshot agree
        assert_eq!(visible(&repair.memory), ["data/region=Corse/new.parquet"]);
        let state = fold(repair.store.as_ref()).await.expect("folds");
        assert_eq!((state.totals.files, state.totals.rows), (1, 10));
        assert_eq!(state.sources[&source(0)].next, 10);
        let snapshot = snapshot(repair.store.as_ref()).await.expect("is read");
        let files: Vec<_> = snapshot.files.keys().map(TablePath::as_str).collect();
        assert_eq!(files, ["data/region=Corse/new.parquet"]);
        assert_eq!(snapshot.ranges.len(), 1);
    }
}

#[tokio::test]
async fn a_file_is_replaced_once() {
    // GIVEN a file that was replaced, and a checkpoint that holds this
    let mut repair = Repair::begin(Staging::File).await;
    let replace = repair.replacement("new").await;
    repair.repairer.replace(replace).await.expect("replaces");
    for checkpointed in [false, true] {
        if checkpointed {
            let written = repair
                .repairer
                .checkpointer()
                .write()
                .await
                .expect("writes");
            assert!(written.is_some());
            upkeep::drop_needless(repair.store.as_ref(), 0)
                .await
                .expect("drops");
        }
        // WHEN it is replaced once more THEN that is refused, and nothing changes
        let again = repair.replacement("again").await;
        let error = repair
            .repairer
            .replace(again)
            .await
            .expect_err("is refused");
        assert!(matches!(error, CommitError::NotLive { .. }), "{error}");
        assert_eq!(visible(&repair.memory), ["data/region=Corse/new.parquet"]);
    }
}

#[tokio::test]
async fn who_lost_the_claim_cannot_replace() {
    // GIVEN two repairers, of which the second claims later
    let mut repair = Repair::begin(Staging::File).await;
    let replace = repair.replacement("new").await;
    claim_repair(&mut open(&repair.store, 3).await).await;
    // WHEN the first replaces THEN it is fenced
    let error = repair
        .repairer
        .replace(replace)
        .await
        .expect_err("is fenced");
    assert!(matches!(error, CommitError::Fenced(_)), "{error}");
    assert_eq!(visible(&repair.memory), ["data/region=Corse/old.parquet"]);
}

#[tokio::test]
async fn a_woken_writer_does_not_bring_a_replaced_file_back() {
    for staging in [Staging::File, Staging::Upload] {
        // GIVEN a writer that sleeps before it publishes its commit
        let memory = MemoryStore::new(staging);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut slept = open(&store, 1).await;
        let held = claim(&mut slept, 0).await;
        let old = staged_commit(store.as_ref(), &held, 10, "old").await;
        let number = slept.commit(old.clone()).await.expect("commits").number;
        // GIVEN a repairer that replaces its file, which it publishes first
        let mut repairer = open(&store, 2).await;
        let claimed = claim_repair(&mut repairer).await;
        let new = staged_commit(store.as_ref(), &held, 10, "new").await;
        let replace = replacement(&claimed, &old, new);
        repairer.replace(replace).await.expect("replaces");
        // WHEN the writer wakes and publishes THEN nothing comes back, and nothing counts as lost
        slept.publish(number, &old).await.expect("was replaced");
        assert_eq!(visible(&memory), ["data/region=Corse/new.parquet"]);
    }
}

#[tokio::test]
async fn the_next_start_finishes_a_replacement() {
    // GIVEN a replacement that was recorded, and whose writer died before it removed anything
    let repair = Repair::begin(Staging::File).await;
    let replace = repair.replacement("new").await;
    let record = record::Record {
        format: record::FORMAT,
        session: repair.repairer.session().to_owned(),
        nonce: "00000000000000ab".into(),
        checked: None,
        at: String::new(),
        published: vec![2],
        body: record::Body::Replace(replace),
    };
    repair.memory.plant(&record_path(4), record.encode().into());
    assert_eq!(visible(&repair.memory), ["data/region=Corse/old.parquet"]);
    // WHEN another writer starts THEN it finishes it, as often as it likes
    let mut next = open(&repair.store, 4).await;
    assert_eq!(next.roll_forward().await.expect("rolls forward"), 1);
    assert_eq!(visible(&repair.memory), ["data/region=Corse/new.parquet"]);
    let mut next = open(&repair.store, 5).await;
    assert_eq!(next.roll_forward().await.expect("rolls forward"), 1);
    assert_eq!(visible(&repair.memory), ["data/region=Corse/new.parquet"]);
}
