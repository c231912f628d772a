//! Commands that people run beside the writers: a sweep, a look at the log, a replacement of a file.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use lake_writer::commit::record::{Claim, ClaimedSource, DataFile, Replace, TakenFile};
use lake_writer::commit::{CommitError, Log, fold, snapshot, sweep};
use lake_writer::source::SourcePartition;
use lake_writer::store::{Store, TablePath};
use tokio::runtime::Runtime;
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
    /// Puts a copy in the place of some live file, as a repair does.
    Replace,
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
                    let debris = sweep::find(store.as_ref()).await?;
                    Ok(format!(
                        "{:?}",
                        sweep::remove(store.as_ref(), debris).await?
                    ))
                }
                Kind::Status => {
                    let state = fold(store.as_ref()).await?;
                    Ok(format!("head {:?}", state.head))
                }
                Kind::Replace => {
                    let log = Log::open(store.clone(), clock, chance, definition).await?;
                    replace_some_file(store.as_ref(), log, id as usize).await
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

/// Puts a copy in the place of the `nth` live file, counted round.
async fn replace_some_file(
    store: &dyn Store,
    mut log: Log,
    nth: usize,
) -> Result<String, CommitError> {
    let source = SourcePartition {
        topic_id: "repair".into(),
        partition: 0,
    };
    let claimed = ClaimedSource {
        source: source.clone(),
        first: 0,
    };
    let claim = Claim {
        topic: "repair".into(),
        sources: vec![claimed],
        begins: Vec::new(),
    };
    let epoch = log.claim(claim).await?.remove(0).1.epoch;
    let files = snapshot(store).await?.files;
    let Some((old, facts)) = files.iter().nth(nth % files.len().max(1)) else {
        return Ok("there is no file".into());
    };
    let Some(bytes) = store.read(old).await? else {
        return Ok(format!("{old} is not published yet"));
    };
    let folder = old.parent().expect("a file lies in a folder");
    let session = log.session();
    let path = path(format!("{folder}/{session}-000000-00000.parquet"));
    let waiting = self::path(format!("stage/{session}/000000-00000"));
    let mut writer = store.stage(&path, &waiting).await?;
    writer.write(bytes).await?;
    let staged = writer.finish().await?;
    let new = DataFile {
        path,
        staged,
        bytes: facts.bytes,
        rows: facts.rows,
        xxh3: facts.xxh3.clone(),
        partition: facts.partition.clone(),
        sources: facts.sources.clone(),
    };
    let (files, dead) = if old.as_str().starts_with("data/") {
        (vec![new], Vec::new())
    } else {
        (Vec::new(), vec![new])
    };
    let taken = TakenFile {
        path: old.clone(),
        bytes: facts.bytes,
        rows: facts.rows,
    };
    let replace = Replace {
        source,
        epoch,
        reason: "a copy".into(),
        taken: vec![taken],
        files,
        dead,
    };
    let appended = log.replace(replace).await?;
    Ok(format!("replaced {old} by record {}", appended.number))
}

fn path(text: String) -> TablePath {
    TablePath::new(text).expect("a legal name")
}
