//! The JSON bodies that the HTTP API and its client share.

use millrace_core::{Blocked, BlockedMark, Payload, RequestId, RunId, WorkflowFailure};
use millrace_engine::{Letters, Outcome, Treatment};
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
    /// Why the run's code cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blocked: Option<Blocked>,
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
    Blocked,
    TooLarge,
    Unavailable,
}

impl ErrorBody {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { error: ErrorText { kind, message: message.into(), blocked: None } }
    }
}

impl From<RunError> for ErrorBody {
    fn from(error: RunError) -> Self {
        let kind = match &error {
            RunError::NotFound(_) => ErrorKind::NotFound,
            RunError::Rejected(_) => ErrorKind::Rejected,
            RunError::Blocked(_) => ErrorKind::Blocked,
            _ => ErrorKind::Unavailable,
        };
        let mut body = Self::new(kind, error.to_string());
        if let RunError::Blocked(reason) = error {
            body.error.blocked = Some(reason);
        }
        body
    }
}

impl From<ErrorBody> for RunError {
    fn from(body: ErrorBody) -> Self {
        let ErrorText { kind, message, blocked } = body.error;
        match kind {
            ErrorKind::Blocked => blocked.map_or(Self::Unavailable(message), Self::Blocked),
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

/// What is asked: the body of `POST /v1/workflows/{id}/query`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input: Payload,
}

/// What is to be done with dead letters: the body of `POST /v1/dead-letters/{queue}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreatBody {
    #[serde(rename = "do")]
    pub(crate) treatment: Treatment,
    pub(crate) letters: Letters,
}

/// What is answered to a query.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResultBody {
    #[serde(default)]
    pub(crate) result: Payload,
}

/// What is asked for: the body of `POST /v1/workflows/{id}/update`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input: Payload,
    #[serde(default)]
    pub(crate) request_id: Option<RequestId>,
}

/// The answer to an update, or `{"outcome":"none"}` if there is none yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnswerBody {
    request_id: RequestId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    outcome: OutcomeName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Payload>,
}

impl AnswerBody {
    pub(crate) fn new(request_id: RequestId, run_id: Option<RunId>, answer: Option<Payload>) -> Self {
        let outcome = if answer.is_some() { OutcomeName::Completed } else { OutcomeName::None };
        Self { request_id, run_id, outcome, result: answer }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.outcome == OutcomeName::Completed
    }

    pub(crate) fn answer(self) -> Option<Payload> {
        self.is_answered().then(|| self.result.unwrap_or_default())
    }
}
