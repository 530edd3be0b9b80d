//! How many items of a map may fail.

use std::fmt;

use millrace_core::{ActivityFailure, ApplicationFailure};
use serde::{Deserialize, Serialize};

use super::TOLD;

/// How many items may fail before the map does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tolerance {
    /// So many.
    Items(u64),
    /// This share of all.
    Share(f64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Items(0)
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Items(items) => write!(f, "{items}"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl Tolerance {
    /// How many that is among so many.
    pub(super) fn among(self, count: u64) -> u64 {
        match self {
            Self::Items(items) => items,
            Self::Share(share) => (count as f64 * share) as u64,
        }
    }

    /// How many that is, while nobody knows how many there are.
    pub(super) fn known(self) -> Option<u64> {
        match self {
            Self::Items(items) => Some(items),
            Self::Share(_) => None,
        }
    }

    /// Why the map has failed, if more failed than may.
    pub(super) fn exceeded<'a>(
        self,
        failed: u64,
        count: u64,
        failures: impl Iterator<Item = &'a ActivityFailure>,
    ) -> Option<ApplicationFailure> {
        if failed <= self.among(count) {
            return None;
        }
        let text = format!("{failed} of {count} items failed, {self} may");
        let mut failure = ApplicationFailure::new("TooManyFailures", text).non_retryable();
        failure.causes = failures.take(TOLD).map(ToString::to_string).collect();
        Some(failure)
    }
}
