//! Tasks that killed their workers too often: they end in the dead-letter queue of their task queue, and the run is told.

use std::time::Duration;

use millrace_core::TaskQueue;
use millrace_format::message;

use crate::dispatch::{report, vanished};
use crate::ports::{Delivery, Ports, QueueError, QueueName};

/// Reports vanished attempts on the path of all outcomes.
pub struct DeadLetters {
    ports: Ports,
    receives: u32,
}

impl DeadLetters {
    /// A consumer of the dead letters of task queues, whose tasks came there at once.
    pub fn new(ports: Ports) -> Self {
        Self { ports, receives: 1 }
    }

    /// How often a task is received before it becomes a dead letter: the `maxReceiveCount` of its task queue. Each of
    /// these receives is a worker that vanished, and uses up an attempt of the activity, as it does when a later worker
    /// lives to report (§6). The dead letter itself does not say: its own count may begin anew in the new queue.
    #[must_use]
    pub fn after_receives(self, receives: u32) -> Self {
        Self { receives, ..self }
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
        report(&self.ports, &task, vanished(&task, self.receives, reason)).await?;
        self.ports.queues.delete(dead, std::slice::from_ref(&delivery.receipt)).await?;
        Ok(true)
    }
}
