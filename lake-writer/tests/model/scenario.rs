//! What a run of the model is bounded by, and which guard is taken out of the protocol.
//!
//! Owns: the sizes, the budget of misfortunes, and the names of the guards.
//! Does not own: what a guard's absence does, which stands where the guard would be asked.

use lake_writer::store::memory::Staging;

/// One world to explore, exhaustively, within these bounds.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Processes that write.
    pub(crate) writers: u8,
    /// Source partitions of the topic.
    pub(crate) partitions: u8,
    /// Messages of each source partition.
    pub(crate) rows: u8,
    /// Lake partitions: a cut becomes up to so many files, the last one of dead letters.
    pub(crate) files: u8,
    /// Whether cuts take everything there is to read, or any part of it.
    pub(crate) cuts: Cuts,
    /// How the store keeps what is not published.
    pub(crate) staging: Staging,
    /// Whether the log holds the table's definition already.
    pub(crate) begun: bool,
    /// What can happen, and how often in all.
    pub(crate) budget: Budget,
    /// Callers that are freer than the engine is.
    pub(crate) caller: Caller,
    /// The guard that is missing.
    pub(crate) without: Option<Guard>,
}

/// How much of what was read a cut takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// Everything.
    Whole,
    /// Any number of messages of any of the source partitions.
    Any,
}

/// How often things can happen in one history, over all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Sessions that start. A process that failed stays down when there is none left.
    pub(crate) starts: u8,
    /// Claims, each of any set of source partitions: what rebalances of the group come to.
    pub(crate) claims: u8,
    /// Crashes, at any step. Freezing needs no budget: any process can be passed over for as long
    /// as the others have something to do.
    pub(crate) crashes: u8,
    /// Replies that are lost, before or after the call took effect.
    pub(crate) lost: u8,
    /// Calls that fail for the caller and take effect later, at any time, or never.
    pub(crate) delayed: u8,
    /// Sweeps.
    pub(crate) sweeps: u8,
    /// Checkpoints, after each of which the records up to it can be dropped at any time.
    pub(crate) checkpoints: u8,
    /// Claims by who wants to replace a file, each of any live one.
    pub(crate) replaces: u8,
}

/// What the protocol allows its caller, beyond what the engine does. The protocol has to hold for
/// any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// After a failed append the same session offers its cut again, or reads it again, rather than
    /// beginning a new session.
    pub(crate) retries: bool,
    /// Claims while a staged cut of an earlier claim is in hand.
    pub(crate) keeps_cut_over_claims: bool,
    /// A new session goes on under the claim of the process's last one.
    pub(crate) adopts_claims: bool,
}

/// Each check and each order of steps that the promise rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A range starts where the state ends.
    StartCheck,
    /// A range was read under the claim that holds its source partition.
    EpochCheck,
    /// The claim is the session's own.
    SessionCheck,
    /// A record found in the place of one's own is compared by nonce: without, it counts as one's
    /// own.
    NonceOfOthers,
    /// The same: without, one's own counts as another's.
    NonceOfOwn,
    /// A record is put only if there is none.
    PutIfAbsent,
    /// A put without a reply is looked up: without, it counts as done.
    LookAfterLostReply,
    /// Files are published after the record stands.
    RecordBeforePublish,
    /// Only what was published is said to be.
    PublishBeforeSaying,
    /// A session that starts publishes what others have left.
    RollForwardAtStart,
    /// A session that takes a source partition over publishes what its holder has left.
    RollForwardAfterClaim,
    /// What was staged for a commit of unknown outcome is left to the sweep.
    KeepStagedOnUnknown,
    /// A sweep lists first and folds the log after.
    ListBeforeFold,
    /// A sweep spares sessions that hold a source partition.
    LivingCheck,
    /// A sweep spares files that an unpublished commit names.
    NamedCheck,
    /// A prepared record that somebody swept is prepared again.
    PrepareAgain,
    /// What was read counts only when no checkpoint has passed what it was read after.
    LookAfterRead,
    /// A put counts only when no checkpoint has passed its number.
    LookAfterPut,
    /// A sweep's fold counts only when no checkpoint has passed what it began from.
    LookBeforeJudging,
    /// Records are dropped after the checkpoint stands.
    CheckpointBeforeDrop,
    /// A checkpoint knows the commits that are not published.
    CheckpointKeepsUnpublished,
    /// A file is replaced only while it is live.
    ReplacesLiveOnly,
    /// A file is replaced only after it was published.
    ReplacesPublishedOnly,
    /// A replacement was made under the claim that holds.
    ReplaceUnderClaim,
    /// Files that are replaced go before their replacements come.
    OldOutBeforeNewIn,
    /// A file counts as lost only if it is still live.
    FoldBeforeLoss,
}

impl Scenario {
    /// Whether records can be dropped in this world. Where they cannot, nobody looks at boundaries.
    pub(crate) fn truncates(&self) -> bool {
        self.budget.checkpoints > 0
    }

    /// Whether files can be replaced in this world. Where they cannot, nobody keeps a list of them.
    pub(crate) fn replaces(&self) -> bool {
        self.budget.replaces > 0
    }

    pub(crate) fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }
}
