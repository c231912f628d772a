//! One batch, the rollups that it changes and its offsets, in one transaction.
//!
//! ```text
//! Batch ─► Prepared ─► checkpoints (offsets and epochs as expected?) ─► documents, dead letters,
//!          rollups ─► commit ─► Written
//! ```
//!
//! Owns: the order of a transaction's commands, and what follows when one of them fails.
//! Does not own: claims (`checkpoint`), what the commands write (`prepared`, `totals`, `keyed`).
//!
//! The checkpoints go first: a conflict with a later claim shows before any document is sent. A
//! document that the server refuses ends the transaction; the next one ends with that document as a
//! dead letter, and what follows it is written by the one after.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, RawDocumentBuf};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};

use super::batch::Batch;
use super::checkpoint::{Claim, ServerSession};
use super::command::{COMMAND_BYTES, Command};
use super::database::{self, Mongo};
use super::failure::{DatabaseError, FailureKind};
use super::keyed;
use super::learned::Learned;
use super::plan::{Id, Plan};
use super::prepared::{Content, Counts, Prepared, Refusal, readers};
use super::rollup::Sums;
use super::totals;

/// Times that a transaction which a conflict has ended is tried again before the session is given up.
const TRIES: u32 = 6;
/// Entries of a transaction that is not made smaller when conflicts end it.
const SMALL: usize = 50;
/// Times that a commit of unknown result is sent again.
const COMMIT_TRIES: u32 = 5;
/// First wait between two tries, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// Codes by which a server refuses one document: bad value, bad `$` or empty names, arrays in two
/// parts of an index, too large, validation, duplicate key.
const REFUSALS: [i32; 8] = [2, 9, 52, 56, 171, 10_334, 121, DUPLICATE_KEY];
const VALIDATION: i32 = 121;
/// `WriteConflict`, and `TransactionTooLargeForCache`, as which newer servers tell what older ones tell as
/// a conflict.
const CONFLICTS: [i32; 2] = [112, 388];
const DUPLICATE_KEY: i32 = 11_000;
/// A command or transaction that is too large as a whole: `TransactionTooLarge`, `BSONObjectTooLarge`.
const TOO_LARGE: [i32; 2] = [257, 10_334];

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

/// How a transaction that was not committed ended.
pub(super) enum Stopped {
    /// An election, or a server that went away: the same again has good prospects.
    Again(DatabaseError),
    /// Another transaction was in the way, or the server's cache is too small for this one.
    Conflict(DatabaseError),
    /// This entry is not let in.
    Refused(usize, Refusal),
    /// All of it together is too large.
    TooLarge(String),
    /// This session cannot go on.
    Failed(DatabaseError),
}

impl From<DatabaseError> for Stopped {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error)
    }
}

impl Stopped {
    /// What the driver's error means inside a transaction.
    pub(super) fn of(action: &'static str, error: &Error) -> Self {
        let told = DatabaseError::of(action, error);
        match database::code(error) {
            Some(code) if TOO_LARGE.contains(&code) => Self::TooLarge(told.reason),
            Some(code) if CONFLICTS.contains(&code) => Self::Conflict(told),
            _ if error.contains_label(TRANSIENT_TRANSACTION_ERROR) => Self::Again(told),
            _ => Self::Failed(told),
        }
    }
}

/// What is left of the tries of one transaction, with a wait between two that doubles.
pub(super) struct Tries {
    left: u32,
    wait: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            left: TRIES - 1,
            wait: FIRST_WAIT,
        }
    }
}

impl Tries {
    /// Waits, and says that the transaction is to be tried again; false when that has no prospects.
    pub(super) async fn another(&mut self, stopped: &Stopped) -> bool {
        let (Stopped::Again(error) | Stopped::Conflict(error)) = stopped else {
            return false;
        };
        if self.left == 0 {
            return false;
        }
        tracing::debug!(%error, "a transaction is tried again");
        tokio::time::sleep(self.wait).await;
        self.left -= 1;
        self.wait *= 2;
        true
    }
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
                    refused.insert(wanted.start, refusal("too_large", detail));
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
            (*end > start).then(|| Step {
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
        const ACTION: &str = "begin a transaction";
        let mut session = self.server_session.session.lock().await;
        let begun = session.start_transaction();
        self.mongo.limited(ACTION, begun).await?;
        let outcome = match self.fill(&mut session, prepared, steps).await {
            Ok(()) => self.commit(&mut session).await,
            Err(stopped) => Err(stopped),
        };
        if outcome.is_err() {
            // Best effort: the next claim ends it, or the server by itself.
            let aborting = session.abort_transaction();
            let _ = self.mongo.limited("abort a transaction", aborting).await;
        }
        outcome
    }

    async fn fill(
        &self,
        session: &mut ClientSession,
        prepared: &Prepared,
        steps: &[Step],
    ) -> Result<(), Stopped> {
        self.advance(session, prepared, steps).await?;
        let mut sums = Sums::default();
        match self.plan.id {
            Id::Offset => self.insert_documents(session, prepared, &mut sums).await?,
            Id::Field(_) => keyed::replace(self, session, prepared, &mut sums).await?,
        }
        let dead: Chosen = |content| match content {
            Content::Dead(at) => Some(at.clone()),
            _ => None,
        };
        let collection = self.mongo.beside("_dead");
        self.insert(session, "write dead letters", &collection, prepared, dead)
            .await?;
        totals::add(self, session, &sums).await
    }

    /// Moves the checkpoints, on condition that each stands where it should and is still ours.
    async fn advance(
        &self,
        session: &mut ClientSession,
        prepared: &Prepared,
        steps: &[Step],
    ) -> Result<(), Stopped> {
        const ACTION: &str = "move the checkpoints";
        let counts = prepared.counts();
        let mut command = Command::new("update", &self.mongo.beside("_checkpoint"), "updates");
        for step in steps {
            let name = command.next_name();
            let partition = step.claim.partition;
            let counts = counts.get(&partition).copied().unwrap_or_default();
            write_step(&mut command, &name, step, counts);
        }
        let reply = self.run(session, ACTION, command.finish()).await?;
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
        session: &mut ClientSession,
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
        self.insert(session, "write documents", collection, prepared, documents)
            .await
    }

    /// Inserts what `chosen` picks of the entries.
    async fn insert(
        &self,
        session: &mut ClientSession,
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
                self.send(session, action, full, &entries).await?;
                entries.clear();
            }
            command.push(&prepared.bytes[at]);
            entries.push(index);
        }
        if entries.is_empty() {
            return Ok(());
        }
        self.send(session, action, command, &entries).await
    }

    /// Runs a command that writes entries; `entries` are their indexes.
    pub(super) async fn send(
        &self,
        session: &mut ClientSession,
        action: &'static str,
        command: Command,
        entries: &[usize],
    ) -> Result<(), Stopped> {
        let reply = self
            .mongo
            .command_in(session, action, command.finish())
            .await?;
        let reply = reply.map_err(|error| Stopped::of(action, &error))?;
        let Some(error) = first_write_error(&reply) else {
            return Ok(());
        };
        let code = error.get_i32("code").unwrap_or(0);
        let told = error.get_str("errmsg").unwrap_or("refused").to_owned();
        let index = error.get_i32("index").ok();
        let index = index.and_then(|index| usize::try_from(index).ok());
        let entry = index.and_then(|index| entries.get(index));
        match entry {
            Some(_) if code == DUPLICATE_KEY && is_place(error) => {
                Err(self.already_there(action, &told))
            }
            Some(entry) if REFUSALS.contains(&code) => {
                Err(Stopped::Refused(*entry, refusal(reason(code), told)))
            }
            _ => Err(Stopped::Failed(DatabaseError::new(
                FailureKind::Transient,
                action,
                told,
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

    /// Runs a command whose updates are all ours: none of them can be refused.
    pub(super) async fn run(
        &self,
        session: &mut ClientSession,
        action: &'static str,
        command: RawDocumentBuf,
    ) -> Result<Document, Stopped> {
        let reply = self.mongo.command_in(session, action, command).await?;
        let reply = reply.map_err(|error| Stopped::of(action, &error))?;
        match first_write_error(&reply) {
            None => Ok(reply),
            Some(error) => {
                let told = error.get_str("errmsg").unwrap_or("refused");
                Err(DatabaseError::new(FailureKind::Transient, action, told).into())
            }
        }
    }

    /// Commits; while the result is unknown it is asked for again, which never commits twice.
    pub(super) async fn commit(&self, session: &mut ClientSession) -> Result<(), Stopped> {
        const ACTION: &str = "commit a transaction";
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            let error = match self
                .mongo
                .limited_raw(ACTION, session.commit_transaction())
                .await?
            {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_unknown = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
            if !is_unknown || tries == COMMIT_TRIES {
                // An unknown result is not tried anew in place: the next session asks the checkpoint.
                return Err(match is_unknown {
                    true => Stopped::Failed(DatabaseError::of(ACTION, &error)),
                    false => Stopped::of(ACTION, &error),
                });
            }
            tracing::debug!(%error, "the result of a commit is unknown; asking again");
            tokio::time::sleep(wait).await;
            wait *= 2;
            tries += 1;
        }
    }
}

impl Written {
    fn add(&mut self, prepared: &Prepared, steps: &[Step]) {
        for step in steps {
            self.next.insert(step.claim.partition, step.offsets.end);
        }
        self.transactions += 1;
        for counts in prepared.counts().values() {
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

fn first_write_error(reply: &Document) -> Option<&Document> {
    let errors = reply.get_array("writeErrors").ok()?;
    errors.first().and_then(Bson::as_document)
}

/// Whether a duplicate key is that of `_id`, and not of an index that somebody has added.
fn is_place(error: &Document) -> bool {
    error
        .get_document("keyPattern")
        .is_ok_and(|pattern| pattern.contains_key("_id"))
}

fn reason(code: i32) -> &'static str {
    match code {
        VALIDATION => "refused_by_validation",
        DUPLICATE_KEY => "duplicate_key",
        _ => "refused_by_server",
    }
}

fn refusal(reason: &'static str, detail: String) -> Refusal {
    Refusal {
        reason,
        field: None,
        detail,
    }
}
