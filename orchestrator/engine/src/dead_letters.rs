//! Tasks that killed their workers too often: they end in the dead-letter queue of their task queue, and the run is told.

use std::time::Duration;

use millrace_core::TaskQueue;
use millrace_format::message;

use crate::dispatch::{report, vanished};
use crate::ports::{Delivery, Ports, QueueError, QueueName};

/// How long a dead letter is hidden while the others are looked at.
const HIDDEN: Duration = Duration::from_secs(900);

/// What a look at a queue's dead letters found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// Tasks that were reported.
    pub reported: usize,
    /// What is no task, and waits for a person.
    pub left: usize,
}

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

    /// Reports each dead task of `queue` as a failed attempt and deletes it. A message that is no task stays for a person:
    /// it is hidden only until all others have been looked at, so that it can be seen, and holds up none of them.
    pub async fn poll(&self, queue: &TaskQueue, wait: Duration) -> Result<Buried, QueueError> {
        let dead = QueueName::task(queue).dead_letters();
        let (queues, mut wait) = (&self.ports.queues, wait);
        let (mut reported, mut left) = (0, Vec::new());
        loop {
            let batch = queues.receive(&dead, queues.batch_limit(), wait, HIDDEN).await?;
            if batch.is_empty() {
                break;
            }
            for delivery in batch {
                let is_bad =
                    delivery.error.as_deref().is_some_and(|error| error.starts_with(crate::BAD_TASK));
                if !is_bad && self.vanished(&dead, &delivery).await? {
                    reported += 1;
                } else {
                    left.push(delivery.receipt);
                }
            }
            wait = Duration::ZERO;
        }
        for receipt in &left {
            if let Err(error) = queues.change_visibility(&dead, receipt, Duration::ZERO).await {
                tracing::debug!(%error, "what is no task could not be given back; it is seen again in some minutes");
            }
        }
        Ok(Buried { reported, left: left.len() })
    }

    async fn vanished(&self, dead: &QueueName, delivery: &Delivery) -> Result<bool, QueueError> {
        let Ok(task) = message::read_task(&delivery.body) else { return Ok(false) };
        let reason = delivery.error.as_deref().unwrap_or("it was received too often without an answer");
        report(&self.ports, &task, vanished(&task, self.receives, reason)).await?;
        self.ports.queues.delete(dead, std::slice::from_ref(&delivery.receipt)).await?;
        Ok(true)
    }
}
