//! What the log can say. An event is a fact, in the past tense; once committed it never changes.
//!
//! One struct for each kind, so that each can be read from its JSON line alone; the line's `type` names the struct.

mod activity;
mod kind;
mod payloads;
mod run;

use serde::{Deserialize, Serialize};

pub use self::activity::*;
pub use self::kind::EventKind;
pub use self::payloads::Place;
pub use self::run::*;

use crate::{
    ChildId, ChildOptions, Payload, RequestId, SentId, StopChild, TimerId, Timestamp, WorkflowFailure,
    WorkflowId, WorkflowType,
};

/// One line of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The event's number in its run, from 1, without gaps.
    pub n: u64,
    /// When it was recorded; never before the event in front of it.
    pub t: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// The code started a child workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildScheduled {
    /// The call's number.
    pub child_id: ChildId,
    /// The child's workflow type.
    pub workflow: WorkflowType,
    /// The child's workflow id.
    pub workflow_id: WorkflowId,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// Time limits, and what becomes of it when this run closes.
    #[serde(default)]
    pub options: ChildOptions,
}

/// The child returned a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildCompleted {
    /// Which child.
    pub child_id: ChildId,
    /// The result.
    #[serde(default)]
    pub result: Payload,
}

/// The child ended without a result, or could not be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildFailed {
    /// Which child.
    pub child_id: ChildId,
    /// Why.
    pub failure: WorkflowFailure,
}

/// The code no longer waits for the child, or makes it stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildCancelRequested {
    /// Which child.
    pub child_id: ChildId,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Whether it is asked, or ended by force.
    #[serde(default, skip_serializing_if = "StopChild::is_cancel")]
    pub how: StopChild,
}

/// The code sent a signal to another workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalSent {
    /// The call's number.
    pub sent_id: SentId,
    /// To whom.
    pub workflow_id: WorkflowId,
    /// The signal's name.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub input: Payload,
}

/// The code asked another workflow to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelSent {
    /// The call's number.
    pub sent_id: SentId,
    /// Whom.
    pub workflow_id: WorkflowId,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// An update arrived: a request that the code answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateReceived {
    /// The update's name.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub input: Payload,
    /// The update's request.
    pub request_id: RequestId,
}

/// The code answered an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateCompleted {
    /// The update's request.
    pub request_id: RequestId,
    /// The answer.
    #[serde(default)]
    pub result: Payload,
}

/// The code refused an update after it had been recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateRejected {
    /// The update's request.
    pub request_id: RequestId,
    /// Why.
    pub reason: String,
}

/// The code took the new way at a place that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patched {
    /// The change's name.
    pub patch: String,
}

/// The code started a timer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerStarted {
    /// The timer's number.
    pub timer_id: TimerId,
    /// When it is due.
    pub fire_at: Timestamp,
}

impl TimerStarted {
    /// The timer that holds back the code of a run with a start delay. The engine starts it, not the code.
    pub const BEGIN: TimerId = 0;
}

/// A timer came due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerFired {
    /// Which timer.
    pub timer_id: TimerId,
}

/// The code no longer waits for the timer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerCanceled {
    /// Which timer.
    pub timer_id: TimerId,
}

/// A signal arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalReceived {
    /// The signal's name.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub input: Payload,
    /// The signal's request.
    pub request_id: RequestId,
}
