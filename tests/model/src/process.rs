//! A process that makes turns: an orchestrator, or a worker that makes them eagerly. One engine, two hosts.

use std::sync::Arc;

use crate::decide::Received;
use crate::history::{Head, Run};
use crate::workload::{Effect, Fact};

/// One of the two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessId {
    /// The first.
    P1,
    /// The second.
    P2,
}

impl ProcessId {
    /// Both.
    pub const ALL: [Self; 2] = [Self::P1, Self::P2];

    /// Its place in lists.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::P1 => Self::P2,
            Self::P2 => Self::P1,
        }
    }
}

/// All that a crash takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// The run as its last commit, or its last fresh read, left it (G12).
    pub cache: Option<Head>,
    /// How far it is with a turn.
    pub phase: Phase,
}

/// The steps of a turn (DESIGN §3). Between any two of them the process may be killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Between turns.
    #[default]
    Idle,
    /// Messages are received, nothing is read yet.
    Received(Vec<Received>),
    /// Decided; a closed run must be archived first.
    Archiving(Attempt),
    /// Decided; the conditional PUT is on its way.
    Committing(Attempt),
    /// The PUT was refused, or its answer did not come: the object must be read again (G5).
    Unsure(Attempt),
    /// What was decided is in the log: effects first, acknowledgements after.
    Settling(Settling),
}

/// A turn before its commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    /// Its messages.
    pub batch: Vec<Received>,
    /// The version it was decided on.
    pub condition: Option<u8>,
    /// The run that it writes.
    pub run: Arc<Run>,
    /// The closed run whose place that takes.
    pub replaces: Option<Arc<Run>>,
    /// How many races it has lost.
    pub conflicts: u8,
    /// What comes after the commit.
    pub then: Settling,
}

/// A turn after its commit, or one that had nothing to commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Settling {
    /// What is still to be sent.
    pub effects: Vec<Effect>,
    /// What is then to be deleted.
    pub done: Vec<Received>,
    /// What is to be decided again after that.
    pub again: Vec<Received>,
    /// The activity whose task an eager worker keeps for itself instead of sending it.
    pub kept: Option<Fact>,
}
