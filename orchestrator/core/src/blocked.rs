//! Why a run cannot go on (guarantee G9).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;
use crate::{Payload, Timestamp};

/// What stopped the workflow code of a run. The run is not lost: its facts are still recorded, and it goes on when a
/// wake, a message or `resume` meets code that can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// The code asked for something else than the history records.
    Nondeterminism {
        /// The number of the event that does not fit.
        event: u64,
        /// What the history records there.
        expected: String,
        /// What the code asked for.
        got: String,
    },
    /// The code waits on something that is not recorded.
    Foreign {
        /// What it waits on, as far as it can be told.
        on: String,
        /// Where in the code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// The code panicked.
    Panic {
        /// What it said.
        message: String,
        /// Where in the code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// No code of this type is registered here.
    UnknownWorkflow {
        /// The type that was asked for.
        workflow: String,
        /// The types that are registered.
        known: Vec<String>,
    },
    /// The workflow cannot read its input or a signal.
    BadInput {
        /// What could not be read, and why.
        message: String,
    },
    /// A message came a third time: the code may be killing its process.
    Suspect {
        /// The message's identity.
        message: String,
    },
    /// The code made something that is too large to be kept.
    TooLarge {
        /// What it is.
        what: String,
        /// How large it is.
        bytes: u64,
    },
    /// It made too many turns without input from outside.
    Runaway {
        /// How many turns it may make …
        turns: u32,
        /// … within this time, in milliseconds.
        #[serde(rename = "within_ms", with = "millis")]
        within: Duration,
        /// When it is tried again.
        until: Timestamp,
    },
}

impl Blocked {
    /// Whether this is the same trouble as `other`. Every wake of a run whose code kills its process is another message,
    /// and would otherwise add its own event to the log.
    pub fn is_same(&self, other: &Self) -> bool {
        let alike = matches!(
            (self, other),
            (Self::Suspect { .. }, Self::Suspect { .. }) | (Self::Runaway { .. }, Self::Runaway { .. })
        );
        alike || self == other
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |at: &Option<String>| at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        match self {
            Self::Nondeterminism { event, expected, got } => write!(
                f,
                "nondeterminism at event {event}: the history has {expected}, the code asked for {got}; deploy the \
                 code that wrote this history, or terminate the run and start it again"
            ),
            Self::Foreign { on, at } => write!(
                f,
                "the workflow waits on `{on}`{}, which is not recorded; use the workflow context (`ctx.sleep`, \
                 `ctx.activity`, …) or move the work into an activity",
                place(at)
            ),
            Self::Panic { message, at } => write!(f, "the workflow code panicked{}: {message}", place(at)),
            Self::UnknownWorkflow { workflow, known } => write!(
                f,
                "no workflow `{workflow}` is registered here (registered: {}); start it under a registered type, or \
                 deploy the code and `resume` the run",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ),
            Self::BadInput { message } => f.write_str(message),
            Self::Suspect { message } => write!(
                f,
                "message {message} was received three times without an end: the workflow code may be killing its \
                 process; the run is tried again after a pause"
            ),
            Self::TooLarge { what, bytes } => write!(
                f,
                "{what} has {bytes} bytes, and a payload may have {} ({} MiB); let the code store it, in a file or an object, \
                 and give its name instead, then `resume` the run",
                Payload::LARGEST_BYTES,
                Payload::LARGEST_BYTES >> 20
            ),
            Self::Runaway { turns, within, until } => write!(
                f,
                "the run made {turns} turns within {within:?} without input from outside: its code, or an activity \
                 that is tried again and again, may go in circles; it goes on at {until}; fix the code and `resume` \
                 it, or raise the limit (MILLRACE_MAX_TURNS_PER_HOUR)"
            ),
        }
    }
}

impl std::error::Error for Blocked {}
