//! The wrapper by itself: every call of the port is a step, and each moment can be acted at.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex as Lock, PoisonError};

use tokio::sync::Notify;

use super::super::memory::{MemoryStore, Staging};
use super::*;

fn path(text: &str) -> TablePath {
    TablePath::new(text).expect("a legal path")
}

/// Writes down what it sees, and does what it was told at the next call of an operation.
#[derive(Debug, Default)]
struct Script {
    seen: Lock<Vec<Op>>,
    acts: Lock<VecDeque<(Op, Act)>>,
    go: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    FailBefore,
    LoseReply,
    Repeat,
    /// The caller gives up while the call waits for `go`.
    Hold,
}

impl Script {
    fn at(op: Op, act: Act) -> Arc<Self> {
        Arc::new(Self {
            acts: Lock::new([(op, act)].into()),
            ..Self::default()
        })
    }

    /// Whether this is told for the step; taken, so that it happens once.
    fn takes(&self, step: &Step<'_>, act: Act) -> bool {
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        let told = acts.front() == Some(&(step.op, act));
        told.then(|| acts.pop_front()).is_some()
    }

    fn saw(&self, step: &Step<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(step.op);
    }

    fn told(&self, step: &Step<'_>, act: Act) -> bool {
        let acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.front() == Some(&(step.op, act))
    }
}

#[async_trait]
impl Faults for Script {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.saw(step);
        if self.told(step, Act::Hold) {
            self.go.notified().await;
        }
        match self.takes(step, Act::FailBefore) {
            true => Err(step.lost("refused")),
            false => Ok(()),
        }
    }

    async fn again(&self, step: &Step<'_>) -> bool {
        self.takes(step, Act::Repeat)
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        match self.takes(step, Act::LoseReply) {
            true => Err(step.lost("the reply is lost")),
            false => Ok(()),
        }
    }

    async fn give_up(&self, step: &Step<'_>) -> StoreError {
        if self.told(step, Act::Hold) {
            return step.lost("timed out");
        }
        std::future::pending().await
    }
}

fn over(memory: &MemoryStore, script: &Arc<Script>) -> FaultStore {
    FaultStore::new(Arc::new(memory.clone()), script.clone())
}

async fn put(store: &FaultStore) -> Result<Put, StoreError> {
    let bytes = Prepared::Memory(Bytes::from_static(b"record"));
    store.put_if_absent(&bytes, &path("log/0")).await
}

#[tokio::test]
async fn every_method_of_the_port_is_a_step() {
    // GIVEN the whole port, used once
    let script = Arc::new(Script::default());
    let store = over(&MemoryStore::new(Staging::File), &script);
    let (log, target) = (path("log"), path("data/a.parquet"));
    let name = path("stage/p");
    let prepared = store.prepare(&name, Bytes::from_static(b"x")).await;
    let prepared = prepared.expect("prepared");
    store
        .put_if_absent(&prepared, &path("log/0"))
        .await
        .expect("put");
    store.drop_prepared(prepared).await.expect("dropped");
    store.read(&path("log/0")).await.expect("read");
    store.read_range(&path("log/0"), 0..1).await.expect("read");
    store.size(&path("log/0")).await.expect("looked");
    store.list(&log).await.expect("listed");
    store.list_after(&log, "").await.expect("listed");
    store.delete(&path("log/0")).await.expect("deleted");
    let writer = store.stage(&target, &path("stage/b")).await.expect("begun");
    writer.abandon().await.expect("abandoned");
    let mut writer = store.stage(&target, &path("stage/a")).await.expect("begun");
    writer
        .write(Bytes::from_static(b"rows"))
        .await
        .expect("written");
    let staged = writer.finish().await.expect("finished");
    store.publish(&staged, &target, 4).await.expect("published");
    store.discard(&staged, &target).await.expect("discarded");
    store.open_uploads(&log).await.expect("listed");
    // THEN each operation was seen, and the store did its work
    let seen = std::mem::take(&mut *script.seen.lock().expect("not poisoned"));
    let seen: BTreeSet<Op> = seen.into_iter().collect();
    assert_eq!(seen, Op::ALL.iter().copied().collect());
    let there = store.read(&target).await.expect("read");
    assert_eq!(there.as_deref(), Some(&b"rows"[..]));
}

#[tokio::test]
async fn a_call_fails_without_effect_or_loses_its_reply_or_is_sent_twice() {
    for (act, effect, reply) in [
        (Act::FailBefore, false, None),
        (Act::LoseReply, true, None),
        (Act::Repeat, true, Some(Put::Exists)),
    ] {
        // GIVEN a script for one put WHEN it is made
        let memory = MemoryStore::new(Staging::Upload);
        let script = Script::at(Op::PutIfAbsent, act);
        let put = put(&over(&memory, &script)).await;
        // THEN the effect and the reply are as told
        assert_eq!(put.ok(), reply, "{act:?}");
        assert_eq!(
            memory.files().contains_key(&path("log/0")),
            effect,
            "{act:?}"
        );
    }
}

#[tokio::test]
async fn a_detached_call_takes_effect_after_its_caller_gave_up() {
    // GIVEN a put that hangs until its caller gives up
    let memory = MemoryStore::new(Staging::Upload);
    let script = Script::at(Op::PutIfAbsent, Act::Hold);
    let inner = Arc::new(memory.clone());
    let store = FaultStore::detached(inner, script.clone(), Handle::current());
    put(&store).await.expect_err("gives up");
    assert!(memory.files().is_empty());
    // WHEN it goes on THEN it takes effect
    script.go.notify_one();
    while memory.files().is_empty() {
        tokio::task::yield_now().await;
    }
}
