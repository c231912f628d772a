//! How a transaction ends that was not committed, and what of it is tried again.
//!
//! ```text
//! driver's error, write errors of a reply ─► Stopped ─► again, halved, a dead letter, or the end
//! ```
//!
//! Owns: what the server's codes mean inside a transaction, waits between tries.
//! Does not own: what is done about it (`write`).

use std::time::Duration;

use mongodb::bson::{Bson, Document};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR};

use super::database;
use super::failure::DatabaseError;
use super::prepared::Refusal;

/// Times that a transaction which a conflict has ended is tried again before the session is given up.
const TRIES: u32 = 6;
/// First wait between two tries, doubled each time.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(10);
/// Further codes by which a server refuses one document: bad value, bad `$` or empty names, arrays in
/// two parts of an index, too large.
const REFUSALS: [i32; 6] = [2, 9, 52, 56, 171, 10_334];
const VALIDATION: i32 = 121;
/// `WriteConflict`, and `TransactionTooLargeForCache`, as which newer servers tell what older ones tell as
/// a conflict.
const CONFLICTS: [i32; 2] = [112, 388];
const DUPLICATE_KEY: i32 = 11_000;
/// A command or transaction that is too large as a whole: `TransactionTooLarge`, `BSONObjectTooLarge`.
const TOO_LARGE: [i32; 2] = [257, 10_334];

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

/// What a server says of the first write of a command that it has not done.
pub(super) struct WriteError {
    /// Its index in the command.
    pub(super) index: Option<usize>,
    pub(super) told: String,
    code: i32,
    is_of_id: bool,
}

impl WriteError {
    /// The first one of a reply, if there is any.
    pub(super) fn first(reply: &Document) -> Option<Self> {
        let errors = reply.get_array("writeErrors").ok()?;
        let error = errors.first().and_then(Bson::as_document)?;
        let index = error.get_i32("index").ok();
        Some(Self {
            index: index.and_then(|index| usize::try_from(index).ok()),
            told: error.get_str("errmsg").unwrap_or("refused").to_owned(),
            code: error.get_i32("code").unwrap_or(0),
            is_of_id: error
                .get_document("keyPattern")
                .is_ok_and(|pattern| pattern.contains_key("_id")),
        })
    }

    /// Whether an `_id` is there already, and not the key of an index that somebody has added.
    pub(super) fn is_place(&self) -> bool {
        self.code == DUPLICATE_KEY && self.is_of_id
    }

    /// Why the document is not let in, if that is what it means.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let reason = match self.code {
            VALIDATION => "refused_by_validation",
            DUPLICATE_KEY => "duplicate_key",
            code if REFUSALS.contains(&code) => "refused_by_server",
            _ => return None,
        };
        Some(Refusal {
            reason,
            field: None,
            detail: self.told.clone(),
        })
    }
}
