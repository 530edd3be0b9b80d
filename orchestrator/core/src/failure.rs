//! How things go wrong in user code, as data: failures are recorded, sent and compared, never thrown.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Payload;
use crate::time::millis;

/// A failure that the user's code reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationFailure {
    /// What kind of failure, for retry policies and `match`; by default the Rust type's short name.
    #[serde(rename = "type")]
    pub kind: String,
    /// What a person reads.
    pub message: String,
    /// Another attempt cannot help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub non_retryable: bool,
    /// Overrides the retry policy's backoff for the next attempt, in milliseconds.
    #[serde(
        default,
        rename = "retry_after_ms",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_after: Option<Duration>,
    /// Anything the code that handles the failure may want to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
    /// The messages of the errors underneath, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl ApplicationFailure {
    /// The type of what a parent is told of a child that did not begin.
    pub const CHILD_NOT_STARTED: &str = "ChildNotStarted";

    /// A retryable failure of the given type.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { kind: kind.into(), message: message.to_string(), ..Self::default() }
    }

    /// The failure that an error amounts to: its type is the error type's short name, its causes are the messages of
    /// the errors underneath.
    pub fn from_error<E: std::error::Error>(error: &E) -> Self {
        let path = std::any::type_name::<E>();
        let path = path.split('<').next().unwrap_or(path);
        let mut causes = Vec::new();
        let mut below = error.source();
        while let Some(cause) = below {
            causes.push(cause.to_string());
            below = cause.source();
        }
        Self { causes, ..Self::new(path.rsplit("::").next().unwrap_or(path), error) }
    }

    /// Marks it as one that another attempt cannot help.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        self.non_retryable = true;
        self
    }

    /// Asks for the next attempt after `delay`, whatever the retry policy's backoff says.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds details. A value that has no JSON form is left out: a failure must never fail to be reported.
    #[must_use]
    pub fn details<T: Serialize>(mut self, details: &T) -> Self {
        self.details = Payload::of(details).ok();
        self
    }
}

impl fmt::Display for ApplicationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApplicationFailure {}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutKind {
    /// No worker took the task in time.
    ScheduleToStart,
    /// One attempt ran too long.
    StartToClose,
    /// All attempts together took too long.
    ScheduleToClose,
    /// The attempt did not report progress in time.
    Heartbeat,
    /// The whole run took too long.
    Run,
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScheduleToStart => "schedule-to-start",
            Self::StartToClose => "start-to-close",
            Self::ScheduleToClose => "schedule-to-close",
            Self::Heartbeat => "heartbeat",
            Self::Run => "run",
        })
    }
}

/// Why an activity, a child or a run did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The user's code failed.
    Application(ApplicationFailure),
    /// A time limit was passed.
    TimedOut {
        /// Which one.
        kind: TimeoutKind,
        /// What the last attempt reported before, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<ApplicationFailure>,
    },
    /// It was asked to stop and did.
    Canceled {
        /// Who wanted that, and why.
        reason: String,
    },
    /// It was ended by force.
    Terminated {
        /// Who wanted that, and why.
        reason: String,
    },
}

impl Fault {
    /// Whether the user's code reported a failure of this type.
    pub fn is(&self, kind: &str) -> bool {
        self.application().is_some_and(|a| a.kind == kind)
    }

    /// Whether a time limit was passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether it was canceled.
    pub fn is_canceled(&self) -> bool {
        matches!(self, Self::Canceled { .. })
    }

    /// What the user's code reported, if that is the fault or its cause.
    pub fn application(&self) -> Option<&ApplicationFailure> {
        match self {
            Self::Application(failure) => Some(failure),
            Self::TimedOut { cause, .. } => cause.as_ref(),
            Self::Canceled { .. } | Self::Terminated { .. } => None,
        }
    }

    /// The failure's details, read as `T`; `None` if there are none or they have another shape.
    pub fn details<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        self.application()?.details.as_ref()?.read().ok()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(failure) => failure.fmt(f),
            Self::TimedOut { kind, cause: None } => write!(f, "timed out ({kind})"),
            Self::TimedOut { kind, cause: Some(cause) } => {
                write!(f, "timed out ({kind}); last failure: {cause}")
            }
            Self::Canceled { reason } if reason.is_empty() => f.write_str("canceled"),
            Self::Canceled { reason } => write!(f, "canceled: {reason}"),
            Self::Terminated { reason } if reason.is_empty() => f.write_str("terminated"),
            Self::Terminated { reason } => write!(f, "terminated: {reason}"),
        }
    }
}

/// An activity that ended without a result, as the workflow that called it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityFailure {
    /// The activity's name.
    pub activity: String,
    /// How many attempts were used up.
    pub attempts: u32,
    /// Why the last one did not succeed.
    pub fault: Fault,
}

impl fmt::Display for ActivityFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "activity `{}` (attempts: {}): {}", self.activity, self.attempts, self.fault)
    }
}

impl std::error::Error for ActivityFailure {}

/// A run that ended without a result, as its client or parent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowFailure {
    /// The workflow's type.
    pub workflow: String,
    /// Why.
    pub fault: Fault,
}

impl fmt::Display for WorkflowFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "workflow `{}`: {}", self.workflow, self.fault)
    }
}

impl std::error::Error for WorkflowFailure {}

impl std::ops::Deref for ActivityFailure {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        &self.fault
    }
}

impl std::ops::Deref for WorkflowFailure {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        &self.fault
    }
}
