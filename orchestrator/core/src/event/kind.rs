//! The kinds of event: one list, and what sets them apart.

use serde::Serialize;

use super::payloads::Carries as _;
use super::*;
use crate::{ActivityId, Fault, Payload, TimeoutKind};

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
