//! Commands that people run beside the writers: a sweep, a look at the log.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use lake_writer::commit::sweep::sweep;
use lake_writer::commit::{CommitError, Log, fold};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::process::{chance, client, run_ready, still_runtime, table, table_settings};
use super::time::ProcessClock;
use super::world::Shared;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Removes debris.
    Sweep,
    /// Folds the log, as `status` does.
    Status,
}

/// A process without an engine.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) woken: bool,
    tasks: Runtime,
    work: JoinHandle<Result<String, CommitError>>,
}

impl Command {
    pub(crate) fn start(shared: &Shared, id: u32, kind: Kind) -> Self {
        let tasks = still_runtime();
        let store = client(shared, id);
        let clock = Arc::new(ProcessClock::new(
            &shared.time,
            &Arc::new(AtomicI64::new(0)),
            None,
        ));
        let (chance, definition) = (chance(shared, id), table().definition(&table_settings()));
        let work = tasks.spawn(async move {
            match kind {
                Kind::Sweep => {
                    let log = Log::open(store, clock, chance, definition).await?;
                    Ok(format!("{:?}", sweep(&Mutex::new(log)).await?))
                }
                Kind::Status => {
                    let state = fold(store.as_ref()).await?;
                    Ok(format!("head {:?}", state.head))
                }
            }
        });
        Self {
            id,
            kind,
            woken: true,
            tasks,
            work,
        }
    }

    pub(crate) fn run_tasks(&mut self) {
        self.woken = false;
        run_ready(&self.tasks);
    }

    /// What it said, once it is over.
    pub(crate) fn said(&mut self) -> Option<Result<String, CommitError>> {
        if !self.work.is_finished() {
            return None;
        }
        let joined = self.tasks.block_on(&mut self.work);
        Some(joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
    }
}
