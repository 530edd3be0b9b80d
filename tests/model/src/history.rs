//! The log: what is absorbed, what was asked for, and under which guard.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::workload::{Effect, Fact, RunNumber};

/// One committed turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn {
    /// Whose redelivery repairs this turn (G4): one identity that it newly absorbs; if the turn was
    /// eager, all that its worker has done since it took its task.
    pub guards: BTreeSet<Fact>,
    /// What it absorbed, all in one commit (G3).
    pub absorbed: BTreeSet<Fact>,
    /// What it asked for.
    pub effects: BTreeSet<Effect>,
    /// Whether it closed the run to continue as new.
    pub continues: bool,
}

/// One run: the list of its turns. Everything else follows from them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// Which run of the workflow id.
    pub number: RunNumber,
    /// Its turns, in the order of their commits.
    pub turns: Vec<Turn>,
}

impl Run {
    /// A run without turns.
    pub fn new(number: RunNumber) -> Self {
        Self { number, turns: Vec::new() }
    }

    /// Whether the log has this fact (G2).
    pub fn has_absorbed(&self, fact: Fact) -> bool {
        self.turns.iter().any(|turn| turn.absorbed.contains(&fact))
    }

    /// Every effect that the log records, open or not.
    pub fn effects(&self) -> impl Iterator<Item = Effect> {
        self.turns.iter().flat_map(|turn| turn.effects.iter().copied())
    }

    /// Whether the run that follows is decided already: such a head is only half of what its turn meant.
    pub fn continues(&self) -> bool {
        self.turns.iter().any(|turn| turn.continues)
    }

    /// Whether this guards the turn by which the run continues as new.
    pub fn is_closed_by(&self, fact: Fact) -> bool {
        self.turns.iter().any(|turn| turn.continues && turn.guards.contains(&fact))
    }

    /// A run ends with its report, or continues as new.
    pub fn is_closed(&self) -> bool {
        self.continues() || self.effects().any(|effect| matches!(effect, Effect::Report(_)))
    }

    /// Whether the run waits for this fact: it is open, has asked for it, and does not have it.
    pub fn waits_for(&self, fact: Fact) -> bool {
        let asked = self.effects().any(|effect| effect.outcome() == Some(fact));
        asked && !self.is_closed() && !self.has_absorbed(fact)
    }

    /// A task is open while the run waits for its outcome; what others are told, always.
    pub fn is_open(&self, effect: Effect) -> bool {
        effect.outcome().is_none_or(|outcome| self.waits_for(outcome))
    }

    /// The open effects of every turn that names one of these guards (G4).
    pub fn guarded_by(&self, guards: &BTreeSet<Fact>) -> impl Iterator<Item = Effect> {
        let naming = self.turns.iter().filter(move |turn| !turn.guards.is_disjoint(guards));
        naming.flat_map(|turn| turn.effects.iter().copied()).filter(|effect| self.is_open(*effect))
    }
}

/// The history object as it is read: a run under a version. Also what a process caches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Stands for the ETag: each commit makes a new one.
    pub version: u8,
    /// The current run.
    pub run: Arc<Run>,
}
