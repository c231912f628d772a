//! Keeping the log short and the stage clean, beside the work.
//!
//! Owns: when a checkpoint is written and when a sweep runs; one of each at a time.
//! Does not own: what they do (`commit::upkeep`, `commit::sweep`). A failure of either is harmless:
//! the next one does the same again.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::commit::sweep::{Swept, sweep};
use crate::commit::upkeep::{Checkpointed, Checkpointer, drop_needless};
use crate::commit::{CommitError, Log};
use crate::store::Store;

/// When the log is checkpointed and the stage swept.
#[derive(Clone, Copy, Debug)]
pub struct UpkeepPlan {
    /// Records behind the newest checkpoint after which the next one is written.
    pub checkpoint_after_records: u64,
    /// Records that are kept for people once a checkpoint holds them.
    pub keep_records: u64,
    /// Time between two sweeps. One follows every claim in any case.
    pub sweep_interval: Duration,
}

/// The upkeep of one session.
#[derive(Debug)]
pub(super) struct Upkeep {
    plan: UpkeepPlan,
    runtime: Handle,
    checkpointing: Option<JoinHandle<()>>,
    sweeping: Option<JoinHandle<()>>,
    swept_at: Duration,
}

impl Upkeep {
    pub(super) fn new(plan: UpkeepPlan, runtime: Handle, now: Duration) -> Self {
        Self {
            plan,
            runtime,
            checkpointing: None,
            sweeping: None,
            swept_at: now,
        }
    }

    /// Whether a checkpoint is being written.
    pub(super) fn is_checkpointing(&self) -> bool {
        !is_over(self.checkpointing.as_ref())
    }

    /// Whether so many records behind the newest checkpoint are enough for the next.
    pub(super) fn wants_checkpoint(&self, since_checkpoint: u64) -> bool {
        since_checkpoint >= self.plan.checkpoint_after_records && !self.is_checkpointing()
    }

    /// Writes a checkpoint, and drops what it makes needless.
    pub(super) fn checkpoint(&mut self, log: Arc<Mutex<Log>>) {
        let keep = self.plan.keep_records;
        self.checkpointing = Some(self.runtime.spawn(async move {
            let (checkpointer, store) = {
                let mut log = log.lock().await;
                (log.checkpointer(), log.store())
            };
            if let Err(error) = write_and_drop(checkpointer, store, keep).await {
                tracing::debug!(%error, "a checkpoint failed; the next one repeats it");
            }
        }));
    }

    /// Removes what crashed writers have left, if it is time.
    pub(super) fn sweep_if_due(&mut self, log: &Arc<Mutex<Log>>, now: Duration) {
        if now.saturating_sub(self.swept_at) >= self.plan.sweep_interval {
            self.sweep(log.clone(), now);
        }
    }

    /// Removes what crashed writers have left.
    pub(super) fn sweep(&mut self, log: Arc<Mutex<Log>>, now: Duration) {
        if !is_over(self.sweeping.as_ref()) {
            return;
        }
        self.swept_at = now;
        self.sweeping = Some(self.runtime.spawn(async move {
            match sweep(&log).await {
                Ok(Swept {
                    files: 0,
                    uploads: 0,
                }) => {}
                Ok(Swept { files, uploads }) => {
                    tracing::info!(files, uploads, "removed what earlier writers had left");
                }
                Err(error) => tracing::debug!(%error, "a sweep failed; the next one repeats it"),
            }
        }));
    }
}

fn is_over(task: Option<&JoinHandle<()>>) -> bool {
    task.is_none_or(JoinHandle::is_finished)
}

async fn write_and_drop(
    checkpointer: Checkpointer,
    store: Arc<dyn Store>,
    keep: u64,
) -> Result<(), CommitError> {
    let Some(Checkpointed {
        generation,
        head,
        bytes,
    }) = checkpointer.write().await?
    else {
        return Ok(());
    };
    let dropped = drop_needless(store.as_ref(), keep).await?;
    tracing::info!(
        checkpoint = generation,
        head,
        bytes,
        dropped = dropped.records,
        "wrote a checkpoint of the log"
    );
    Ok(())
}
