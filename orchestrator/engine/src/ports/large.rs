//! Queues whose messages have less room than a body may take: what is too large for one goes through the bucket.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;

use super::{
    Bodies, BodyStore, Delivery, OutMessage, QueueError, QueueName, Queues, Receipt, SendError, StoreError,
};

/// How many bodies of one call are on their way at once.
const CONCURRENCY: usize = 4;

/// Queues that take [every body](Queues::LARGEST_BODY_BYTES). A large one is stored before its message is sent, and read
/// before it is handed out, so nobody above sees a pointer. It keeps nothing between calls.
pub struct LargeBodies<S> {
    queues: Arc<dyn Queues>,
    bodies: Bodies<S>,
    is_large: Box<dyn Fn(&OutMessage) -> bool + Send + Sync>,
}

impl<S: BodyStore> LargeBodies<S> {
    /// Puts the bucket beside these queues, for the messages that they cannot carry as they are.
    pub fn new(
        queues: Arc<dyn Queues>,
        bodies: Bodies<S>,
        is_large: impl Fn(&OutMessage) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { queues, bodies, is_large: Box::new(is_large) }
    }

    /// A message as it is sent; the body of a large one goes to the bucket first.
    async fn shaped(&self, queue: &QueueName, message: OutMessage) -> Result<OutMessage, SendError> {
        <dyn Queues>::accept(queue, &message.body)?;
        if !(self.is_large)(&message) {
            return Ok(message);
        }
        let stored = self.bodies.store(queue, message.body).await;
        let body = stored.map_err(|error| not_stored(queue, error))?;
        Ok(OutMessage { body, ..message })
    }

    /// A message with its whole body. `None`: the store cannot give the body now, and the message comes again when its
    /// visibility lapses.
    async fn whole(&self, queue: &QueueName, mut delivery: Delivery) -> Option<Delivery> {
        match self.bodies.resolve(queue, std::mem::take(&mut delivery.body)).await {
            Ok(body) => Some(Delivery { body, ..delivery }),
            Err(StoreError::Unavailable(reason) | StoreError::Invalid { reason, .. }) => {
                let message_id = delivery.message_id;
                tracing::warn!(%queue, message_id, reason, "a message's large body cannot be read now");
                None
            }
        }
    }
}

fn not_stored(queue: &QueueName, error: StoreError) -> SendError {
    let (queue, reason) = (queue.to_string(), format!("its large body was not stored: {error}"));
    match error {
        StoreError::Unavailable(_) => QueueError::Unavailable { queue, reason },
        StoreError::Invalid { .. } => QueueError::Invalid { queue, reason },
    }
}

fn unanswered(queue: &QueueName) -> SendError {
    let reason = "it did not answer for this message".to_owned();
    QueueError::Unavailable { queue: queue.to_string(), reason }
}

#[async_trait]
impl<S: BodyStore> Queues for LargeBodies<S> {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        let shaped = messages.into_iter().map(|message| self.shaped(queue, message));
        let shaped: Vec<_> = stream::iter(shaped).buffered(CONCURRENCY).collect().await;
        let mut outgoing = Vec::with_capacity(shaped.len());
        let failed: Vec<Option<SendError>> =
            shaped.into_iter().map(|message| message.map(|message| outgoing.push(message)).err()).collect();
        // Of those that cannot be stored none is sent.
        let sent = if outgoing.is_empty() { Vec::new() } else { self.queues.send(queue, outgoing).await };
        let mut sent = sent.into_iter();
        let mut answer = || sent.next().unwrap_or_else(|| Err(unanswered(queue)));
        failed.into_iter().map(|failed| failed.map_or_else(&mut answer, Err)).collect()
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.queues.receive(queue, max, wait, visibility).await?;
        let whole = received.into_iter().map(|delivery| self.whole(queue, delivery));
        let whole: Vec<_> = stream::iter(whole).buffered(CONCURRENCY).collect().await;
        Ok(whole.into_iter().flatten().collect())
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        self.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.queues.settle().await
    }
}
