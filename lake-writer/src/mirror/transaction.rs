//! A transaction of the server, from its beginning to its commit.
//!
//! ```text
//! begin ─► commands, one after the other ─► end: commit, or abort ─► what to do next (`outcome`)
//! ```
//!
//! Owns: the commit whose result is unknown, and that nothing stays open behind an error.
//! Does not own: what the commands say (`write`, `rebuild`), whether it is tried again (`outcome`).

use mongodb::ClientSession;
use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;

use super::database::Mongo;
use super::failure::{DatabaseError, FailureKind};
use super::outcome::{FIRST_WAIT, Stopped, WriteError};

/// Times that a commit of unknown result is sent again.
const COMMIT_TRIES: u32 = 5;

/// A transaction that is open. One that is dropped before its end is ended by the next claim of what it
/// holds, or by the server.
pub(super) struct Transaction<'a> {
    pub(super) mongo: &'a Mongo,
    /// For what has a cursor: commands that write go through [`Self::run`] and [`Self::reply`].
    pub(super) session: &'a mut ClientSession,
}

impl<'a> Transaction<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn begin(
        mongo: &'a Mongo,
        session: &'a mut ClientSession,
    ) -> Result<Self, DatabaseError> {
        let begun = session.start_transaction();
        mongo.limited("begin a transaction", begun).await?;
        Ok(Self { mongo, session })
    }

    /// Runs a command of which no write can be refused; its reply.
    ///
    /// # Errors
    /// [`Stopped::Failed`] for a write that was refused all the same.
    pub(super) async fn run(
        &mut self,
        action: &'static str,
        command: RawDocumentBuf,
    ) -> Result<Document, Stopped> {
        let reply = self.reply(action, command).await?;
        match WriteError::first(&reply) {
            None => Ok(reply),
            Some(error) => {
                Err(DatabaseError::new(FailureKind::Transient, action, error.told).into())
            }
        }
    }

    /// Runs a command; its reply, in which writes may be refused.
    ///
    /// # Errors
    /// What ends the transaction.
    pub(super) async fn reply(
        &mut self,
        action: &'static str,
        command: RawDocumentBuf,
    ) -> Result<Document, Stopped> {
        let database = &self.mongo.database;
        let call = database
            .run_raw_command(command)
            .session(&mut *self.session);
        let reply = self.mongo.limited_raw(action, call).await?;
        reply.map_err(|error| Stopped::of(action, &error))
    }

    /// Commits what was filled, and aborts what was not or cannot be committed.
    ///
    /// # Errors
    /// Why it was not filled, or not committed. [`Stopped::Failed`] may mean that nobody knows.
    pub(super) async fn end(mut self, filled: Result<(), Stopped>) -> Result<(), Stopped> {
        let outcome = match filled {
            Ok(()) => self.commit().await,
            Err(stopped) => Err(stopped),
        };
        if outcome.is_err() {
            // Best effort: the next claim ends it, or the server by itself.
            let aborting = self.session.abort_transaction();
            let _ = self.mongo.limited("abort a transaction", aborting).await;
        }
        outcome
    }

    /// Commits; while the result is unknown it is asked for again, which never commits twice.
    async fn commit(&mut self) -> Result<(), Stopped> {
        const ACTION: &str = "commit a transaction";
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            let committing = self.session.commit_transaction();
            let Err(error) = self.mongo.limited_raw(ACTION, committing).await? else {
                return Ok(());
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
