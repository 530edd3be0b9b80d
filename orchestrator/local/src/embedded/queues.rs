//! The queues' side: the state machine of [`crate::state`], with every change on its way to the disk.

use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Timestamp;
use millrace_engine::ports::{Delivery, OutMessage, QueueError, QueueName, Queues, Receipt, SendError};

use super::{Embedded, Inner, Shared};
use crate::arrivals::Attempt;
use crate::state::{Received, Taken};

const BATCH_LIMIT: usize = 256;

#[async_trait]
impl Queues for Embedded {
    fn batch_limit(&self) -> usize {
        BATCH_LIMIT
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        let mut results = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter();
        loop {
            let batch: Vec<OutMessage> = messages.by_ref().take(BATCH_LIMIT).collect();
            if batch.is_empty() {
                return results;
            }
            match self.shared.room().await {
                Ok(()) => self.shared.send(queue, batch, &mut results),
                Err(reason) => results.extend(batch.iter().map(|_| Err(unavailable(queue, reason.clone())))),
            }
        }
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let max = max.min(BATCH_LIMIT);
        let attempt = |now| self.shared.try_receive(queue, max, visibility, now);
        let taken = self.shared.arrivals.long_poll(queue, self.shared.clock.as_ref(), wait, attempt).await;
        // What an earlier process left may be what killed it: this receive must count even if it kills us at once.
        if taken.iter().any(|taken| taken.seq <= self.shared.restored_seq) {
            self.shared.settle().await.map_err(|reason| unavailable(queue, reason))?;
        }
        self.shared.deliver(queue, taken)
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        let now = self.shared.clock.now();
        self.shared.change(|inner| {
            inner.queues.next_seq();
            for receipt in receipts {
                inner.queues.delete(queue, receipt, now, &mut inner.pending);
            }
        });
        Ok(())
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let now = self.shared.clock.now();
        let before = self.shared.change(|inner| {
            let before = inner.queues.next_due(queue);
            let Inner { queues, pending, .. } = inner;
            queues.change_visibility(queue, receipt, visibility, now, pending).map(|()| before)
        })?;
        self.shared.arrivals.hidden_until(queue, now.plus(visibility), before, now);
        Ok(())
    }

    async fn settle(&self) -> Result<(), QueueError> {
        let queue = "all".to_owned();
        self.shared.settle().await.map_err(|reason| QueueError::Unavailable { queue, reason })
    }
}

fn unavailable(queue: &QueueName, reason: String) -> QueueError {
    QueueError::Unavailable { queue: queue.to_string(), reason }
}

impl Shared {
    fn send(&self, queue: &QueueName, messages: Vec<OutMessage>, results: &mut Vec<Result<(), SendError>>) {
        let now = self.clock.now();
        let (at_once, delayed): (Vec<_>, Vec<_>) =
            messages.iter().map(|message| now.plus(message.delay)).partition(|visible_at| *visible_at <= now);
        let before = self.change(|inner| {
            let before = inner.queues.next_due(queue);
            let Inner { queues, pending, .. } = inner;
            results.extend(
                messages.into_iter().map(|message| queues.send(queue, message, now, pending).map(|_| ())),
            );
            inner.urgent |= queue.carries_tasks();
            before
        });
        // Tasks are not receivable yet: the writer will tell.
        if !queue.carries_tasks() {
            for visible_at in at_once.first().into_iter().chain(delayed.iter().min()) {
                self.arrivals.hidden_until(queue, *visible_at, before, now);
            }
        }
    }

    fn try_receive(
        &self,
        queue: &QueueName,
        max: usize,
        visibility: Duration,
        now: Timestamp,
    ) -> Attempt<Vec<Taken>> {
        let (received, before, next_due) = self.change(|inner| {
            let before = inner.queues.next_due(queue);
            let Inner { queues, pending, .. } = inner;
            let received = queues.receive(queue, max, visibility, now, pending);
            (received, before, queues.next_due(queue))
        });
        let Received { messages, more, dead } = received;
        if dead > 0 {
            self.arrivals.one(&queue.dead_letters());
        }
        if messages.is_empty() {
            return Attempt::Empty(next_due);
        }
        if more {
            self.arrivals.one(queue);
        }
        self.arrivals.hidden_until(queue, now.plus(visibility), before, now);
        Attempt::Done(messages)
    }

    /// Fetches the bodies that are on disk only. A message that has been deleted meanwhile is left out.
    fn deliver(&self, queue: &QueueName, taken: Vec<Taken>) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = Vec::with_capacity(taken.len());
        for mut taken in taken {
            if taken.message.body.is_none() {
                let body =
                    self.reader.body(taken.seq).map_err(|error| unavailable(queue, error.to_string()))?;
                let Some(body) = body else { continue };
                taken.message.body = Some(body.into());
            }
            deliveries.push(taken.into_delivery());
        }
        Ok(deliveries)
    }
}
