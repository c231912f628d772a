//! How a command ends, for people and for scripts.

use std::fmt;
use std::process::ExitCode;

use crate::commit::CommitError;
use crate::error_chain::ErrorChain;
use crate::settings::SettingsError;
use crate::source::SourceError;
use crate::store::{StoreError, StoreErrorKind};
use crate::writer::WriterError;

/// The exit codes. Scripts rely on them: only ever add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Something that has no code of its own.
    Failure = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// The source: brokers, topic, retention.
    Source = 3,
    /// The store, or the mirror's database: out of reach, not allowed, full, or unfit.
    Store = 4,
    /// Another writer took over.
    Fenced = 5,
    /// The log or a file of the table is not what was written.
    Corrupt = 6,
    /// Stopped with rows in hand that were not committed. They are read again at the next start.
    Interrupted = 7,
    /// The lake, or the mirror, and the topic differ.
    Mismatch = 8,
}

impl Exit {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Source,
        Self::Store,
        Self::Fenced,
        Self::Corrupt,
        Self::Interrupted,
        Self::Mismatch,
    ];

    /// The name in JSON output, such as `store`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Usage => "usage",
            Self::Source => "source",
            Self::Store => "store",
            Self::Fenced => "fenced",
            Self::Corrupt => "corrupt",
            Self::Interrupted => "interrupted",
            Self::Mismatch => "mismatch",
        }
    }

    /// What it says, for `--help` and the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Failure => "failed for a reason that has no code of its own",
            Self::Usage => "the command line or the settings are wrong",
            Self::Source => {
                "the source: brokers out of reach, topic missing, offsets gone by retention"
            }
            Self::Store => {
                "the store, or the mirror's database: out of reach, not allowed, full, or unfit"
            }
            Self::Fenced => "another writer took over",
            Self::Corrupt => "the log or a file of the table is not what was written",
            Self::Interrupted => {
                "stopped with rows in hand that were not committed; the next start reads them again"
            }
            Self::Mismatch => "the lake, or the mirror, and the topic differ",
        }
    }

    /// All codes with their meanings, a line each.
    pub fn table() -> String {
        let mut text = String::from("Exit codes:\n");
        for exit in Self::ALL {
            text.push_str(&format!("  {}  {}\n", exit as u8, exit.meaning()));
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that failed: with which code, and what to tell.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to tell, causes included.
    pub message: String,
}

impl Failure {
    /// A failure to be told as it stands.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// A failure of an error and its causes, said after "failed to `action`".
    pub fn of(exit: Exit, action: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(exit, format!("failed to {action}: {}", with_causes(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error followed by its causes, each said once.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    ErrorChain(error).to_string()
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::new(Exit::Source, with_causes(&error))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.kind {
            StoreErrorKind::Corrupt => Exit::Corrupt,
            StoreErrorKind::Transient
            | StoreErrorKind::Full
            | StoreErrorKind::Denied
            | StoreErrorKind::Unfit => Exit::Store,
        };
        Self::of(exit, "use the store", &error)
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        let exit = match error {
            CommitError::Store(error) => return error.into(),
            CommitError::Fenced(_) | CommitError::Outdated { .. } => Exit::Fenced,
            CommitError::Broken { .. }
            | CommitError::BrokenDocument { .. }
            | CommitError::LostFile { .. } => Exit::Corrupt,
            CommitError::OtherTable(_) => Exit::Usage,
            CommitError::Newer { .. } | CommitError::NotLive { .. } => Exit::Failure,
        };
        Self::new(exit, with_causes(&error))
    }
}

impl From<WriterError> for Failure {
    fn from(error: WriterError) -> Self {
        let exit = match error {
            WriterError::Source(error) => return error.into(),
            WriterError::Commit(error) => return error.into(),
            WriterError::Parquet(_) => Exit::Usage,
            WriterError::DrainTimeout(_) => Exit::Interrupted,
        };
        Self::new(exit, with_causes(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_error(kind: StoreErrorKind) -> StoreError {
        StoreError {
            kind,
            action: "rename",
            path: "data/region=Île-de-France/x.parquet".into(),
            source: "connection refused".into(),
        }
    }

    #[test]
    fn codes_and_names_are_each_used_once_and_never_change() {
        let codes: Vec<(u8, &str)> = Exit::ALL
            .iter()
            .map(|exit| (*exit as u8, exit.as_str()))
            .collect();
        assert_eq!(
            codes,
            [
                (0, "success"),
                (1, "failure"),
                (2, "usage"),
                (3, "source"),
                (4, "store"),
                (5, "fenced"),
                (6, "corrupt"),
                (7, "interrupted"),
                (8, "mismatch"),
            ]
        );
    }

    #[test]
    fn the_documentation_has_every_code_and_its_meaning() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exit-codes.md");
        let page = std::fs::read_to_string(path).unwrap();
        for exit in Exit::ALL {
            let kind = match exit {
                Exit::Success => String::new(),
                _ => format!("`{}` ", exit.as_str()),
            };
            let row = format!("| {} | {kind}| {} |", exit as u8, exit.meaning());
            assert!(page.contains(&row), "missing: {row}");
        }
    }

    #[test]
    fn a_store_that_fails_and_one_that_lies_have_codes_of_their_own() {
        let away: Failure = store_error(StoreErrorKind::Transient).into();
        assert_eq!(away.exit, Exit::Store);
        assert_eq!(
            away.message,
            "failed to use the store: rename `data/region=Île-de-France/x.parquet`: connection refused"
        );
        let torn: Failure = store_error(StoreErrorKind::Corrupt).into();
        assert_eq!(torn.exit, Exit::Corrupt);
    }
}
