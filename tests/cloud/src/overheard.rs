//! Queues that are listened to: what must not be said in a message is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_engine::ports::{
    Delivery, OutMessage, Ports, QueueError, QueueName, Queues, Receipt, SendError,
};

/// Passes everything on, and prints a line that begins with `failed` for each message with one of these words.
pub struct Overheard {
    queues: Arc<dyn Queues>,
    words: &'static [&'static str],
}

impl Overheard {
    /// The same ports, listened to.
    pub fn wrap(ports: Ports, words: &'static [&'static str]) -> Ports {
        Ports { queues: Arc::new(Self { queues: ports.queues, words }), ..ports }
    }

    fn hear(&self, queue: &QueueName, body: &str) {
        for word in self.words.iter().filter(|word| body.contains(**word)) {
            println!("failed: `{word}` is said in `{queue}`: {body:.1000}");
        }
    }
}

#[async_trait]
impl Queues for Overheard {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        messages.iter().for_each(|message| self.hear(queue, &message.body));
        self.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.queues.receive(queue, max, wait, visibility).await?;
        received.iter().for_each(|delivery| self.hear(queue, &delivery.body));
        Ok(received)
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
