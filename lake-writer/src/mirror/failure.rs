//! What goes wrong with the database, by what there is to do about it.
//!
//! Owns: the one decision between waiting, halting and beginning again.

use mongodb::error::{Error, ErrorKind};

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Wait and try again: the server is away, or another is becoming primary.
    Transient,
    /// Another mirror has claimed the partition since.
    Fenced,
    /// The server does not let us: credentials or roles.
    Denied,
    /// The server cannot hold a mirror, or what it holds is not this one.
    Unfit,
}

/// A failed call to the database.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {reason}")]
pub struct DatabaseError {
    /// What to do.
    pub kind: FailureKind,
    /// What was tried.
    pub action: &'static str,
    /// What the server or the driver said, with the remedy where there is one. Never credentials.
    pub reason: String,
}

/// Codes of the server.
const BAD_AUTHENTICATION: [i32; 2] = [18, 8_000];
const UNAUTHORIZED: i32 = 13;
/// `IllegalOperation`: what a server says to a transaction when it is of no replica set.
const ILLEGAL_OPERATION: i32 = 20;

impl DatabaseError {
    pub(super) fn new(kind: FailureKind, action: &'static str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            action,
            reason: reason.into(),
        }
    }

    /// What the driver's error means.
    pub(super) fn of(action: &'static str, error: &Error) -> Self {
        let kind = match error.kind.as_ref() {
            ErrorKind::Authentication { .. } => FailureKind::Denied,
            ErrorKind::InvalidArgument { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::IncompatibleServer { .. }
            | ErrorKind::SessionsNotSupported => FailureKind::Unfit,
            ErrorKind::Command(command) => of_code(command.code),
            _ => FailureKind::Transient,
        };
        Self::new(kind, action, error.to_string())
    }

    /// A call that was given up; its outcome is unknown.
    pub(super) fn timeout(action: &'static str) -> Self {
        Self::new(FailureKind::Transient, action, "no answer in time")
    }
}

/// A code that nobody knows here is tried again: what a server says in the middle of an election is
/// a long list.
fn of_code(code: i32) -> FailureKind {
    match code {
        UNAUTHORIZED => FailureKind::Denied,
        code if BAD_AUTHENTICATION.contains(&code) => FailureKind::Denied,
        ILLEGAL_OPERATION => FailureKind::Unfit,
        _ => FailureKind::Transient,
    }
}
