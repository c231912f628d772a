//! A store between whose calls something can happen: for tests, failpoints and simulations.
//!
//! ```text
//! caller ─► before ─► the store ─► (again?) ─► after ─► caller
//! ```
//!
//! Owns: the list of steps ([`Op`]) and the moments around each at which a test can act.
//! Does not own: what happens there. Tests fail calls, lose replies, hold calls up, kill the process.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::{
    Entry, OpenUpload, Prepared, Published, Put, StageWriter, Staged, Store, StoreError,
    StoreErrorKind, TablePath,
};

macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident = $name:literal,)+) => {
        /// A call of the port, or of a file that is being staged.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Op {
            $($(#[$doc])* $op,)+
        }

        impl Op {
            /// All of them. A test goes through the whole port and finds each of these once.
            pub const ALL: &[Self] = &[$(Self::$op,)+];

            /// Its name, as the methods are called.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$op => $name,)+
                }
            }
        }
    };
}

ops! {
    /// [`Store::prepare`]; the path is the temporary name.
    Prepare = "prepare",
    /// [`Store::put_if_absent`]; the path is the name that is put.
    PutIfAbsent = "put_if_absent",
    /// [`Store::drop_prepared`]; the path is the temporary name, or `memory`.
    DropPrepared = "drop_prepared",
    /// [`Store::read`].
    Read = "read",
    /// [`Store::read_range`].
    ReadRange = "read_range",
    /// [`Store::size`].
    Size = "size",
    /// [`Store::list`].
    List = "list",
    /// [`Store::list_after`].
    ListAfter = "list_after",
    /// [`Store::delete`].
    Delete = "delete",
    /// [`Store::stage`]; the path is the final name, as in all that concerns a staged file.
    Stage = "stage",
    /// [`StageWriter::write`].
    Write = "write",
    /// [`StageWriter::finish`].
    Finish = "finish",
    /// [`StageWriter::abandon`].
    Abandon = "abandon",
    /// [`Store::publish`].
    Publish = "publish",
    /// [`Store::discard`].
    Discard = "discard",
    /// [`Store::open_uploads`].
    OpenUploads = "open_uploads",
}

/// A call that is being made.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Which call.
    pub op: Op,
    /// On what.
    pub path: &'a TablePath,
}

impl Step<'_> {
    /// A failure of this step after which its outcome is unknown to the caller.
    pub fn lost(&self, reason: &'static str) -> StoreError {
        StoreError::new(
            StoreErrorKind::Transient,
            self.op.name(),
            self.path.as_str(),
            reason,
        )
    }
}

/// What happens around calls. Each method may take its time, or never return.
#[async_trait]
pub trait Faults: Send + Sync + std::fmt::Debug + 'static {
    /// Before the call reaches the store. An error is a call without effect.
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        let _ = step;
        Ok(())
    }

    /// After the store has answered: whether the client sends the call once more, as it does by
    /// itself when the answer does not reach it. The last answer counts. Not asked about
    /// [`Op::Finish`] and [`Op::Abandon`], which take their file along.
    async fn again(&self, step: &Step<'_>) -> bool {
        let _ = step;
        false
    }

    /// Before the caller hears of the answer, whatever it is. An error is an effect whose reply was
    /// lost.
    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        let _ = step;
        Ok(())
    }

    /// Returns when the caller has waited long enough. The call itself goes on, and may take effect
    /// later, when the store is [`FaultStore::detached`]; else it is dropped where it stands.
    async fn give_up(&self, step: &Step<'_>) -> StoreError {
        let _ = step;
        std::future::pending().await
    }
}

/// Any store, with [`Faults`] around its calls.
#[derive(Clone, Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    calls: Calls,
}

#[derive(Clone, Debug)]
struct Calls {
    faults: Arc<dyn Faults>,
    runtime: Option<Handle>,
}

impl FaultStore {
    /// `faults` around `inner`. A call whose caller is dropped is dropped where it stands.
    pub fn new(inner: Arc<dyn Store>, faults: Arc<dyn Faults>) -> Self {
        let runtime = None;
        Self {
            inner,
            calls: Calls { faults, runtime },
        }
    }

    /// The same with calls that run on `runtime`: once begun, a call goes on whatever becomes of
    /// its caller, as a request that has left the machine does.
    pub fn detached(inner: Arc<dyn Store>, faults: Arc<dyn Faults>, runtime: Handle) -> Self {
        let runtime = Some(runtime);
        Self {
            inner,
            calls: Calls { faults, runtime },
        }
    }

    async fn call<T: Send + 'static, Effect>(
        &self,
        op: Op,
        path: &TablePath,
        effect: impl Fn(Arc<dyn Store>) -> Effect + Send + Sync + 'static,
    ) -> Result<T, StoreError>
    where
        Effect: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let effect = move || effect(Arc::clone(&inner));
        self.calls.call(op, path, effect).await
    }
}

impl Calls {
    /// A call that the client may send more than once.
    async fn call<T: Send + 'static, Effect>(
        &self,
        op: Op,
        path: &TablePath,
        effect: impl Fn() -> Effect + Send + Sync + 'static,
    ) -> Result<T, StoreError>
    where
        Effect: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (faults, of) = (Arc::clone(&self.faults), path.clone());
        self.carry(op, path, async move {
            let step = Step { op, path: &of };
            faults.before(&step).await?;
            let mut reply = effect().await;
            while faults.again(&step).await {
                reply = effect().await;
            }
            faults.after(&step).await?;
            reply
        })
        .await
    }

    /// A call that takes something along, and so is sent once.
    async fn call_once<T: Send + 'static>(
        &self,
        op: Op,
        path: &TablePath,
        effect: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (faults, of) = (Arc::clone(&self.faults), path.clone());
        self.carry(op, path, async move {
            let step = Step { op, path: &of };
            faults.before(&step).await?;
            let reply = effect.await;
            faults.after(&step).await?;
            reply
        })
        .await
    }

    /// Waits for a call here, or for the task in which it runs, until the caller gives up.
    async fn carry<T: Send + 'static>(
        &self,
        op: Op,
        path: &TablePath,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let step = Step { op, path };
        let reply = async {
            let Some(runtime) = &self.runtime else {
                return call.await;
            };
            match runtime.spawn(call).await {
                Ok(reply) => reply,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Err(step.lost("the connection was closed")),
            }
        };
        tokio::select! {
            biased;
            reply = reply => reply,
            error = self.faults.give_up(&step) => Err(error),
        }
    }
}

#[async_trait]
impl Store for FaultStore {
    fn url(&self) -> String {
        self.inner.url()
    }

    async fn prepare(&self, name: &TablePath, bytes: Bytes) -> Result<Prepared, StoreError> {
        let at = name.clone();
        self.call(Op::Prepare, name, move |store| {
            let (at, bytes) = (at.clone(), bytes.clone());
            async move { store.prepare(&at, bytes).await }
        })
        .await
    }

    async fn put_if_absent(
        &self,
        prepared: &Prepared,
        path: &TablePath,
    ) -> Result<Put, StoreError> {
        let (prepared, at) = (prepared.clone(), path.clone());
        self.call(Op::PutIfAbsent, path, move |store| {
            let (prepared, at) = (prepared.clone(), at.clone());
            async move { store.put_if_absent(&prepared, &at).await }
        })
        .await
    }

    async fn drop_prepared(&self, prepared: Prepared) -> Result<(), StoreError> {
        let path = match &prepared {
            Prepared::File(name) => name.clone(),
            Prepared::Memory(_) => TablePath::new("memory").expect("a legal name"),
        };
        self.call(Op::DropPrepared, &path, move |store| {
            let prepared = prepared.clone();
            async move { store.drop_prepared(prepared).await }
        })
        .await
    }

    async fn read(&self, path: &TablePath) -> Result<Option<Bytes>, StoreError> {
        let at = path.clone();
        self.call(Op::Read, path, move |store| {
            let at = at.clone();
            async move { store.read(&at).await }
        })
        .await
    }

    async fn read_range(&self, path: &TablePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let at = path.clone();
        self.call(Op::ReadRange, path, move |store| {
            let (at, range) = (at.clone(), range.clone());
            async move { store.read_range(&at, range).await }
        })
        .await
    }

    async fn size(&self, path: &TablePath) -> Result<Option<u64>, StoreError> {
        let at = path.clone();
        self.call(Op::Size, path, move |store| {
            let at = at.clone();
            async move { store.size(&at).await }
        })
        .await
    }

    async fn list(&self, folder: &TablePath) -> Result<Vec<Entry>, StoreError> {
        let below = folder.clone();
        self.call(Op::List, folder, move |store| {
            let below = below.clone();
            async move { store.list(&below).await }
        })
        .await
    }

    async fn list_after(&self, folder: &TablePath, after: &str) -> Result<Vec<Entry>, StoreError> {
        let (inside, after) = (folder.clone(), after.to_owned());
        self.call(Op::ListAfter, folder, move |store| {
            let (inside, after) = (inside.clone(), after.clone());
            async move { store.list_after(&inside, &after).await }
        })
        .await
    }

    async fn delete(&self, path: &TablePath) -> Result<(), StoreError> {
        let at = path.clone();
        self.call(Op::Delete, path, move |store| {
            let at = at.clone();
            async move { store.delete(&at).await }
        })
        .await
    }

    async fn stage(
        &self,
        target: &TablePath,
        staging: &TablePath,
    ) -> Result<Box<dyn StageWriter>, StoreError> {
        let (name, below) = (target.clone(), staging.clone());
        let writer = self
            .call(Op::Stage, target, move |store| {
                let (name, below) = (name.clone(), below.clone());
                async move { store.stage(&name, &below).await }
            })
            .await?;
        Ok(Box::new(FaultStage {
            held: Arc::new(AtomicU64::new(writer.held_bytes())),
            inner: Arc::new(Mutex::new(writer)),
            target: target.clone(),
            calls: self.calls.clone(),
        }))
    }

    async fn publish(
        &self,
        staged: &Staged,
        target: &TablePath,
        size: u64,
    ) -> Result<Published, StoreError> {
        let (staged, at) = (staged.clone(), target.clone());
        self.call(Op::Publish, target, move |store| {
            let (staged, at) = (staged.clone(), at.clone());
            async move { store.publish(&staged, &at, size).await }
        })
        .await
    }

    async fn discard(&self, staged: &Staged, target: &TablePath) -> Result<(), StoreError> {
        let (staged, at) = (staged.clone(), target.clone());
        self.call(Op::Discard, target, move |store| {
            let (staged, at) = (staged.clone(), at.clone());
            async move { store.discard(&staged, &at).await }
        })
        .await
    }

    async fn open_uploads(&self, folder: &TablePath) -> Result<Vec<OpenUpload>, StoreError> {
        let below = folder.clone();
        self.call(Op::OpenUploads, folder, move |store| {
            let below = below.clone();
            async move { store.open_uploads(&below).await }
        })
        .await
    }
}

/// A file that is being staged through a [`FaultStore`].
struct FaultStage {
    /// Shared with calls that go on when the caller is gone.
    inner: Arc<Mutex<Box<dyn StageWriter>>>,
    held: Arc<AtomicU64>,
    target: TablePath,
    calls: Calls,
}

/// Takes the place of a file that was finished or abandoned.
struct Over;

#[async_trait]
impl StageWriter for Over {
    async fn write(&mut self, _: Bytes) -> Result<(), StoreError> {
        unreachable!("finishing and abandoning take the file along")
    }

    fn held_bytes(&self) -> u64 {
        0
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        unreachable!("finishing and abandoning take the file along")
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        unreachable!("finishing and abandoning take the file along")
    }
}

#[async_trait]
impl StageWriter for FaultStage {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let (inner, held) = (Arc::clone(&self.inner), Arc::clone(&self.held));
        let effect = async move {
            let mut writer = inner.lock().await;
            let written = writer.write(bytes).await;
            held.store(writer.held_bytes(), Ordering::Relaxed);
            written
        };
        self.calls.call_once(Op::Write, &self.target, effect).await
    }

    fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        let inner = Arc::clone(&self.inner);
        let effect = async move {
            let mut writer = inner.lock().await;
            std::mem::replace(&mut *writer, Box::new(Over))
                .finish()
                .await
        };
        self.calls.call_once(Op::Finish, &self.target, effect).await
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let effect = async move {
            let mut writer = inner.lock().await;
            std::mem::replace(&mut *writer, Box::new(Over))
                .abandon()
                .await
        };
        self.calls
            .call_once(Op::Abandon, &self.target, effect)
            .await
    }
}

#[cfg(test)]
mod tests;
