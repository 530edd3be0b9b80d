//! Tasks that killed their workers too often: they end in the dead-letter queue of their task queue, and the run is told.

use std::time::Duration;

use millrace_core::{ActivityOutcome, ApplicationFailure, Fault, OutcomeResult, TaskQueue};
use millrace_format::message;

use crate::dispatch::report;
use crate::ports::{Delivery, Ports, QueueError, QueueName};

/// Reports vanished attempts on the path of all outcomes.
pub struct DeadLetters {
    ports: Ports,
}

impl DeadLetters {
    /// A consumer of the dead letters of task queues.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Reports each dead task of `queue` as a failed attempt and deletes it. A message that is no task stays, hidden
    /// for an hour, for a person to look at. Returns how many were reported.
    pub async fn poll(&self, queue: &TaskQueue, wait: Duration) -> Result<usize, QueueError> {
        let dead = QueueName::task(queue).dead_letters();
        let (max, hidden) = (self.ports.queues.batch_limit(), Duration::from_secs(3600));
        let mut reported = 0;
        for delivery in self.ports.queues.receive(&dead, max, wait, hidden).await? {
            if delivery.error.as_deref().is_some_and(|error| error.starts_with(crate::BAD_TASK)) {
                continue;
            }
            reported += usize::from(self.vanished(&dead, &delivery).await?);
        }
        Ok(reported)
    }

    async fn vanished(&self, dead: &QueueName, delivery: &Delivery) -> Result<bool, QueueError> {
        let Ok(task) = message::read_task(&delivery.body) else { return Ok(false) };
        let reason = delivery.error.as_deref().unwrap_or("it was received too often without an answer");
        let text = format!("attempt {} vanished with its workers: {reason}", task.attempt);
        let fault = Fault::Application(ApplicationFailure::new("WorkerVanished", text));
        let (activity_id, attempt) = (task.activity_id, task.attempt);
        let result = OutcomeResult::Failed(fault);
        report(&self.ports, &task, ActivityOutcome { activity_id, attempt, receive_count: 1, result })
            .await?;
        self.ports.queues.delete(dead, std::slice::from_ref(&delivery.receipt)).await?;
        Ok(true)
    }
}
