//! Which ends of processes are as they should be.

use lake_writer::commit::CommitError;
use lake_writer::source::SourceError;
use lake_writer::store::StoreErrorKind;
use lake_writer::writer::WriterError;

use super::process::Ended;
use super::source::OUT_OF_RANGE;
use super::world::Shared;

/// Judges how a writer ended.
pub(crate) fn of_end(
    shared: &Shared,
    process: u32,
    ended: &Ended,
    told_to_stop: bool,
) -> Result<(), String> {
    let wrong = |text: String| Err(format!("process {process} {text}"));
    match ended {
        Ended::Panicked(text) => wrong(format!("panicked: {text}")),
        Ended::Run(Ok(_)) => Ok(()),
        // Whatever it was doing when it was told, it may leave to the next.
        Ended::Run(Err(error)) if told_to_stop && passes(error) => Ok(()),
        Ended::Run(Err(WriterError::Source(SourceError::Halt { problem, .. })))
            if shared.scenario.accept_lost && problem.starts_with(OUT_OF_RANGE) =>
        {
            Ok(())
        }
        Ended::Run(Err(error)) => wrong(format!("halted: {error}: {error:?}")),
    }
}

/// Whether a writer that goes on would have tried again.
fn passes(error: &WriterError) -> bool {
    match error {
        WriterError::Source(SourceError::Transient { .. })
        | WriterError::DrainTimeout(_)
        | WriterError::Commit(CommitError::Fenced(_) | CommitError::Outdated { .. }) => true,
        WriterError::Commit(CommitError::Store(error)) => passing(error.kind),
        _ => false,
    }
}

fn passing(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Transient | StoreErrorKind::Full)
}

/// Judges what a command said.
pub(crate) fn of_command(said: &Result<String, CommitError>) -> Result<(), String> {
    match said {
        Ok(_) => Ok(()),
        Err(CommitError::Store(error)) if passing(error.kind) => Ok(()),
        // Somebody else replaces files too, or has checkpointed the log meanwhile.
        Err(
            CommitError::Fenced(_) | CommitError::NotLive { .. } | CommitError::Outdated { .. },
        ) => Ok(()),
        Err(error) => Err(format!("a command failed: {error}")),
    }
}
