//! What the log can say. An event is a fact, in the past tense; once committed it never changes.
//!
//! One struct for each kind, so that each can be read from its JSON line alone; the line's `type` names the struct.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;
use crate::{
    ActivityFailure, ActivityId, ActivityOptions, Blocked, Fault, Payload, RequestId, TaskQueue, TimerId,
    Timestamp, WorkflowType,
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
}

/// The code started a timer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerStarted {
    /// The timer's number.
    pub timer_id: TimerId,
    /// When it is due.
    pub fire_at: Timestamp,
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

macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type")]
        pub enum EventKind {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
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
        }

        $(impl From<$name> for EventKind {
            fn from(event: $name) -> Self { Self::$name(event) }
        })*
    };
}

kinds!(
    RunStarted,
    RunCompleted,
    RunFailed,
    RunTimedOut,
    RunCanceled,
    RunTerminated,
    RunBlocked,
    ActivityScheduled,
    ActivityAttemptFailed,
    ActivityCompleted,
    ActivityFailed,
    ActivityCancelRequested,
    TimerStarted,
    TimerFired,
    TimerCanceled,
    SignalReceived,
    CancelRequested,
    ResumeRequested,
);

impl EventKind {
    /// Whether workflow code is resumed with this event (G8: after every single one, in log order).
    pub fn resumes_code(&self) -> bool {
        matches!(
            self,
            Self::RunStarted(_)
                | Self::ActivityCompleted(_)
                | Self::ActivityFailed(_)
                | Self::TimerFired(_)
                | Self::SignalReceived(_)
                | Self::CancelRequested(_)
        )
    }

    /// Whether the event records a command of the code.
    pub fn records_command(&self) -> bool {
        matches!(
            self,
            Self::ActivityScheduled(_)
                | Self::ActivityCancelRequested(_)
                | Self::TimerStarted(_)
                | Self::TimerCanceled(_)
                | Self::RunCompleted(_)
                | Self::RunFailed(_)
                | Self::RunCanceled(_)
        )
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
            Self::TimerStarted(e) => format!("TimerStarted (timer {})", e.timer_id),
            Self::TimerCanceled(e) => format!("TimerCanceled (timer {})", e.timer_id),
            other => other.name().to_owned(),
        }
    }
}
