//! What workflow code asks for.

use std::time::Duration;

use crate::{
    ActivityCancelRequested, ActivityId, ActivityOptions, ActivityScheduled, Blocked, CancelSent,
    ChildCancelRequested, ChildId, ChildOptions, ChildScheduled, EventKind, Fault, LocalActivity, Patched,
    Payload, RequestId, RunCanceled, RunCompleted, RunContinuedAsNew, RunFailed, RunId, SentId, SignalSent,
    StopChild, TaskQueue, TimerCanceled, TimerId, TimerStarted, Timestamp, Unread, UpdateCompleted,
    UpdateRejected, WorkflowId, WorkflowType,
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
    /// The code no longer waits for the activity, or (`true`) waits for how it ends.
    CancelActivity(ActivityId, bool),
    /// Run an activity within this turn. Its end is what the history records of it.
    RunLocal(LocalActivity),
    /// Wake the code after a time.
    StartTimer(TimerId, Duration),
    /// The code no longer waits for the timer.
    CancelTimer(TimerId),
    /// Start a child workflow.
    StartChild {
        /// The call's number in the run.
        child_id: ChildId,
        /// The child's workflow type.
        workflow: WorkflowType,
        /// Its workflow id.
        workflow_id: WorkflowId,
        /// Its input.
        input: Payload,
        /// How it is to be run.
        options: ChildOptions,
    },
    /// Ask the child to stop.
    CancelChild(ChildId, String),
    /// End the child by force.
    TerminateChild(ChildId, String),
    /// Tell another workflow something.
    SendSignal {
        /// The call's number in the run.
        sent_id: SentId,
        /// To whom.
        workflow_id: WorkflowId,
        /// The signal's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
    /// Ask another workflow to stop.
    SendCancel {
        /// The call's number in the run.
        sent_id: SentId,
        /// Whom.
        workflow_id: WorkflowId,
        /// Why.
        reason: String,
    },
    /// Answer an update.
    CompleteUpdate(RequestId, Payload),
    /// Refuse an update.
    RejectUpdate(RequestId, String),
    /// Take the new way at a place that was changed.
    Patch(String),
    /// The run is done.
    CompleteRun(Payload),
    /// The run has failed.
    FailRun(Fault),
    /// The run followed a cancel request to its end.
    CancelRun(String),
    /// The workflow goes on as a new run.
    ContinueAsNew {
        /// The new run's workflow type.
        workflow: WorkflowType,
        /// Its input.
        input: Payload,
        /// What this run has been told and not read.
        unread: Unread,
    },
}

impl Command {
    /// The event that records this command, issued at `now`; `next_run` is for the run that follows, if one does. A local
    /// activity is recorded by its end.
    pub fn into_event(self, now: Timestamp, next_run: RunId) -> Option<EventKind> {
        Some(match self {
            Self::RunLocal(_) => return None,
            Self::ScheduleActivity { activity_id, activity, task_queue, input, options } => {
                let options = options.written();
                ActivityScheduled { activity_id, activity, task_queue, input, options, secret: None }.into()
            }
            Self::CancelActivity(activity_id, waits) => ActivityCancelRequested { activity_id, waits }.into(),
            Self::StartTimer(timer_id, after) => TimerStarted { timer_id, fire_at: now.plus(after) }.into(),
            Self::CancelTimer(timer_id) => TimerCanceled { timer_id }.into(),
            Self::StartChild { child_id, workflow, workflow_id, input, options } => {
                let options = options.written();
                ChildScheduled { child_id, workflow, workflow_id, input, options }.into()
            }
            Self::CancelChild(child_id, reason) => {
                ChildCancelRequested { child_id, reason, how: StopChild::Cancel }.into()
            }
            Self::TerminateChild(child_id, reason) => {
                ChildCancelRequested { child_id, reason, how: StopChild::Terminate }.into()
            }
            Self::SendSignal { sent_id, workflow_id, name, input } => {
                SignalSent { sent_id, workflow_id, name, input }.into()
            }
            Self::SendCancel { sent_id, workflow_id, reason } => {
                CancelSent { sent_id, workflow_id, reason }.into()
            }
            Self::CompleteUpdate(request_id, result) => UpdateCompleted { request_id, result }.into(),
            Self::RejectUpdate(request_id, reason) => UpdateRejected { request_id, reason }.into(),
            Self::Patch(patch) => Patched { patch }.into(),
            Self::CompleteRun(result) => RunCompleted { result }.into(),
            Self::FailRun(fault) => RunFailed { fault }.into(),
            Self::CancelRun(reason) => RunCanceled { reason, before_start: false }.into(),
            Self::ContinueAsNew { workflow, input, unread } => {
                RunContinuedAsNew { new_run_id: next_run, workflow, input, unread }.into()
            }
        })
    }

    /// Whether `event` records this command: by kind, name and number. Options and inputs may change between
    /// deployments without blocking a run.
    pub fn matches(&self, event: &EventKind) -> bool {
        match (self, event) {
            (Self::ScheduleActivity { activity_id, activity, .. }, EventKind::ActivityScheduled(e)) => {
                *activity_id == e.activity_id && *activity == e.activity
            }
            (Self::CancelActivity(id, _), EventKind::ActivityCancelRequested(e)) => *id == e.activity_id,
            (Self::StartChild { child_id, workflow, .. }, EventKind::ChildScheduled(e)) => {
                *child_id == e.child_id && *workflow == e.workflow
            }
            (Self::CancelChild(id, _), EventKind::ChildCancelRequested(e)) => {
                *id == e.child_id && e.how == StopChild::Cancel
            }
            (Self::TerminateChild(id, _), EventKind::ChildCancelRequested(e)) => {
                *id == e.child_id && e.how == StopChild::Terminate
            }
            (Self::SendSignal { sent_id, name, .. }, EventKind::SignalSent(e)) => {
                *sent_id == e.sent_id && *name == e.name
            }
            (Self::SendCancel { sent_id, .. }, EventKind::CancelSent(e)) => *sent_id == e.sent_id,
            (Self::CompleteUpdate(id, _), EventKind::UpdateCompleted(e)) => *id == e.request_id,
            (Self::RejectUpdate(id, _), EventKind::UpdateRejected(e)) => *id == e.request_id,
            (Self::Patch(patch), EventKind::Patched(e)) => *patch == e.patch,
            (Self::StartTimer(id, _), EventKind::TimerStarted(e)) => *id == e.timer_id,
            (Self::CancelTimer(id), EventKind::TimerCanceled(e)) => *id == e.timer_id,
            (Self::CompleteRun(_), EventKind::RunCompleted(_))
            | (Self::FailRun(_), EventKind::RunFailed(_))
            | (Self::CancelRun(_), EventKind::RunCanceled(_))
            | (Self::ContinueAsNew { .. }, EventKind::RunContinuedAsNew(_)) => true,
            _ => false,
        }
    }

    /// Why it cannot be recorded, if it carries too much. What travels, its queue refuses; of the rest nobody else would say
    /// so.
    pub fn too_large(&self) -> Option<Blocked> {
        let (what, payload) = match self {
            Self::CompleteRun(result) => ("the workflow's result", result),
            Self::CompleteUpdate(_, answer) => ("the answer to an update", answer),
            Self::ContinueAsNew { input, .. } => {
                ("the input with which the workflow continues as new", input)
            }
            _ => return None,
        };
        let bytes = payload.size_bytes();
        (bytes > Payload::LARGEST_BYTES)
            .then(|| Blocked::TooLarge { what: what.to_owned(), bytes: bytes as u64 })
    }

    /// Whether the code has ended.
    pub fn ends_run(&self) -> bool {
        matches!(
            self,
            Self::CompleteRun(_) | Self::FailRun(_) | Self::CancelRun(_) | Self::ContinueAsNew { .. }
        )
    }

    /// The command in words, for a person who compares it with the history.
    pub fn describe(&self) -> String {
        if let Self::RunLocal(local) = self {
            return format!("a local call of `{}` (activity {})", local.activity, local.activity_id);
        }
        let event = self.clone().into_event(Timestamp::default(), RunId::from_random(0));
        event.map(|event| event.describe()).unwrap_or_default()
    }
}
