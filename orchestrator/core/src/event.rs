//! What the log can say. An event is a fact, in the past tense; once committed it never changes.
//!
//! One struct for each kind, so that each can be read from its JSON line alone; the line's `type` names the struct.

mod payloads;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::payloads::Carries as _;
pub use self::payloads::Place;

use crate::time::millis;
use crate::{
    ActivityFailure, ActivityId, ActivityOptions, Blocked, ChildId, ChildOptions, Fault, Headers, Parent,
    Payload, RequestId, RunId, SentId, StopChild, TaskQueue, TimeoutKind, TimerId, Timestamp,
    WorkflowFailure, WorkflowId, WorkflowType,
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

/// The code called an activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityScheduled {
    /// The call's number.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// Where its tasks wait.
    pub task_queue: TaskQueue,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// Time limits and retries.
    #[serde(default)]
    pub options: ActivityOptions,
    /// The secret of its completion tokens, if it is one that completes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An attempt failed and another follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityAttemptFailed {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The attempt that failed.
    pub attempt: u32,
    /// The attempt that follows; workers that vanished used up those between.
    pub next_attempt: u32,
    /// When the next attempt is available.
    pub retry_at: Timestamp,
    /// Why it failed.
    pub fault: Fault,
}

/// An attempt gave the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityCompleted {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The attempt that did.
    pub attempt: u32,
    /// The result.
    #[serde(default)]
    pub result: Payload,
}

/// The activity ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityFailed {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Why.
    pub failure: ActivityFailure,
}

/// The code no longer waits for the activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityCancelRequested {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The code goes on waiting for how the activity ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
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

/// A local activity gave its result, within the turn that asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalActivityCompleted {
    /// The call's number.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// How many attempts it took.
    pub attempts: u32,
    /// The result.
    #[serde(default)]
    pub result: Payload,
}

/// A local activity ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalActivityFailed {
    /// The call's number.
    pub activity_id: ActivityId,
    /// Why.
    pub failure: ActivityFailure,
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

/// Somebody held back an activity: no attempt follows the one that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityPaused {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Who, and why.
    pub reason: String,
    /// The pause request.
    pub request_id: RequestId,
}

/// The activity's attempts go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityUnpaused {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Its attempt from here on; a task of an earlier one may still wait in its queue, and is void.
    pub attempt: u32,
    /// The unpause request.
    pub request_id: RequestId,
}

/// Somebody wanted the next attempt at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityRetryRequested {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Its attempt from here on; the one that waited for its time is void.
    pub attempt: u32,
    /// The retry request.
    pub request_id: RequestId,
}

// The largest is held in a box: every event is moved about as often as it is read, and a run has one of it.
macro_rules! kinds {
    ($($name:ident $(in $holder:ident)?),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum EventKind {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name(kinds!(@held $name $(in $holder)?)),)*
        }

        impl EventKind {
            /// The names of all kinds, as written in `type`.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The kind's name, as written in `type`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            /// Reads the event of kind `name` from its JSON text; `None` if there is no such kind. (An internally
            /// tagged enum cannot hold payloads as text, so the kind picks the struct.)
            pub fn read(name: &str, json: &str) -> Option<Result<Self, serde_json::Error>> {
                match name {
                    $(stringify!($name) => Some(serde_json::from_str(json).map(Self::$name)),)*
                    _ => None,
                }
            }

            /// Shows every payload of the event, with its place in the event's JSON.
            pub fn payloads<'a>(&'a self, visit: &mut dyn FnMut(&Place<'_>, &'a Payload)) {
                match self { $(Self::$name(e) => e.each(&Place::EVENT, visit),)* }
            }

            /// The same, for whoever puts another in its place.
            pub fn payloads_mut(&mut self, visit: &mut dyn FnMut(&Place<'_>, &mut Payload)) {
                match self { $(Self::$name(e) => e.each_mut(&Place::EVENT, visit),)* }
            }
        }

        $(impl From<$name> for EventKind {
            fn from(event: $name) -> Self { Self::$name(event.into()) }
        })*
    };
    (@held $name:ident) => { $name };
    (@held $name:ident in $holder:ident) => { $holder<$name> };
}

kinds!(
    RunStarted in Box,
    RunCompleted,
    RunFailed,
    RunTimedOut,
    RunCanceled,
    RunTerminated,
    RunContinuedAsNew,
    RunBlocked,
    ActivityScheduled,
    ActivityAttemptFailed,
    ActivityCompleted,
    ActivityFailed,
    ActivityCancelRequested,
    ActivityPaused,
    ActivityUnpaused,
    ActivityRetryRequested,
    LocalActivityCompleted,
    LocalActivityFailed,
    TimerStarted,
    TimerFired,
    TimerCanceled,
    ChildScheduled,
    ChildCompleted,
    ChildFailed,
    ChildCancelRequested,
    SignalSent,
    CancelSent,
    SignalReceived,
    UpdateReceived,
    UpdateCompleted,
    UpdateRejected,
    Patched,
    CancelRequested,
    ResumeRequested,
    RunPaused,
    RunUnpaused,
);

impl EventKind {
    /// Whether workflow code is resumed with this event (G8: after every single one, in log order).
    pub fn resumes_code(&self) -> bool {
        matches!(
            self,
            Self::RunStarted(_)
                | Self::ActivityCompleted(_)
                | Self::ActivityFailed(_)
                | Self::LocalActivityCompleted(_)
                | Self::LocalActivityFailed(_)
                | Self::TimerFired(_)
                | Self::ChildCompleted(_)
                | Self::ChildFailed(_)
                | Self::SignalReceived(_)
                | Self::UpdateReceived(_)
                | Self::CancelRequested(_)
        )
    }

    /// Whether the event records a command of the code.
    pub fn records_command(&self) -> bool {
        match self {
            Self::TimerStarted(e) => e.timer_id != TimerStarted::BEGIN,
            Self::RunCanceled(e) => !e.before_start,
            Self::ActivityScheduled(_)
            | Self::ActivityCancelRequested(_)
            | Self::TimerCanceled(_)
            | Self::ChildScheduled(_)
            | Self::ChildCancelRequested(_)
            | Self::SignalSent(_)
            | Self::CancelSent(_)
            | Self::UpdateCompleted(_)
            | Self::UpdateRejected(_)
            | Self::Patched(_)
            | Self::RunCompleted(_)
            | Self::RunFailed(_)
            | Self::RunContinuedAsNew(_) => true,
            _ => false,
        }
    }

    /// The local activity whose end the event is: its number and name. The end records the command, too.
    pub fn local_activity(&self) -> Option<(ActivityId, &str)> {
        match self {
            Self::LocalActivityCompleted(e) => Some((e.activity_id, &e.activity)),
            Self::LocalActivityFailed(e) => Some((e.activity_id, &e.failure.activity)),
            _ => None,
        }
    }

    /// How the workflow ended, if the event is its end. A run that continues as new has not ended its workflow.
    pub fn outcome(&self) -> Option<Result<Payload, Fault>> {
        Some(match self {
            Self::RunCompleted(e) => Ok(e.result.clone()),
            Self::RunFailed(e) => Err(e.fault.clone()),
            Self::RunCanceled(e) => Err(Fault::Canceled { reason: e.reason.clone() }),
            Self::RunTerminated(e) => Err(Fault::Terminated { reason: e.reason.clone() }),
            Self::RunTimedOut(_) => Err(Fault::TimedOut { kind: TimeoutKind::Run, cause: None }),
            _ => return None,
        })
    }

    /// The event in a few words, for error messages and timelines.
    pub fn describe(&self) -> String {
        match self {
            Self::ActivityScheduled(e) => {
                format!("ActivityScheduled `{}` (activity {})", e.activity, e.activity_id)
            }
            Self::ActivityCancelRequested(e) => {
                format!("ActivityCancelRequested (activity {})", e.activity_id)
            }
            Self::LocalActivityCompleted(e) => {
                format!("LocalActivityCompleted `{}` (activity {})", e.activity, e.activity_id)
            }
            Self::LocalActivityFailed(e) => {
                format!("LocalActivityFailed `{}` (activity {})", e.failure.activity, e.activity_id)
            }
            Self::TimerStarted(e) => format!("TimerStarted (timer {})", e.timer_id),
            Self::ChildScheduled(e) => format!("ChildScheduled `{}` (child {})", e.workflow, e.child_id),
            Self::ChildCancelRequested(e) => format!("ChildCancelRequested (child {})", e.child_id),
            Self::SignalSent(e) => format!("SignalSent `{}` to `{}`", e.name, e.workflow_id),
            Self::CancelSent(e) => format!("CancelSent to `{}`", e.workflow_id),
            Self::UpdateCompleted(e) => format!("UpdateCompleted (update {})", e.request_id),
            Self::UpdateRejected(e) => format!("UpdateRejected (update {})", e.request_id),
            Self::Patched(e) => format!("Patched `{}`", e.patch),
            Self::TimerCanceled(e) => format!("TimerCanceled (timer {})", e.timer_id),
            other => other.name().to_owned(),
        }
    }
}
