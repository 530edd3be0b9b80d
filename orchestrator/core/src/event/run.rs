//! What becomes of a run as a whole: how it begins, is held and goes on, and ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;
use crate::{
    Blocked, Fault, Headers, Parent, Payload, RequestId, RunId, Timestamp, WorkflowId, WorkflowType,
};

/// The run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The workflow's type.
    pub workflow: WorkflowType,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// The start request.
    pub request_id: RequestId,
    /// How long the run may take, in milliseconds.
    #[serde(
        default,
        rename = "run_timeout_ms",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub run_timeout: Option<Duration>,
    /// Notes for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Payload>,
    /// Values to filter lists by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Payload>,
    /// What the start hands on to everything that comes of it.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// When the workflow must have ended, all the runs that it continues as included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_deadline: Option<Timestamp>,
    /// When the code begins, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<Timestamp>,
    /// The workflow that started this one as its child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run that continued as this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued_from: Option<RunId>,
    /// The first of the runs that continue one another; a request that names it means the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_run_id: Option<RunId>,
    /// What that run had been told and not read.
    #[serde(default, skip_serializing_if = "Unread::is_empty")]
    pub unread: Unread,
    /// The version of the code that the run is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the events up to some number come from, this one's contents included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
}

/// The run whose first events a run has taken over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForkedFrom {
    /// Whose.
    pub workflow_id: WorkflowId,
    /// Which run.
    pub run_id: RunId,
    /// The last event that was taken over.
    pub event: u64,
    /// When the new run began; time limits count from here.
    pub at: Timestamp,
    /// What the code's random numbers are made of: those of the events that were taken over must come again.
    pub seed: RunId,
    /// Who wanted that, and why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Messages that a run leaves to the next one, unread, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Unread {
    /// Signals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<UnreadMessage>,
    /// Updates without an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<UnreadMessage>,
    /// A request to stop, which came when the code was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequested>,
}

impl Unread {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty() && self.updates.is_empty() && self.cancel.is_none()
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnreadMessage {
    /// The message's name.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub input: Payload,
    /// The message's request; an update is answered under it.
    pub request_id: RequestId,
}

/// The workflow returned a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCompleted {
    /// The result.
    pub result: Payload,
}

/// The workflow returned an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFailed {
    /// Why.
    pub fault: Fault,
}

/// The run passed its time limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTimedOut {
    /// The limit, in milliseconds.
    #[serde(rename = "limit_ms", with = "millis")]
    pub limit: Duration,
}

/// The workflow followed a cancel request to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCanceled {
    /// The request's reason.
    pub reason: String,
    /// The code had not begun: nothing asked for this but the request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_start: bool,
}

/// The run was ended by force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunTerminated {
    /// Who wanted that, and why.
    pub reason: String,
    /// The terminate request; absent if a start with `terminate_existing` did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// The run ended, and the workflow goes on as a new one with a fresh history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunContinuedAsNew {
    /// The run that follows.
    pub new_run_id: RunId,
    /// Its workflow type.
    pub workflow: WorkflowType,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// What this run has been told and not read.
    #[serde(default, skip_serializing_if = "Unread::is_empty")]
    pub unread: Unread,
}

/// The code could not go on; recorded once for each reason and build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunBlocked {
    /// Why.
    pub reason: Blocked,
    /// The build whose code could not.
    pub build: String,
}

/// Somebody asked the run to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Who, and why.
    pub reason: String,
    /// The cancel request.
    pub request_id: RequestId,
}

/// Somebody asked a blocked run to try again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResumeRequested {
    /// The resume request.
    pub request_id: RequestId,
}

/// Somebody held back the code: what the run is told is recorded, and waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPaused {
    /// Who, and why.
    pub reason: String,
    /// The pause request.
    pub request_id: RequestId,
}

/// The code goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunUnpaused {
    /// The unpause request.
    pub request_id: RequestId,
}
