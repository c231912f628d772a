//! The words in which the engine tells what happens.

/// The steps of a commit, in order, and those of a start. Each is timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Held rows to row groups, files closed.
    Seal,
    /// Staged files made durable.
    Stage,
    /// The commit record put into the log.
    Record,
    /// Staged files given their final names.
    Publish,
    /// Source partitions claimed at an assignment.
    Claim,
    /// The log folded and unpublished commits finished.
    Recover,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] = [
        Self::Seal,
        Self::Stage,
        Self::Record,
        Self::Publish,
        Self::Claim,
        Self::Recover,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Stage => "stage",
            Self::Record => "record",
            Self::Publish => "publish",
            Self::Claim => "claim",
            Self::Recover => "recover",
        }
    }
}

/// What can be out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// The brokers.
    Source,
    /// The store of the table.
    Store,
}

impl Away {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Store => "store",
        }
    }
}

/// What the engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EngineState {
    /// Opening, probing, folding the log.
    Starting = 0,
    /// In the group, and no source partition is ours (yet).
    Waiting = 1,
    /// Reading and writing.
    Running = 2,
    /// Told to stop; what is in hand is being committed.
    Draining = 3,
    /// Over.
    Stopped = 4,
}

impl EngineState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Waiting,
        Self::Running,
        Self::Draining,
        Self::Stopped,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn from_code(code: u8) -> Self {
        Self::ALL
            .into_iter()
            .find(|state| *state as u8 == code)
            .unwrap_or(Self::Stopped)
    }
}

/// One commit, published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Number of the log record.
    pub record: u64,
    /// Rows in data files.
    pub rows: u64,
    /// Messages in files of dead letters.
    pub dead_letters: u64,
    /// Messages without a value, covered by the offsets and written nowhere.
    pub tombstones: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of data files.
    pub bytes: u64,
    /// When the record was put, microseconds since the epoch.
    pub at_micros: i64,
}
