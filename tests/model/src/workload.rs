//! What the modeled workflows do: few facts and effects, but each kind that the protocol treats differently.

use std::fmt;

use crate::history::Run;

/// The runs of the one workflow id, counted from 1. The client's n-th start request begins the n-th run.
pub type RunNumber = u8;

/// An activity that the code may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// The first, begun by the start.
    A,
    /// The one after it, or beside it.
    B,
    /// The last of the longer codes.
    C,
}

/// What a message tells and a log absorbs, once: the identity of G2. A task and its outcome are one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// The client's n-th start request.
    Start(RunNumber),
    /// The outcome of an activity.
    Done(RunNumber, Activity),
    /// The run goes on from the one before it. No message tells this: the log of that one does.
    GoesOn(RunNumber),
}

/// What a turn asks for, to be sent after its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// An activity's task. Its outcome ends it.
    Task(RunNumber, Activity),
    /// The outcome of a closed run, to its parent. Nothing in the log ever ends it.
    Report(RunNumber),
}

impl Effect {
    /// The fact that a task leads to.
    pub fn outcome(self) -> Option<Fact> {
        match self {
            Self::Task(run, activity) => Some(Fact::Done(run, activity)),
            Self::Report(_) => None,
        }
    }
}

/// The code of the first run. Any later one has [`Code::One`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A, then the end.
    One,
    /// A, then B, then the end: the log passes from hand to hand, and caches become stale.
    Chain,
    /// A, then B, then C, then the end.
    LongChain,
    /// A beside B, and the end after both: outcomes that race, or come in one batch.
    Pair,
    /// A beside B, C after A, and the end after B and C.
    Fan,
    /// A, then continue as new.
    Continue,
}

impl Code {
    /// What the code asks for when it is resumed with `fact`, which `run` has just absorbed (G8: same log, same effects).
    pub fn resume(self, run: &Run, fact: Fact) -> Vec<Effect> {
        use Activity::{A, B, C};
        let number = run.number;
        let code = if number == 1 { self } else { Self::One };
        let task = |activity| Effect::Task(number, activity);
        let has = |activity| run.has_absorbed(Fact::Done(number, activity));
        let end = vec![Effect::Report(number)];
        match (code, fact) {
            (Self::Pair | Self::Fan, Fact::Start(_)) => vec![task(A), task(B)],
            (_, Fact::Start(_) | Fact::GoesOn(_)) => vec![task(A)],
            (Self::One, Fact::Done(_, _)) => end,
            (Self::Chain | Self::LongChain, Fact::Done(_, A)) => vec![task(B)],
            (Self::LongChain, Fact::Done(_, B)) => vec![task(C)],
            (Self::Chain | Self::LongChain, Fact::Done(_, _)) => end,
            (Self::Pair, Fact::Done(_, _)) if has(A) && has(B) => end,
            (Self::Fan, Fact::Done(_, A)) => vec![task(C)],
            (Self::Fan, Fact::Done(_, B)) if has(C) => end,
            (Self::Fan, Fact::Done(_, C)) if has(B) => end,
            (Self::Pair | Self::Fan | Self::Continue, Fact::Done(_, _)) => vec![],
        }
    }

    /// Whether `run` ends with `fact` to continue as new.
    pub fn continues(self, run: &Run, fact: Fact) -> bool {
        self == Self::Continue && run.number == 1 && matches!(fact, Fact::Done(..))
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(1) => write!(f, "the start"),
            Self::Start(request) => write!(f, "start {request}"),
            Self::Done(1, activity) => write!(f, "outcome {activity:?}"),
            Self::Done(run, activity) => write!(f, "outcome {activity:?} of run {run}"),
            Self::GoesOn(run) => write!(f, "that run {run} goes on"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(1, activity) => write!(f, "task {activity:?}"),
            Self::Task(run, activity) => write!(f, "task {activity:?} of run {run}"),
            Self::Report(run) => write!(f, "the report of run {run}"),
        }
    }
}
