//! Encoded bytes on their way to the store, beside the thread that encodes.
//!
//! ```text
//! OpenFile ─► Upload ─(channel, counted by the budget)─► task: stage, write …, finish ─► Staged
//! ```
//!
//! The channels have no bound of their own: every byte in them is counted by the memory budget, and
//! the one who encodes stops before it is used up.
//!
//! Owns: one task a file, how many talk to the store at once, the first failure of a cut.
//! Does not own: retries. A cut with a failed file is dropped as a whole and read again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::batch::{MemoryBudget, MemoryUse, Reservation};
use crate::store::{StageWriter, Staged, Store, StoreError, StoreErrorKind, TablePath};

/// Files that talk to the store at once. Enough to hide the half second that HDFS takes to close a
/// file and the round trips of S3; few enough for one name node and a laptop's file limit.
const CONCURRENT_FILES: usize = 32;

/// Sends files to one store, for all cuts.
#[derive(Clone, Debug)]
pub struct Uploader {
    store: Arc<dyn Store>,
    runtime: Handle,
    budget: Arc<MemoryBudget>,
    permits: Arc<Semaphore>,
}

/// The uploads of one cut.
#[derive(Clone, Debug)]
pub struct Uploads {
    uploader: Uploader,
    failure: Arc<Failure>,
}

/// The first error of a cut, looked at after every poll.
#[derive(Debug, Default)]
struct Failure {
    is_set: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

/// One file's way to the store. Dropped before its end, what was written is removed again.
#[derive(Debug)]
pub(super) struct Upload {
    begin: Option<Begin>,
    pieces: mpsc::UnboundedSender<Piece>,
    done: oneshot::Receiver<Staged>,
    failure: Arc<Failure>,
    target: TablePath,
}

/// A task that is started with the first piece.
#[derive(Debug)]
struct Begin {
    uploads: Uploads,
    task: Task,
    done: oneshot::Sender<Staged>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes, Reservation),
    End,
}

#[derive(Debug)]
struct Task {
    pieces: mpsc::UnboundedReceiver<Piece>,
    target: TablePath,
    staging: TablePath,
}

impl Uploader {
    /// Sends to `store`, on `runtime`.
    pub fn new(store: Arc<dyn Store>, runtime: Handle, budget: Arc<MemoryBudget>) -> Self {
        Self {
            store,
            runtime,
            budget,
            permits: Arc::new(Semaphore::new(CONCURRENT_FILES)),
        }
    }

    /// Begins the files of a cut.
    pub fn begin_cut(&self) -> Uploads {
        Uploads {
            uploader: self.clone(),
            failure: Arc::default(),
        }
    }
}

impl Uploads {
    /// The first failure since it was last asked for.
    ///
    /// # Errors
    /// What the store said.
    pub fn check(&self) -> Result<(), StoreError> {
        if !self.failure.is_set.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(self.failure.take("a file of this cut was lost before"))
    }

    pub(super) fn begin(&self, target: TablePath, staging: TablePath) -> Upload {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (done, wait) = oneshot::channel();
        let task = Task {
            pieces: receiver,
            target: target.clone(),
            staging,
        };
        Upload {
            begin: Some(Begin {
                uploads: self.clone(),
                task,
                done,
            }),
            pieces: sender,
            done: wait,
            failure: Arc::clone(&self.failure),
            target,
        }
    }
}

impl Failure {
    fn set(&self, error: StoreError) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        self.is_set.store(true, Ordering::Release);
    }

    /// The first error; who asks later hears only that there was one.
    fn take(&self, otherwise: &'static str) -> StoreError {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or_else(|| {
            StoreError::new(StoreErrorKind::Transient, "stage", "stage/", otherwise)
        })
    }
}

impl Upload {
    /// Hands over bytes; their reservation goes with them.
    pub(super) fn send(&mut self, bytes: Bytes, reservation: Reservation) {
        self.push(Piece::Bytes(bytes, reservation));
    }

    fn push(&mut self, piece: Piece) {
        // A task that has failed takes nothing any more; its error is in `failure`.
        let _ = self.pieces.send(piece);
        if let Some(Begin {
            uploads,
            task,
            done,
        }) = self.begin.take()
        {
            let runtime = uploads.uploader.runtime.clone();
            runtime.spawn(async move {
                let (uploader, target) = (&uploads.uploader, task.target.clone());
                match task.run(uploader).await {
                    Ok(Some(staged)) => {
                        if let Err(staged) = done.send(staged) {
                            // The cut was dropped while the file was on its way.
                            discard(uploader.store.as_ref(), &staged, &target).await;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => uploads.failure.set(error),
                }
            });
        }
    }

    /// Says that all bytes were handed over; the answer comes when they are durable.
    pub(super) fn end(mut self) -> BoxFuture<'static, Result<Staged, StoreError>> {
        self.push(Piece::End);
        let Self {
            done,
            failure,
            target,
            ..
        } = self;
        Box::pin(async move {
            done.await.map_err(|_| {
                tracing::debug!(%target, "a file could not be staged");
                failure.take("another file of this cut was lost")
            })
        })
    }
}

/// Removes a file that will not be committed. What stays is found by a sweep.
pub(crate) async fn discard(store: &dyn Store, staged: &Staged, target: &TablePath) {
    if let Err(error) = store.discard(staged, target).await {
        tracing::debug!(%target, %error, "a staged file was left behind");
    }
}

/// Where a task stands after the pieces at hand.
enum Step {
    More,
    Finish,
    Abandon,
}

impl Task {
    /// Takes pieces until the end; `None` when the file was dropped before.
    async fn run(mut self, uploader: &Uploader) -> Result<Option<Staged>, StoreError> {
        let mut writer: Option<Box<dyn StageWriter>> = None;
        let mut waiting = uploader.budget.reserve(MemoryUse::Waiting, 0);
        loop {
            let piece = self.pieces.recv().await;
            if matches!(piece, Some(Piece::End)) {
                // What the store holds back until now is being sent from here on.
                let bytes = waiting.bytes();
                waiting = waiting.split(bytes, MemoryUse::InFlight);
            }
            let permit = uploader.permits.acquire().await;
            match self
                .write(uploader, &mut writer, &mut waiting, piece)
                .await?
            {
                Step::More => {}
                Step::Finish => {
                    let writer = match writer {
                        Some(writer) => writer,
                        None => uploader.store.stage(&self.target, &self.staging).await?,
                    };
                    return writer.finish().await.map(Some);
                }
                Step::Abandon => {
                    if let Some(writer) = writer {
                        writer.abandon().await?;
                    }
                    return Ok(None);
                }
            }
            drop(permit);
        }
    }

    /// Writes a piece and all others that are there already, so that a small file is opened,
    /// written and finished in one go.
    async fn write(
        &mut self,
        uploader: &Uploader,
        writer: &mut Option<Box<dyn StageWriter>>,
        waiting: &mut Reservation,
        mut piece: Option<Piece>,
    ) -> Result<Step, StoreError> {
        loop {
            let (bytes, reservation) = match piece {
                Some(Piece::Bytes(bytes, reservation)) => (bytes, reservation),
                Some(Piece::End) => return Ok(Step::Finish),
                None => return Ok(Step::Abandon),
            };
            if writer.is_none() {
                *writer = Some(uploader.store.stage(&self.target, &self.staging).await?);
            }
            if let Some(writer) = writer {
                writer.write(bytes).await?;
                waiting.resize(usize::try_from(writer.held_bytes()).unwrap_or(usize::MAX));
            }
            drop(reservation);
            piece = match self.pieces.try_recv() {
                Ok(next) => Some(next),
                Err(mpsc::error::TryRecvError::Empty) => return Ok(Step::More),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
            };
        }
    }
}
