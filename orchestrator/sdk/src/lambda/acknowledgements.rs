//! Messages that came with an invocation are acknowledged by its answer: Lambda deletes, in one request, all that the
//! answer does not name as failed. So a delete of such a message is only noted here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use millrace_engine::ports::{
    Delivery, OutMessage, Ports, QueueError, QueueName, Queues, Receipt, SendError,
};

/// Queues whose deletes of the current batch wait for the function's answer.
pub(super) struct Acknowledgements {
    queues: Arc<dyn Queues>,
    batch: Mutex<HashMap<Receipt, Message>>,
}

struct Message {
    queue: QueueName,
    id: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Dealt with; Lambda deletes it.
    Done,
    /// Dealt with, and deleted ahead of Lambda.
    Deleted,
}

impl Acknowledgements {
    /// Puts itself between an engine and its queues.
    pub(super) fn wrap(ports: &mut Ports) -> Arc<Self> {
        let acknowledgements = Arc::new(Self { queues: ports.queues.clone(), batch: Mutex::default() });
        ports.queues = acknowledgements.clone();
        acknowledgements
    }

    /// A new batch; what was known of the last one is forgotten.
    pub(super) fn begin(&self, queue: &QueueName, batch: &[Delivery]) {
        let open = |delivery: &Delivery| {
            let message =
                Message { queue: queue.clone(), id: delivery.message_id.clone(), state: State::Open };
            (delivery.receipt.clone(), message)
        };
        *self.batch() = batch.iter().map(open).collect();
    }

    /// The ids of the messages that are not dealt with: they come again.
    pub(super) fn open(&self) -> Vec<String> {
        let batch = self.batch();
        batch
            .values()
            .filter(|message| message.state == State::Open)
            .map(|message| message.id.clone())
            .collect()
    }

    /// Deletes what is dealt with while the rest of the batch takes its time: should the function die in it, these are
    /// not delivered again, and their receives do not count towards a suspicion (G9).
    pub(super) async fn delete_early(&self) {
        let mut done: HashMap<QueueName, Vec<Receipt>> = HashMap::new();
        for (receipt, message) in self.batch().iter_mut().filter(|(_, message)| message.state == State::Done)
        {
            message.state = State::Deleted;
            done.entry(message.queue.clone()).or_default().push(receipt.clone());
        }
        for (queue, receipts) in done {
            if let Err(error) = self.queues.delete(&queue, &receipts).await {
                tracing::warn!(%queue, %error, "finished messages could not be deleted early; Lambda deletes them");
            }
        }
    }

    fn batch(&self) -> MutexGuard<'_, HashMap<Receipt, Message>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queues for Acknowledgements {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        self.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.queues.receive(queue, max, wait, visibility).await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        let mut others = Vec::new();
        {
            let mut batch = self.batch();
            for receipt in receipts {
                match batch.get_mut(receipt) {
                    Some(message) if message.state == State::Open => message.state = State::Done,
                    Some(_) => {}
                    None => others.push(receipt.clone()),
                }
            }
        }
        if others.is_empty() { Ok(()) } else { self.queues.delete(queue, &others).await }
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
