//! Everything read since the last commit: from a message to a durable file that nobody sees yet.
//!
//! ```text
//! accept ─► Decoder ─► Router ─► (65,536 rows) ─► Splitter ─► Held ─► row groups ─► store
//!       └─► dead letter ───────────────────────────────────► the same, below dead/
//! seal ─► Sealed: offset ranges and staged files, for one commit
//! ```
//!
//! Owns: the wiring of the stages, offset ranges of the open cut, when held rows are encoded.
//! Does not own: when to commit (`batch::Rotation` and the engine), the log.
//!
//! Memory, as parts of the budget: rows are encoded when they reach half of it, or when all uses
//! together reach three quarters, until an eighth is left as rows. That rest is copied together,
//! which takes another eighth for a moment. A quarter may wait for more of its file (S3's parts) or
//! belong to open files: beyond that only a commit helps. A quarter may be on its way to the
//! store: beyond that only waiting helps.

mod open_batch;
mod output;
mod letters;
mod positions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::errors::ParquetError;
use tokio::runtime::Handle;

use crate::batch::{Contents, MemoryBudget, MemoryUse};
use crate::clock::Clock;
use crate::decode::{Decoder, Reject, RejectReason};
use crate::partition::{Refusal, Router, SKIP};
use crate::settings;
use crate::source::{Message, OffsetRange};
use crate::stage::{
    ClosedFile, DEAD_LETTERS, Sorting, StagedFile, Uploader, Uploads, discard, encode_failed,
};
use crate::store::{Store, StoreError, TablePath};
use crate::table::Schema;
use crate::table::spec::Spec;
use crate::telemetry::Metrics;

use letters::DeadOutput;
use open_batch::OpenBatch;
use output::{FileNames, Output};
use positions::Positions;

/// Folder of rows, the only one that readers glob.
const DATA: &str = "data";

/// What a cut is made of.
pub struct CutParts {
    /// The table's columns.
    pub schema: Arc<Schema>,
    /// Its folders.
    pub spec: Arc<Spec>,
    /// The order of rows in a row group.
    pub sorting: Sorting,
    /// How files are written.
    pub parquet: settings::Parquet,
    /// All memory that grows with the data; shared by the cuts of a process.
    pub budget: Arc<MemoryBudget>,
    /// The topic's format.
    pub decoder: Box<dyn Decoder>,
    /// 16 hexadecimal digits in the names of all files, unique to this cut's maker.
    pub session: String,
    /// The table's URL, without credentials, for the files' metadata.
    pub table_url: String,
    /// Where files are staged.
    pub store: Arc<dyn Store>,
    /// Where the store's work runs.
    pub runtime: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Figures.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for CutParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CutParts")
            .field("session", &self.session)
            .field("table_url", &self.table_url)
            .finish_non_exhaustive()
    }
}

/// What has to happen before more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Nothing: there is room.
    Enough,
    /// A commit: only closed files let their memory go.
    CommitNow,
    /// Bytes have to reach the store first: pause the source, and ask again.
    Wait,
}

/// What one source partition contributed to a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRange {
    /// Number of the source partition.
    pub partition: i32,
    /// Offsets read, without a gap to the commit before; never empty.
    pub range: OffsetRange,
    /// Messages that became rows.
    pub rows: u64,
    /// Messages that could not.
    pub dead_letters: u64,
    /// Messages without a value.
    pub tombstones: u64,
}

/// A cut whose files are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Offsets, by number of the source partition.
    pub ranges: Vec<SourceRange>,
    /// Files of rows.
    pub files: Vec<StagedFile>,
    /// Files of dead letters.
    pub dead: Vec<StagedFile>,
}

/// Becomes ready when every file of a cut is durable. Dropped before, the files are removed.
pub type SealFuture = Pin<Box<dyn Future<Output = Result<Sealed, StoreError>> + Send>>;

/// The cut that is being filled. All calls come from one thread, which does the encoding as well.
pub struct OpenCut {
    schema: Arc<Schema>,
    spec: Arc<Spec>,
    arrow: SchemaRef,
    decoder: Box<dyn Decoder>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    budget: Arc<MemoryBudget>,
    uploader: Uploader,
    runtime: Handle,

    positions: Positions,
    names: FileNames,
    uploads: Uploads,
    first_at: Option<Duration>,
    /// Earliest and latest timestamp of the messages, milliseconds since the epoch.
    event_times_ms: Option<(i64, i64)>,
    /// A failure that `accept` could not report.
    failure: Option<StoreError>,

    open: OpenBatch,
    router: Router,
    data: Output,
    dead: DeadOutput,
    /// Told to the metrics so far.
    unknown_fields: u64,
}

impl std::fmt::Debug for OpenCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenCut")
            .field("contents", &self.contents())
            .finish_non_exhaustive()
    }
}

impl OpenCut {
    /// An empty cut that knows no source partition.
    ///
    /// # Errors
    /// When Parquet has no place for a column of the schema, such as a record without fields.
    pub fn new(parts: CutParts) -> Result<Self, ParquetError> {
        let CutParts {
            schema,
            spec,
            sorting,
            parquet,
            budget,
            decoder,
            session,
            table_url,
            store,
            runtime,
            clock,
            metrics,
        } = parts;
        let arrow = schema.arrow();
        let uploader = Uploader::new(Arc::clone(&store), runtime.clone(), Arc::clone(&budget));
        Ok(Self {
            dead: DeadOutput::new(&parquet, &budget)?,
            data: Output::new(DATA, arrow.clone(), sorting, parquet, &budget)?,
            router: Router::new(&spec, &schema),
            open: OpenBatch::new(&budget),
            names: FileNames::new(session, table_url),
            uploads: uploader.begin_cut(),
            positions: Positions::default(),
            first_at: None,
            event_times_ms: None,
            failure: None,
            unknown_fields: 0,
            schema,
            spec,
            arrow,
            decoder,
            store,
            clock,
            metrics,
            budget,
            uploader,
            runtime,
        })
    }

    /// Begins a source partition at `offset`: its first message of interest, and the start of its
    /// range in the next commit.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        self.positions.begin(partition, offset);
    }

    /// Forgets source partitions that were given back.
    ///
    /// # Panics
    /// When the cut holds messages of one: they would be written without their offsets. Seal or
    /// abandon first.
    pub fn forget(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            self.positions.forget(partition);
        }
    }

    /// The next offset of a source partition that was begun.
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.positions.next(partition)
    }

    /// Whether no message was accepted since the last commit.
    pub fn is_empty(&self) -> bool {
        self.positions.messages() == 0
    }

    /// Whether an offset was passed since the last commit, be it that of a message or a marker.
    pub fn has_moved(&self) -> bool {
        self.positions.have_moved()
    }

    /// Takes a message as a row, a dead letter or a tombstone. One of a source partition that was
    /// not begun, or before its position, is ignored.
    pub fn accept(&mut self, message: Message<'_>) {
        let Some(position) = self.positions.take(message.partition, message.offset) else {
            return;
        };
        if self.first_at.is_none() {
            self.first_at = Some(self.clock.monotonic());
        }
        if let Some(made_ms) = message.timestamp_ms {
            let (earliest, latest) = self.event_times_ms.unwrap_or((made_ms, made_ms));
            self.event_times_ms = Some((earliest.min(made_ms), latest.max(made_ms)));
        }
        let Some(value) = message.value else {
            position.tombstones += 1;
            self.metrics.tombstones(1);
            return;
        };
        match self.decoder.append(value) {
            Ok(()) => {}
            Err(reject) => {
                position.dead_letters += 1;
                return self.bury(&message, value, &reject);
            }
        }
        let decoder = &self.decoder;
        match self.router.route(|column| decoder.last(column)) {
            Ok(id) => {
                position.rows += 1;
                self.open.push(&message, value.len(), id);
            }
            Err(refusal) => {
                position.dead_letters += 1;
                // The row stays in the decoder's columns and is left out of the split.
                self.open.push(&message, value.len(), SKIP);
                let reject = self.reject(refusal);
                self.bury(&message, value, &reject);
            }
        }
        if self.open.is_full() {
            self.finish_batch();
        }
    }

    fn reject(&self, refusal: Refusal) -> Reject {
        Reject {
            reason: RejectReason::OutOfRange,
            field: Some(self.schema.columns[refusal.column].name.clone()),
            detail: refusal.detail,
        }
    }

    #[cold]
    fn bury(&mut self, message: &Message<'_>, value: &[u8], reject: &Reject) {
        self.metrics.dead_letters(reject.reason, 1);
        let buried = self
            .dead
            .push(message, value, reject, self.open.max_bytes());
        self.note(DEAD_LETTERS, buried);
    }

    /// Moves a source partition on to `next`: what lies before was read and holds no more messages.
    /// Never moves it back.
    pub fn advance(&mut self, partition: i32, next: i64) {
        self.positions.advance(partition, next);
    }

    /// What was accepted since the last commit.
    pub fn contents(&self) -> Contents {
        let totals = self.positions.totals();
        let encoded = self.data.encoded_bytes() + self.dead.encoded_bytes();
        let held = totals.rows.saturating_sub(self.data.encoded_rows());
        Contents {
            rows: totals.rows,
            dead_letters: totals.dead_letters,
            tombstones: totals.tombstones,
            encoded_bytes: encoded
                + held * self.data.bytes_per_row()
                + self.dead.held_bytes() as u64,
            event_span_ms: self
                .event_times_ms
                .map_or(0, |(earliest, latest)| latest.abs_diff(earliest)),
            first_at: self.first_at,
        }
    }

    /// Keeps to the memory budget; called after each poll.
    ///
    /// # Errors
    /// When a file of this cut was lost: abandon the cut and read again.
    pub fn relieve(&mut self) -> Result<Relief, StoreError> {
        self.uploads.check()?;
        let limit = self.budget.limit_bytes();
        let decoded = self.decoder.bytes();
        self.open.count(decoded + self.dead.open_bytes());
        if decoded > limit / 8 {
            self.finish_batch();
        }
        self.report();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let rows = self.budget.used_for(MemoryUse::Rows);
        let is_full = rows > limit / 2 || (self.budget.used() > limit / 4 * 3 && rows > limit / 8);
        if is_full && !self.needs_commit() {
            self.encode_down_to(limit / 8)?;
        }
        let in_flight = self.budget.used_for(MemoryUse::InFlight);
        Ok(if self.needs_commit() {
            Relief::CommitNow
        } else if in_flight > limit / 4 || self.budget.used() > limit / 4 * 3 {
            Relief::Wait
        } else {
            Relief::Enough
        })
    }

    /// Whether open files take as much memory as they may. A seal needs no more: it closes each
    /// file before it opens the next.
    fn needs_commit(&self) -> bool {
        keeps_too_much(&self.budget) || self.data.is_full() || self.dead.is_full()
    }

    /// Encodes lake partitions, the largest first, until the rest of the rows is small; copies the
    /// rest together so that it keeps nothing else alive.
    fn encode_down_to(&mut self, bytes: usize) -> Result<(), StoreError> {
        let (names, uploads) = (&mut self.names, &self.uploads);
        self.dead.encode_down_to(bytes / 4, names, uploads)?;
        let partitions = self.router.partitions();
        self.data.encode_down_to(bytes, partitions, names, uploads)
    }

    fn report(&mut self) {
        let bytes = |kept_for| self.budget.used_for(kept_for) as u64;
        self.metrics.memory(
            bytes(MemoryUse::Rows),
            bytes(MemoryUse::Waiting) + bytes(MemoryUse::InFlight) + bytes(MemoryUse::OpenFiles),
        );
        let unknown_fields = self.decoder.unknown_fields();
        if unknown_fields > self.unknown_fields {
            self.metrics
                .unknown_fields(unknown_fields - self.unknown_fields);
            self.unknown_fields = unknown_fields;
        }
    }

    /// Encodes all that is held and closes all files; afterwards the cut is empty and fills on. The
    /// future resolves once every file is durable.
    ///
    /// # Errors
    /// The future fails when a file could not be written; the offsets must be read again.
    pub fn seal(&mut self) -> SealFuture {
        match self.close_files() {
            Ok((files, dead)) => {
                let ranges = self.positions.seal();
                self.next_cut();
                let (store, runtime) = (Arc::clone(&self.store), self.runtime.clone());
                Box::pin(async move {
                    let mut sealed = Sealed {
                        ranges,
                        ..Sealed::default()
                    };
                    match wait(files, dead, &mut sealed).await {
                        Ok(()) => Ok(sealed),
                        Err(error) => {
                            remove(&runtime, store, sealed);
                            Err(error)
                        }
                    }
                })
            }
            Err(error) => {
                self.abandon();
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }

    fn close_files(&mut self) -> Result<(Vec<ClosedFile>, Vec<ClosedFile>), StoreError> {
        self.uploads.check()?;
        self.finish_batch();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (names, uploads) = (&mut self.names, &self.uploads);
        let files = self.data.close(self.router.partitions(), names, uploads)?;
        let dead = self.dead.close(names, uploads)?;
        Ok((files, dead))
    }

    /// Drops everything and forgets all positions. What was staged is removed in the background;
    /// what cannot be removed is found by a sweep.
    pub fn abandon(&mut self) {
        self.data.clear();
        self.dead.clear();
        drop(self.decoder.finish());
        self.open.clear();
        self.positions = Positions::default();
        self.failure = None;
        self.next_cut();
    }

    fn next_cut(&mut self) {
        self.router = Router::new(&self.spec, &self.schema);
        self.uploads = self.uploader.begin_cut();
        self.names.next_cut();
        self.first_at = None;
        self.event_times_ms = None;
    }

    /// Splits the decoder's rows and holds them.
    fn finish_batch(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let mut columns = self.decoder.finish();
        columns.extend(self.open.take_offsets());
        let held = RecordBatch::try_new(self.arrow.clone(), columns)
            .and_then(|batch| self.data.hold(batch, self.open.ids()));
        self.open.clear();
        self.note(DATA, held);
    }

    /// Keeps a failure for the next call that can report it.
    fn note(&mut self, folder: &str, held: Result<(), arrow_schema::ArrowError>) {
        if let Err(error) = held {
            let folder = TablePath::new(folder).expect("the folder of an output is a path");
            self.failure.get_or_insert(encode_failed(&folder, error));
        }
    }
}

/// Whether open files, and bytes that wait for more of their file, take their quarter.
fn keeps_too_much(budget: &MemoryBudget) -> bool {
    let kept = budget.used_for(MemoryUse::Waiting) + budget.used_for(MemoryUse::OpenFiles);
    kept > budget.limit_bytes() / 4
}

/// Waits for files one after the other; they are sent beside each other in any case.
async fn wait(
    files: Vec<ClosedFile>,
    dead: Vec<ClosedFile>,
    sealed: &mut Sealed,
) -> Result<(), StoreError> {
    for file in files {
        sealed.files.push(file.staged.await?);
    }
    for file in dead {
        sealed.dead.push(file.staged.await?);
    }
    Ok(())
}

/// Removes the files that were staged before another one failed.
fn remove(runtime: &Handle, store: Arc<dyn Store>, sealed: Sealed) {
    runtime.spawn(async move {
        for file in sealed.files.iter().chain(&sealed.dead) {
            discard(store.as_ref(), &file.staged, &file.target).await;
        }
    });
}

#[cfg(test)]
mod trial;
#[cfg(test)]
mod tests;
