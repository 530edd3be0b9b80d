//! The protocol, and what becomes of it if one rule is left out.

/// Which rule is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Variant {
    /// None.
    #[default]
    Intact,
    /// Effects may leave before the commit that records them (against G1).
    DispatchBeforeCommit,
    /// Messages may be deleted before the effects are dispatched (against G4).
    AcknowledgeBeforeDispatch,
    /// A guard is looked for in the log's last turn only.
    OnlyTheLastTurn,
    /// A guard is looked for only if the message was received before.
    OnlyIfReceivedBefore,
    /// A turn that would commit nothing is decided on the cached run (against G12).
    NothingToDoByTheCache,
    /// A message of an earlier run is deleted without a look into that run's archive (against G7).
    OldRunsUnchecked,
    /// A message of an earlier run is looked up there, but not in the run that it may have begun.
    BegunRunUnchecked,
    /// Any message may begin the run that follows one which continues as new, a known one, too, and guard its first turn.
    AnybodyGoesOn,
    /// An eager turn names only the activity whose task the worker holds.
    EagerGuardOfTheHeldTask,
    /// An eager turn names only the activity that has just completed.
    EagerGuardOfTheOutcome,
    /// An eager turn names these two, but not what the worker has done in between.
    EagerGuardsOfBothEnds,
    /// The requests that earlier runs absorbed are forgotten when the head goes on (against G2).
    EarlierStartsForgotten,
    /// Two copies of a guard in one batch are two reasons to dispatch again.
    RepairPerCopy,
    /// The turn that takes a closed run's place sends what that run tells others, although whoever holds its guard does.
    ReplacingSendsAgain,
}

impl Variant {
    /// All that break a rule.
    pub const BROKEN: [Self; 14] = [
        Self::DispatchBeforeCommit,
        Self::AcknowledgeBeforeDispatch,
        Self::OnlyTheLastTurn,
        Self::OnlyIfReceivedBefore,
        Self::NothingToDoByTheCache,
        Self::OldRunsUnchecked,
        Self::BegunRunUnchecked,
        Self::AnybodyGoesOn,
        Self::EagerGuardOfTheHeldTask,
        Self::EagerGuardOfTheOutcome,
        Self::EagerGuardsOfBothEnds,
        Self::EarlierStartsForgotten,
        Self::RepairPerCopy,
        Self::ReplacingSendsAgain,
    ];

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intact => "the protocol",
            Self::DispatchBeforeCommit => "dispatch before commit",
            Self::AcknowledgeBeforeDispatch => "acknowledge before dispatch",
            Self::OnlyTheLastTurn => "redispatch only for a guard of the last turn",
            Self::OnlyIfReceivedBefore => "redispatch only at a receive count over 1",
            Self::NothingToDoByTheCache => "a no-op decided on a stale cache",
            Self::OldRunsUnchecked => "an old run's message dropped unchecked",
            Self::BegunRunUnchecked => "an old run's message not looked up in the run it began",
            Self::AnybodyGoesOn => "the next run begun under a message that is known",
            Self::EagerGuardOfTheHeldTask => "an eager turn with one guard: the held task",
            Self::EagerGuardOfTheOutcome => "an eager turn with one guard: the outcome",
            Self::EagerGuardsOfBothEnds => "an eager turn with two guards, in a chain of three",
            Self::EarlierStartsForgotten => "start requests of earlier runs forgotten",
            Self::RepairPerCopy => "redispatch for each copy in a batch",
            Self::ReplacingSendsAgain => "the replacing turn reports again",
        }
    }
}
