//! Counts what the orchestrator does, for a host's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What an orchestrator has done since it was made. The difference of two readings is what happened between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Turns that were committed.
    pub turns: u64,
    /// Turns that could not be made for a fault of the store, a queue or a history; their messages come again.
    pub turns_failed: u64,
    /// Commits that somebody else was faster with: lost compare-and-swaps, billed all the same.
    pub conflicts: u64,
    /// Messages that were dealt with for good: recorded, known already, too late, or dead-lettered.
    pub messages: u64,
    /// Messages that went to a dead-letter queue (G10).
    pub dead_lettered: u64,
    /// Messages that were given back, or sent again as fresh copies: to come later, or in a fuller batch.
    pub given_back: u64,
    /// Messages that were found in the log and whose effects were dispatched again (G4): something had been killed.
    pub repaired: u64,
    /// Blocks that were recorded (G9): once for each reason and build.
    pub runs_blocked: u64,
}

macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        /// The same, being counted.
        #[derive(Debug, Default)]
        pub(super) struct Counters { $(pub(super) $field: Counter),* }

        impl Counters {
            pub(super) fn read(&self) -> Stats {
                Stats { $($field: self.$field.0.load(Ordering::Relaxed)),* }
            }
        }

        impl std::ops::Sub for Stats {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self { $($field: self.$field.saturating_sub(earlier.$field)),* }
            }
        }
    };
}

counters!(turns, turns_failed, conflicts, messages, dead_lettered, given_back, repaired, runs_blocked);

/// Only ever grows; nothing else is ordered by it.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }
}
