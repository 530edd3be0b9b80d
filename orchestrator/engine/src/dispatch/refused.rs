//! What becomes of a message that its queue will never take, because it is too large: tried again, it would hold up its run
//! for ever. Whoever waits for it hears why; what nobody waits for becomes a dead letter.

use std::time::Duration;

use millrace_core::{
    ActivityOutcome, ApplicationFailure, Fault, OutcomeResult, Parent, Run, Task, WorkflowId,
};

use super::{Dispatcher, outcome_refused, report, report_child_failed, report_not_started, send_one};
use crate::ports::{OutMessage, QueueError, QueueName};

/// How much of a refused message its dead letter shows. It is cut, so that it is never mistaken for the message.
const SHOWN_CHARS: usize = 1_000;

/// What is done if a queue refuses a message.
pub(super) enum IfRefused {
    /// A timer or a wake is small: something is wrong with the queue, and it is tried again.
    Again,
    /// The activity fails.
    FailTask(Box<Task>),
    /// The parent hears that its child cannot be started.
    NoChild(Parent),
    /// The parent hears that its child's outcome is lost.
    NoOutcome(Parent),
    /// Nobody waits for an answer.
    DeadLetter { kind: &'static str, from: WorkflowId, to: WorkflowId, begins: String },
}

impl IfRefused {
    /// For what this run tells another workflow without waiting for it.
    pub(super) fn lost(run: &Run, kind: &'static str, to: &WorkflowId) -> Self {
        let from = run.info.workflow_id.clone();
        Self::DeadLetter { kind, from, to: to.clone(), begins: String::new() }
    }

    /// Remembers what a dead letter shows of the message.
    pub(super) fn of(mut self, body: &str) -> Self {
        if let Self::DeadLetter { begins, .. } = &mut self {
            *begins = body.chars().take(SHOWN_CHARS).collect();
        }
        self
    }
}

impl Dispatcher {
    /// Answers in place of a refused message. If the queue refuses the answer too, the message is not at fault.
    pub(super) async fn refused(
        &self,
        if_refused: IfRefused,
        queue: String,
        reason: String,
    ) -> Result<(), QueueError> {
        match if_refused {
            IfRefused::Again => Err(QueueError::Invalid { queue, reason }),
            IfRefused::FailTask(task) => self.task_refused(&task, &reason).await,
            IfRefused::NoChild(parent) => {
                tracing::error!(workflow_id = %parent.workflow_id, child_id = parent.child_id, reason, "start refused");
                report_not_started(&self.ports, &self.keys, &parent, &reason).await
            }
            IfRefused::NoOutcome(parent) => {
                tracing::error!(workflow_id = %parent.workflow_id, child_id = parent.child_id, reason, "outcome refused");
                report_child_failed(&self.ports, &self.keys, &parent, outcome_refused(&reason)).await
            }
            IfRefused::DeadLetter { kind, from, to, begins } => {
                tracing::error!(workflow_id = %from, %to, kind, reason, "message refused");
                let error = Some(format!("{kind} from `{from}` to `{to}`: {reason}"));
                let letter = OutMessage { body: begins, delay: Duration::ZERO, error };
                send_one(&self.ports, &QueueName::events().dead_letters(), letter).await
            }
        }
    }

    async fn task_refused(&self, task: &Task, reason: &str) -> Result<(), QueueError> {
        tracing::error!(workflow_id = %task.workflow_id, task_queue = %task.task_queue, reason, "task refused");
        let (queue, activity, bytes) = (&task.task_queue, &task.activity, task.input.size_bytes());
        let text = format!(
            "task queue `{queue}` refused the task of activity `{activity}`, whose input has {bytes} bytes: {reason}"
        );
        let failure = ApplicationFailure::new("TaskRefused", text).non_retryable();
        let result = OutcomeResult::Failed(Fault::Application(failure));
        let (activity_id, attempt) = (task.activity_id, task.attempt);
        report(&self.ports, task, ActivityOutcome { activity_id, attempt, receive_count: 1, result }).await
    }
}
