//! The JSON bodies that the HTTP API and its client share.

use millrace_core::{BlockedMark, Payload, WorkflowFailure};
use millrace_engine::Outcome;
use serde::{Deserialize, Serialize};

use super::RunError;

/// `{"error":{"kind":"not_found","message":"…"}}`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorText,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorText {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

/// What kind of error; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    Invalid,
    Unauthorized,
    Forbidden,
    NotFound,
    Rejected,
    TooLarge,
    Unavailable,
}

impl ErrorBody {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { error: ErrorText { kind, message: message.into() } }
    }
}

impl From<RunError> for ErrorBody {
    fn from(error: RunError) -> Self {
        let kind = match &error {
            RunError::NotFound(_) => ErrorKind::NotFound,
            RunError::Rejected(_) => ErrorKind::Rejected,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ErrorBody> for RunError {
    fn from(body: ErrorBody) -> Self {
        let ErrorText { kind, message } = body.error;
        match kind {
            ErrorKind::NotFound => Self::NotFound(message),
            ErrorKind::Rejected | ErrorKind::Invalid | ErrorKind::TooLarge => Self::Rejected(message),
            ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::Unavailable => {
                Self::Unavailable(message)
            }
        }
    }
}

/// What an engine can run: the answer of `GET /v1/engine`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EngineInfo {
    pub(crate) version: String,
    pub(crate) build: String,
    pub(crate) pid: u32,
    pub(crate) namespace: String,
    pub(crate) workflows: Vec<String>,
    pub(crate) activities: Vec<String>,
    pub(crate) task_queues: Vec<String>,
}

/// How a run ended, or `{"outcome":"none"}` if it has not. One struct, because a payload is kept as its text, which a
/// tagged enum cannot hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutcomeBody {
    outcome: OutcomeName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Payload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<WorkflowFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<BlockedMark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeName {
    None,
    Completed,
    Failed,
    Blocked,
}

impl From<Option<Outcome>> for OutcomeBody {
    fn from(outcome: Option<Outcome>) -> Self {
        let none = Self { outcome: OutcomeName::None, result: None, failure: None, blocked: None };
        match outcome {
            None => none,
            Some(Outcome::Completed(result)) => {
                Self { outcome: OutcomeName::Completed, result: Some(result), ..none }
            }
            Some(Outcome::Failed(failure)) => {
                Self { outcome: OutcomeName::Failed, failure: Some(failure), ..none }
            }
            Some(Outcome::Blocked(mark)) => {
                Self { outcome: OutcomeName::Blocked, blocked: Some(*mark), ..none }
            }
        }
    }
}

impl From<OutcomeBody> for Option<Outcome> {
    fn from(body: OutcomeBody) -> Self {
        match body.outcome {
            OutcomeName::None => None,
            // `null` is a result like any other, though serde reads it as an absent field.
            OutcomeName::Completed => Some(Outcome::Completed(body.result.unwrap_or_default())),
            OutcomeName::Failed => body.failure.map(Outcome::Failed),
            OutcomeName::Blocked => body.blocked.map(|mark| Outcome::Blocked(Box::new(mark))),
        }
    }
}
