//! Appending one record, as a state machine without I/O.
//!
//! ```text
//!            absent, admitted            created
//! Read(n+1) ────────────────► Put(n+1) ──────────► Done(n+1)
//!   ▲  │ another's: fold it       │ exists, or the reply was lost
//!   └──┘◄─────────────────────────┘
//!      │ my nonce: Done(n+1)      absent, not admitted: Fenced
//! ```
//!
//! The caller does what is asked and reports what it saw; the same machine runs in production, in
//! simulations and in models.

use super::CommitError;
use super::record::{Body, Record};
use super::state::State;

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Read the record with this number and call [`Append::read`].
    Read(u64),
    /// Put the record at this number if absent and call [`Append::put`].
    Put(u64),
    /// The record stands in the log under this number.
    Done(u64),
}

/// What the caller saw of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutSeen {
    /// The record is there, put by this call.
    Created,
    /// A record was there already.
    Exists,
    /// No answer, or an error that does not say whether it was put.
    Unknown,
}

/// One record on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Append {
    record: Record,
    lost_races: u32,
}

impl Append {
    /// Begins; the first thing to do is to read past the state's head.
    pub fn begin(record: Record, state: &State) -> (Self, Ask) {
        (
            Self {
                record,
                lost_races: 0,
            },
            Ask::Read(state.next_number()),
        )
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// How many records of others got a number that this one was offered at.
    pub fn lost_races(&self) -> u32 {
        self.lost_races
    }

    /// The record after the head was read: `None` when there is none.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when this record may no longer be appended;
    /// [`CommitError::Broken`] when the record read does not fit the state.
    pub fn read(&mut self, state: &mut State, found: Option<&Record>) -> Result<Ask, CommitError> {
        let Some(found) = found else {
            return self.offer(state);
        };
        let number = state.next_number();
        state.apply(found)?;
        if found.nonce == self.record.nonce {
            // An earlier put of ours whose reply was lost.
            return Ok(Ask::Done(number));
        }
        Ok(Ask::Read(state.next_number()))
    }

    /// A put at the number asked for was tried.
    ///
    /// # Errors
    /// As [`Append::read`].
    pub fn put(&mut self, state: &mut State, seen: PutSeen) -> Result<Ask, CommitError> {
        let number = state.next_number();
        match seen {
            PutSeen::Created => {
                state.apply(&self.record)?;
                Ok(Ask::Done(number))
            }
            PutSeen::Exists => {
                self.lost_races += 1;
                Ok(Ask::Read(number))
            }
            PutSeen::Unknown => Ok(Ask::Read(number)),
        }
    }

    /// Nothing lies behind the head: the record may be put there if the state admits it.
    fn offer(&self, state: &State) -> Result<Ask, CommitError> {
        match &self.record.body {
            Body::Commit(commit) => state.admits(&self.record.session, commit)?,
            // Another writer defined the table first; whether it is the same is the caller's check.
            Body::Table(_) if state.definition.is_some() => return Ok(Ask::Done(0)),
            Body::Table(_) | Body::Claim(_) => {}
        }
        Ok(Ask::Put(state.next_number()))
    }
}
