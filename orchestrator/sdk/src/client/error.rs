//! What a client meets instead of a result.

use std::fmt;

use millrace_core::{Blocked, WorkflowFailure};

/// A request or a run that did not work, by what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The run ended without a result.
    Failed(WorkflowFailure),
    /// The run's code cannot go on: repair it, then `resume`.
    Blocked(Blocked),
    /// The request was refused: it must be changed.
    Rejected(String),
    /// There is no such workflow or run.
    NotFound(String),
    /// The engine cannot be reached, or its storage does not answer: try again.
    Unavailable(String),
    /// The run has a result, but of another shape than this code expects.
    BadOutput(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Blocked(reason) => write!(f, "the run is blocked: {reason}"),
            Self::Rejected(text) | Self::NotFound(text) | Self::Unavailable(text) | Self::BadOutput(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for RunError {}
