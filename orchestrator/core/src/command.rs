//! What workflow code asks for.

use std::time::Duration;

use crate::{
    ActivityCancelRequested, ActivityId, ActivityOptions, ActivityScheduled, EventKind, Fault, Payload,
    RunCanceled, RunCompleted, RunFailed, TaskQueue, TimerCanceled, TimerId, TimerStarted, Timestamp,
};

/// A request of workflow code. Its event is what the history records of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Run an activity.
    ScheduleActivity {
        /// The call's number in the run.
        activity_id: ActivityId,
        /// The activity's name.
        activity: String,
        /// Where its tasks wait.
        task_queue: TaskQueue,
        /// Its input.
        input: Payload,
        /// Time limits and retries.
        options: ActivityOptions,
    },
    /// The code no longer waits for the activity.
    CancelActivity(ActivityId),
    /// Wake the code after a time.
    StartTimer(TimerId, Duration),
    /// The code no longer waits for the timer.
    CancelTimer(TimerId),
    /// The run is done.
    CompleteRun(Payload),
    /// The run has failed.
    FailRun(Fault),
    /// The run followed a cancel request to its end.
    CancelRun(String),
}

impl Command {
    /// The event that records this command, issued at `now`.
    pub fn into_event(self, now: Timestamp) -> EventKind {
        match self {
            Self::ScheduleActivity { activity_id, activity, task_queue, input, options } => {
                let options = options.written();
                ActivityScheduled { activity_id, activity, task_queue, input, options }.into()
            }
            Self::CancelActivity(activity_id) => ActivityCancelRequested { activity_id }.into(),
            Self::StartTimer(timer_id, after) => TimerStarted { timer_id, fire_at: now.plus(after) }.into(),
            Self::CancelTimer(timer_id) => TimerCanceled { timer_id }.into(),
            Self::CompleteRun(result) => RunCompleted { result }.into(),
            Self::FailRun(fault) => RunFailed { fault }.into(),
            Self::CancelRun(reason) => RunCanceled { reason }.into(),
        }
    }

    /// Whether `event` records this command: by kind, name and number. Options and inputs may change between
    /// deployments without blocking a run.
    pub fn matches(&self, event: &EventKind) -> bool {
        match (self, event) {
            (Self::ScheduleActivity { activity_id, activity, .. }, EventKind::ActivityScheduled(e)) => {
                *activity_id == e.activity_id && *activity == e.activity
            }
            (Self::CancelActivity(id), EventKind::ActivityCancelRequested(e)) => *id == e.activity_id,
            (Self::StartTimer(id, _), EventKind::TimerStarted(e)) => *id == e.timer_id,
            (Self::CancelTimer(id), EventKind::TimerCanceled(e)) => *id == e.timer_id,
            (Self::CompleteRun(_), EventKind::RunCompleted(_))
            | (Self::FailRun(_), EventKind::RunFailed(_))
            | (Self::CancelRun(_), EventKind::RunCanceled(_)) => true,
            _ => false,
        }
    }

    /// Whether the code has ended.
    pub fn ends_run(&self) -> bool {
        matches!(self, Self::CompleteRun(_) | Self::FailRun(_) | Self::CancelRun(_))
    }

    /// The command in words, for a person who compares it with the history.
    pub fn describe(&self) -> String {
        self.clone().into_event(Timestamp::default()).describe()
    }
}
