//! Appending one record, as a state machine without I/O.
//!
//! ```text
//!            absent, admitted            created              not passed
//! Read(n+1) ────────────────► Put(n+1) ──────────► Look ───────────────► Done(n+1)
//!   ▲  │ another's: fold it       │ exists, or the reply   │ a checkpoint has passed n
//!   └──┘◄─────────────────────────┘ was lost               └──► Outdated
//!      │ my nonce: Look, then Done(n+1)      absent, not admitted: Fenced
//! ```
//!
//! The caller does what is asked and reports what it saw; the same machine runs in production, in
//! simulations and in models.
//!
//! **Looking.** Records up to the newest checkpoint's head may have been dropped, so that a name
//! which was taken is free again, and whatever is put there later does not count. What was read
//! behind head `h` is the log's if, *afterwards*, no checkpoint is newer than `h`; and a record put
//! at `n` stands if, afterwards, the newest checkpoint's head is below `n`. When a checkpoint has
//! passed what was read, the log is folded anew from it, unless the record was offered already:
//! then it may have stood before it was dropped, and only a new session can find out.

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
    /// Look how far the newest checkpoint reaches and call [`Append::looked`].
    Look,
    /// Put the newest checkpoint's state in the place of the state and call [`Append::refolded`].
    Refold,
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
    /// Head up to which the state is known to be the log's.
    sure: Option<u64>,
    /// Whether a put was tried: from then on the record may stand.
    offered: bool,
    then: Then,
}

/// What follows when a look finds that no checkpoint has passed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Then {
    /// Nothing lies behind the head: the record is offered there.
    Offer,
    /// The record stands.
    Done(u64),
    /// The log is broken indeed.
    Broken { number: u64, problem: String },
}

impl Append {
    /// Begins; the first thing to do is to read past the state's head.
    pub fn begin(record: Record, state: &State) -> (Self, Ask) {
        let append = Self {
            record,
            lost_races: 0,
            sure: state.head,
            offered: false,
            then: Then::Offer,
        };
        (append, Ask::Read(state.next_number()))
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
    /// [`CommitError::Fenced`] or [`CommitError::NotLive`] when this record may no longer be
    /// appended.
    pub fn read(&mut self, state: &mut State, found: Option<&Record>) -> Result<Ask, CommitError> {
        let Some(found) = found else {
            if state.head == self.sure {
                return self.offer(state);
            }
            self.then = Then::Offer;
            return Ok(Ask::Look);
        };
        let number = state.next_number();
        match state.apply(found) {
            Ok(()) if found.nonce == self.record.nonce => {
                // An earlier put of ours whose reply was lost.
                self.then = Then::Done(number);
                Ok(Ask::Look)
            }
            Ok(()) => Ok(Ask::Read(state.next_number())),
            Err(CommitError::Broken { number, problem }) => {
                // It may not be the log's: a record that was put where one was dropped.
                self.then = Then::Broken { number, problem };
                Ok(Ask::Look)
            }
            Err(error) => Err(error),
        }
    }

    /// A put at the number asked for was tried.
    ///
    /// # Errors
    /// None for a record that the state admits, which every record that is put is.
    pub fn put(&mut self, state: &mut State, seen: PutSeen) -> Result<Ask, CommitError> {
        let number = state.next_number();
        self.offered = true;
        match seen {
            PutSeen::Created => {
                state.apply(&self.record)?;
                self.then = Then::Done(number);
                Ok(Ask::Look)
            }
            PutSeen::Exists => {
                self.lost_races += 1;
                Ok(Ask::Read(number))
            }
            PutSeen::Unknown => Ok(Ask::Read(number)),
        }
    }

    /// The newest checkpoint was looked for; `boundary` is its head.
    ///
    /// # Errors
    /// [`CommitError::Outdated`] when it has passed a record that was offered;
    /// [`CommitError::Broken`] when a record that was read does not fit the state; as
    /// [`Append::read`].
    pub fn looked(&mut self, state: &State, boundary: Option<u64>) -> Result<Ask, CommitError> {
        if boundary > self.sure {
            return match boundary {
                Some(boundary) if self.offered => Err(CommitError::Outdated { boundary }),
                _ => Ok(Ask::Refold),
            };
        }
        self.sure = state.head;
        match &self.then {
            Then::Offer => self.offer(state),
            Then::Done(number) => Ok(Ask::Done(*number)),
            Then::Broken { number, problem } => Err(CommitError::Broken {
                number: *number,
                problem: problem.clone(),
            }),
        }
    }

    /// The state is the newest checkpoint's now.
    pub fn refolded(&mut self, state: &State) -> Ask {
        self.sure = state.head;
        Ask::Read(state.next_number())
    }

    /// Nothing lies behind the head: the record may be put there if the state admits it.
    fn offer(&self, state: &State) -> Result<Ask, CommitError> {
        match &self.record.body {
            Body::Commit(commit) => state.admits(&self.record.session, commit)?,
            Body::Replace(replace) => state.admits_replace(&self.record, replace)?,
            // Another writer defined the table first; whether it is the same is the caller's check.
            Body::Table(_) if state.definition.is_some() => return Ok(Ask::Done(0)),
            Body::Table(_) | Body::Claim(_) => {}
        }
        Ok(Ask::Put(state.next_number()))
    }
}
