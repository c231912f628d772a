//! One batch, the rollups that it changes and its offsets, in one transaction.
//!
//! ```text
//! Batch ─► Prepared ─► checkpoints (offsets and epochs as expected?) ─► documents, dead letters,
//!          rollups ─► commit ─► Written
//! ```
//!
//! Owns: the order of a transaction's commands, and what follows when one of them fails.
//! Does not own: claims (`checkpoint`), what the commands write (`prepared`, `totals`, `keyed`), the
//! transaction itself (`transaction`).
//!
//! The checkpoints go first: a conflict with a later claim shows before any document is sent. A
//! document that the server refuses ends the transaction; the next one ends with that document as a
//! dead letter, and what follows it is written by the one after.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::batch::Batch;
use super::checkpoint::{Claim, ServerSession};
use super::command::{COMMAND_BYTES, Command};
use super::database::Mongo;
use super::failure::{DatabaseError, FailureKind};
use super::keyed;
use super::learned::Learned;
use super::outcome::{Stopped, Tries, WriteError};
use super::plan::{Id, Plan};
use super::prepared::{Content, Counts, Prepared, Refusal, readers};
use super::rollup::Sums;
use super::totals;
use super::transaction::Transaction;

/// Entries of a transaction that is not made smaller when conflicts end it.
const SMALL: usize = 50;

/// What was written by the transactions of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// By source partition of which anything was written, the first offset that is not.
    pub(super) next: BTreeMap<i32, i64>,
    pub(super) transactions: u64,
    pub(super) counts: Counts,
    pub(super) bytes: u64,
    pub(super) unknown_fields: u64,
}

/// Picks entries, and says where their bytes lie.
type Chosen = fn(&Content) -> Option<Range<usize>>;

/// Where a batch is written, and under which claims.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    pub(super) mongo: Mongo,
    pub(super) plan: Arc<Plan>,
    pub(super) server_session: ServerSession,
    /// By source partition; they stand where the batch begins. The lowest one names the part of the
    /// rollups to which sums are added: no other lane, of this mirror or another, has it.
    pub(super) claims: BTreeMap<i32, Claim>,
    pub(super) learned: Arc<Mutex<Learned>>,
}

/// Offsets of one source partition that a transaction covers.
struct Step {
    claim: Claim,
    offsets: Range<i64>,
}

impl Writing {
    /// Writes a batch, by one transaction unless the server refuses documents of it. Decodes and makes
    /// documents on the calling thread, which should be one that may be kept busy.
    ///
    /// # Errors
    /// After any error the outcome of the last transaction may be unknown: the checkpoint tells.
    pub(super) async fn write(&self, batch: &Batch) -> Result<Written, DatabaseError> {
        let mut written = Written::default();
        let mut wanted = 0..self.most().min(batch.len());
        let mut refused: HashMap<usize, Refusal> = HashMap::new();
        loop {
            let refusal_of = |index| refused.get(&index).cloned();
            let prepared = Prepared::of(&self.plan, batch, wanted.clone(), refusal_of);
            let steps = self.steps(&written.next, &batch.ends_before(prepared.next_index));
            match self.settle(&prepared, &steps).await {
                Ok(()) => {
                    written.add(&prepared, &steps);
                    let next = prepared.next_index;
                    if next == batch.len() {
                        return Ok(written);
                    }
                    self.learn(Learned::went_well);
                    wanted = next..(next + self.most()).min(batch.len());
                }
                Err(Stopped::Refused(entry, refusal)) => {
                    let index = prepared.entries[entry].index;
                    refused.insert(index, refusal);
                    wanted.end = index + 1;
                }
                Err(Stopped::TooLarge(_)) if prepared.entries.len() > 1 => {
                    wanted.end = wanted.start + prepared.entries.len() / 2;
                }
                // What a server cannot keep in its cache it rolls back as a conflict, each time.
                Err(Stopped::Conflict(error)) if prepared.entries.len() > SMALL => {
                    tracing::debug!(%error, "half of it is tried");
                    self.learn(|learned| learned.too_many(prepared.entries.len()));
                    wanted.end = wanted.start + prepared.entries.len() / 2;
                }
                Err(Stopped::TooLarge(detail)) => {
                    let refusal = Refusal {
                        reason: "too_large",
                        field: None,
                        detail,
                    };
                    refused.insert(wanted.start, refusal);
                }
                Err(Stopped::Again(error) | Stopped::Conflict(error) | Stopped::Failed(error)) => {
                    return Err(error);
                }
            }
        }
    }

    fn most(&self) -> usize {
        self.learned.lock().expect("nobody panics with it").most()
    }

    fn learn(&self, lesson: impl FnOnce(&mut Learned)) {
        lesson(&mut self.learned.lock().expect("nobody panics with it"));
    }

    /// From where to where the checkpoints move that move at all; `written` is what was written of the
    /// batch before.
    fn steps(&self, written: &BTreeMap<i32, i64>, to: &BTreeMap<i32, i64>) -> Vec<Step> {
        let step = |(partition, end): (&i32, &i64)| {
            let claim = self.claims.get(partition)?;
            let start = written.get(partition).copied().unwrap_or(claim.next);
            (*end > start).then_some(Step {
                claim: *claim,
                offsets: start..*end,
            })
        };
        to.iter().filter_map(step).collect()
    }

    /// The part of the rollups that sums are added to.
    pub(super) fn part(&self) -> i32 {
        self.claims.keys().next().copied().unwrap_or(0)
    }

    /// Tries a transaction until it is committed, or cannot be.
    async fn settle(&self, prepared: &Prepared, steps: &[Step]) -> Result<(), Stopped> {
        let mut tries = Tries::default();
        loop {
            let Err(stopped) = self.attempt(prepared, steps).await else {
                return Ok(());
            };
            // A large one that conflicts is halved instead.
            let is_halved =
                matches!(stopped, Stopped::Conflict(_)) && prepared.entries.len() > SMALL;
            if is_halved || !tries.another(&stopped).await {
                return Err(stopped);
            }
        }
    }

    async fn attempt(&self, prepared: &Prepared, steps: &[Step]) -> Result<(), Stopped> {
        let mut session = self.server_session.session.lock().await;
        let mut transaction = Transaction::begin(&self.mongo, &mut session).await?;
        let filled = self.fill(&mut transaction, prepared, steps).await;
        transaction.end(filled).await
    }

    async fn fill(
        &self,
        transaction: &mut Transaction<'_>,
        prepared: &Prepared,
        steps: &[Step],
    ) -> Result<(), Stopped> {
        self.advance(transaction, prepared, steps).await?;
        let mut sums = Sums::default();
        match self.plan.id {
            Id::Offset => {
                self.insert_documents(transaction, prepared, &mut sums)
                    .await?;
            }
            Id::Field(_) => keyed::replace(self, transaction, prepared, &mut sums).await?,
        }
        let dead: Chosen = |content| match content {
            Content::Dead(at) => Some(at.clone()),
            _ => None,
        };
        let collection = self.mongo.beside("_dead");
        self.insert(
            transaction,
            "write dead letters",
            &collection,
            prepared,
            dead,
        )
        .await?;
        totals::add(self, transaction, &sums).await
    }

    /// Moves the checkpoints, on condition that each stands where it should and is still ours.
    async fn advance(
        &self,
        transaction: &mut Transaction<'_>,
        prepared: &Prepared,
        steps: &[Step],
    ) -> Result<(), Stopped> {
        const ACTION: &str = "move the checkpoints";
        let mut command = Command::new("update", &self.mongo.beside("_checkpoint"), "updates");
        for step in steps {
            let name = command.next_name();
            let partition = step.claim.partition;
            let counts = prepared.counts.get(&partition).copied().unwrap_or_default();
            write_step(&mut command, &name, step, counts);
        }
        let reply = transaction.run(ACTION, command.finish()).await?;
        let moved = reply
            .get_i32("n")
            .ok()
            .and_then(|n| usize::try_from(n).ok());
        if moved == Some(steps.len()) {
            return Ok(());
        }
        let of = |step: &Step| {
            let Step { claim, offsets } = step;
            format!(
                "{} at offset {} under epoch {}",
                claim.partition, offsets.start, claim.epoch
            )
        };
        let expected: Vec<String> = steps.iter().map(of).collect();
        let reason = format!(
            "another mirror has claimed one of these partitions since: {}",
            expected.join(", ")
        );
        Err(DatabaseError::new(FailureKind::Fenced, ACTION, reason).into())
    }

    async fn insert_documents(
        &self,
        transaction: &mut Transaction<'_>,
        prepared: &Prepared,
        sums: &mut Sums,
    ) -> Result<(), Stopped> {
        if let Some(rollup) = &self.plan.rollup {
            let readers = readers(&self.plan, &prepared.columns);
            for entry in &prepared.entries {
                if let Content::Document { row, .. } = entry.content {
                    sums.add_row(rollup, &readers, row);
                }
            }
        }
        let documents: Chosen = |content| match content {
            Content::Document { at, .. } => Some(at.clone()),
            _ => None,
        };
        let collection = self.mongo.documents();
        self.insert(
            transaction,
            "write documents",
            collection,
            prepared,
            documents,
        )
        .await
    }

    /// Inserts what `chosen` picks of the entries.
    async fn insert(
        &self,
        transaction: &mut Transaction<'_>,
        action: &'static str,
        collection: &str,
        prepared: &Prepared,
        chosen: Chosen,
    ) -> Result<(), Stopped> {
        let mut command = Command::new("insert", collection, "documents");
        let mut entries = Vec::new();
        for (index, entry) in prepared.entries.iter().enumerate() {
            let Some(at) = chosen(&entry.content) else {
                continue;
            };
            if !entries.is_empty() && command.bytes() + at.len() > COMMAND_BYTES {
                let full = std::mem::replace(
                    &mut command,
                    Command::new("insert", collection, "documents"),
                );
                self.send(transaction, action, full, &entries).await?;
                entries.clear();
            }
            command.push(&prepared.bytes[at]);
            entries.push(index);
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.send(transaction, action, command, &entries).await
    }

    /// Runs a command that writes entries; `entries` are their indexes.
    pub(super) async fn send(
        &self,
        transaction: &mut Transaction<'_>,
        action: &'static str,
        command: Command,
        entries: &[usize],
    ) -> Result<(), Stopped> {
        let reply = transaction.reply(action, command.finish()).await?;
        let Some(error) = WriteError::first(&reply) else {
            return Ok(());
        };
        let entry = error.index.and_then(|index| entries.get(index));
        match (entry, error.refusal()) {
            (Some(_), _) if error.is_place() => Err(self.already_there(action, &error.told)),
            (Some(entry), Some(refusal)) => Err(Stopped::Refused(*entry, refusal)),
            _ => Err(Stopped::Failed(DatabaseError::new(
                FailureKind::Transient,
                action,
                error.told,
            ))),
        }
    }

    /// An `_id` that is there already. With keys another partition was quicker; with offsets the
    /// collection and its checkpoint do not belong together.
    fn already_there(&self, action: &'static str, told: &str) -> Stopped {
        if self.plan.id != Id::Offset {
            return Stopped::Again(DatabaseError::new(FailureKind::Transient, action, told));
        }
        let reason = format!(
            "{told}; the collection holds a message that the checkpoint says is not there: drop the \
             mirror's collections and start again, or restore its checkpoint collection with them"
        );
        Stopped::Failed(DatabaseError::new(FailureKind::Unfit, action, reason))
    }
}

impl Written {
    fn add(&mut self, prepared: &Prepared, steps: &[Step]) {
        for step in steps {
            self.next.insert(step.claim.partition, step.offsets.end);
        }
        self.transactions += 1;
        for counts in prepared.counts.values() {
            self.counts += *counts;
        }
        self.bytes += prepared.bytes.len() as u64;
        self.unknown_fields += prepared.unknown_fields;
    }
}

/// One update of a checkpoint: `{q: {_id, next, epoch}, u: {$set, $inc}}`.
fn write_step(command: &mut Command, name: &str, step: &Step, counts: Counts) {
    let writer = &mut command.writer;
    let update = writer.begin_document(name);
    let query = writer.begin_document("q");
    writer.int32("_id", step.claim.partition);
    writer.int64("next", step.offsets.start);
    writer.int64("epoch", step.claim.epoch);
    writer.end(query);
    let change = writer.begin_document("u");
    let set = writer.begin_document("$set");
    writer.int64("next", step.offsets.end);
    writer.end(set);
    let add = writer.begin_document("$inc");
    writer.int64("documents", counts.documents.cast_signed());
    writer.int64("dead_letters", counts.dead_letters.cast_signed());
    writer.int64("tombstones", counts.tombstones.cast_signed());
    writer.end(add);
    writer.end(change);
    writer.end(update);
}
