//! What follows from a failure: halt, or begin again.

use crate::commit::CommitError;
use crate::source::SourceError;
use crate::store::StoreErrorKind;

use super::WriterError;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Drop what is in hand and begin again; the cause labels a metric.
    Again(&'static str),
    /// A person has to act.
    Halt,
}

/// Decides between trying again and halting, in this one place. `proven` says whether this process
/// has ever written to the store: what is refused from the first call on is a matter of settings,
/// what is refused later may pass (a token that runs out, a quota).
pub(super) fn policy(error: &WriterError, proven: bool) -> Policy {
    match error {
        WriterError::Source(SourceError::Transient { .. }) => Policy::Again("source"),
        WriterError::Source(SourceError::Halt { .. })
        | WriterError::Parquet(_)
        | WriterError::DrainTimeout(_) => Policy::Halt,
        WriterError::Commit(CommitError::Fenced(_)) => Policy::Again("fenced"),
        WriterError::Commit(CommitError::Outdated { .. }) => Policy::Again("outdated"),
        WriterError::Commit(CommitError::Store(error)) => match error.kind {
            StoreErrorKind::Transient => Policy::Again("store"),
            StoreErrorKind::Full => Policy::Again("store_full"),
            StoreErrorKind::Denied if proven => Policy::Again("store_denied"),
            StoreErrorKind::Denied | StoreErrorKind::Unfit | StoreErrorKind::Corrupt => {
                Policy::Halt
            }
        },
        WriterError::Commit(
            CommitError::Broken { .. }
            | CommitError::BrokenDocument { .. }
            | CommitError::NotLive { .. }
            | CommitError::Newer { .. }
            | CommitError::LostFile { .. }
            | CommitError::OtherTable(_),
        ) => Policy::Halt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn store(kind: StoreErrorKind) -> WriterError {
        WriterError::Commit(CommitError::Store(StoreError {
            kind,
            action: "rename",
            path: "x".into(),
            source: "refused".into(),
        }))
    }

    #[test]
    fn what_can_pass_is_tried_again_and_what_cannot_halts() {
        assert_eq!(
            policy(&store(StoreErrorKind::Transient), false),
            Policy::Again("store")
        );
        assert_eq!(
            policy(&store(StoreErrorKind::Full), false),
            Policy::Again("store_full")
        );
        assert_eq!(policy(&store(StoreErrorKind::Denied), false), Policy::Halt);
        assert_eq!(
            policy(&store(StoreErrorKind::Denied), true),
            Policy::Again("store_denied")
        );
        assert_eq!(policy(&store(StoreErrorKind::Corrupt), true), Policy::Halt);
    }
}
