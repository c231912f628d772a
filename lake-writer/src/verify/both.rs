//! Both sides at once: the topic on the calling thread, the lake on threads beside it.
//!
//! ```text
//! rounds ─► topic ─► Translator ─► sink           jobs ─► lake ─► one Collect a thread
//! ```
//!
//! Owns: the threads, and what whoever watches is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::settings::Format;
use crate::source::{OffsetRange, RangeReader};
use crate::store::{Store, StoreError};
use crate::table::Schema;
use crate::table::spec::Spec;

use super::VerifyError;
use super::entry::Entry;
use super::lake::{Collect, FileReading, Job, LakeReader, ReadSoFar};
use super::topic::{Translator, read_rounds};

/// How often whoever watches is told, once the topic is read.
const TICK: Duration = Duration::from_millis(50);

/// What a verification works with.
#[derive(Clone, Debug)]
pub struct VerifyParts {
    /// The table's store.
    pub store: Arc<dyn Store>,
    /// Where the store's work runs. Verifying blocks its own threads, so it is not called from
    /// there.
    pub runtime: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The table's columns.
    pub schema: Arc<Schema>,
    /// Its folders.
    pub spec: Arc<Spec>,
    /// The topic's format.
    pub format: Format,
    /// Memory for stretches that are looked at offset by offset.
    pub memory_bytes: u64,
    /// How long a file may be on its way to its name.
    pub patience: Duration,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages read from the topic.
    pub messages: u64,
    /// Rows and dead letters read from the lake.
    pub rows: u64,
    /// Files read.
    pub files: u64,
    /// Files to be read.
    pub of_files: u64,
}

/// Reads both sides and tells how far they are.
pub(super) struct BothSides<'a> {
    pub(super) parts: &'a VerifyParts,
    pub(super) reader: &'a mut dyn RangeReader,
    pub(super) watch: &'a mut dyn FnMut(Progress),
    pub(super) progress: Progress,
}

/// What reading both sides has brought.
pub(super) struct BothRead<C> {
    pub(super) collectors: Vec<C>,
    /// What was found in each job's file.
    pub(super) readings: BTreeMap<usize, FileReading>,
    /// Partitions of the topic that end before their range does.
    pub(super) short: Vec<(i32, i64)>,
}

impl BothSides<'_> {
    /// Reads `rounds` of the topic into `sink` and the files of `jobs` into `collectors`, each of
    /// which gets a thread.
    ///
    /// # Errors
    /// When brokers or store do not answer.
    pub(super) fn read<C: Collect>(
        &mut self,
        rounds: &[Vec<(i32, OffsetRange)>],
        jobs: &[Job],
        mut collectors: Vec<C>,
        sink: &mut dyn FnMut(Entry),
    ) -> Result<BothRead<C>, VerifyError> {
        let (parts, before) = (self.parts, self.progress);
        let so_far = ReadSoFar::default();
        let next = AtomicUsize::new(0);
        let lake = LakeReader {
            store: parts.store.as_ref(),
            runtime: &parts.runtime,
            schema: &parts.schema,
            so_far: &so_far,
        };
        self.progress.of_files += jobs.len() as u64;
        let (short, worked) = std::thread::scope(|scope| {
            let workers: Vec<_> = collectors
                .iter_mut()
                .map(|collect| scope.spawn(|| lake.work(jobs, &next, collect)))
                .collect();
            let short = self.read_topic(rounds, &so_far, before, sink);
            if short.is_err() {
                next.store(jobs.len(), Ordering::Relaxed);
            }
            while workers.iter().any(|worker| !worker.is_finished()) {
                parts.clock.sleep(TICK);
                self.tell(&so_far, before);
            }
            let joined = workers.into_iter().map(|worker| {
                worker
                    .join()
                    .expect("reading a file catches the panics of what it calls")
            });
            (short, joined.collect::<Result<Vec<_>, StoreError>>())
        });
        Ok(BothRead {
            short: short?,
            readings: worked?.into_iter().flatten().collect(),
            collectors,
        })
    }

    fn read_topic(
        &mut self,
        rounds: &[Vec<(i32, OffsetRange)>],
        so_far: &ReadSoFar,
        before: Progress,
        sink: &mut dyn FnMut(Entry),
    ) -> Result<Vec<(i32, i64)>, VerifyError> {
        let parts = self.parts;
        let mut translator = Translator::new(&parts.schema, &parts.spec, parts.format);
        let (progress, watch) = (&mut self.progress, &mut self.watch);
        let short = read_rounds(
            self.reader,
            rounds,
            &mut |message| translator.accept(&message, sink),
            &mut |messages| {
                progress.messages += messages;
                tell(progress, so_far, before, watch);
            },
        )?;
        translator.flush(sink)?;
        Ok(short)
    }

    fn tell(&mut self, so_far: &ReadSoFar, before: Progress) {
        tell(&mut self.progress, so_far, before, self.watch);
    }
}

fn tell(
    progress: &mut Progress,
    so_far: &ReadSoFar,
    before: Progress,
    watch: &mut dyn FnMut(Progress),
) {
    progress.rows = before.rows + so_far.rows.load(Ordering::Relaxed);
    progress.files = before.files + so_far.files.load(Ordering::Relaxed);
    watch(*progress);
}
