//! Ports that misbehave, in every way that the guarantees G2 to G7 and G11 allow for, and in no other.
//!
//! What holds: an accepted message is never lost for good, a confirmed write is never undone. What is drawn comes from
//! the [`Injector`]'s seed alone, so on a deterministic executor a seed reproduces every fault.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::ports::{
    Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored,
};

use crate::injector::{Fault, Injector};

const LONGEST_DELAY: Duration = <dyn Queues>::LONGEST_DELAY;
const LONGEST_STALL: Duration = Duration::from_secs(6 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// The ports of one process, with faults. A crash calls back, and the call that crashed never resolves: whoever
/// simulates drops the tasks of that process.
pub struct Faulty {
    store: Arc<dyn ObjectStore>,
    queues: Arc<dyn Queues>,
    injector: Arc<Injector>,
    /// Set by a crash: nothing that the process still does within its last step reaches the world.
    dead: AtomicBool,
    on_crash: Box<dyn Fn() + Send + Sync>,
}

impl Faulty {
    /// Puts faults between a process and its ports.
    pub fn wrap(
        ports: &Ports,
        injector: Arc<Injector>,
        on_crash: impl Fn() + Send + Sync + 'static,
    ) -> Ports {
        let (store, queues) = (ports.store.clone(), ports.queues.clone());
        let faulty = Arc::new(Self {
            store,
            queues,
            injector,
            dead: AtomicBool::new(false),
            on_crash: Box::new(on_crash),
        });
        Ports { store: faulty.clone(), queues: faulty, ..ports.clone() }
    }

    fn happens(&self, fault: Fault) -> bool {
        self.injector.happens(fault)
    }

    async fn crash_point(&self, fault: Fault) {
        if self.dead.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        if self.happens(fault) {
            self.dead.store(true, Ordering::SeqCst);
            (self.on_crash)();
            pending::<()>().await;
        }
    }

    /// A call between its two crash points, which may also fail without doing anything.
    async fn call<T, E>(&self, unavailable: E, act: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.crash_point(Fault::CrashBefore).await;
        if self.happens(Fault::Unavailable) {
            return Err(unavailable);
        }
        let result = act.await;
        self.crash_point(Fault::CrashAfter).await;
        result
    }

    async fn put_with_faults(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        if self.happens(Fault::PutConflict) {
            // Nobody may be told of a conflict who asked for no condition.
            return Err(if condition == Condition::Always { PutError::Busy } else { PutError::Conflict });
        }
        if self.happens(Fault::PutBusy) {
            return Err(PutError::Busy);
        }
        if self.happens(Fault::PutLost) {
            return Err(PutError::Unknown("injected: the write was lost".into()));
        }
        let result = self.store.put(key, body, condition).await;
        if self.happens(Fault::PutReplyLost) {
            return Err(PutError::Unknown("injected: the reply was lost".into()));
        }
        result
    }

    async fn delete_if_with_faults(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        if self.happens(Fault::PutConflict) {
            return Err(DeleteError::Conflict);
        }
        let result = self.store.delete_if(key, version).await;
        if self.happens(Fault::PutReplyLost) {
            return Err(store_unavailable().into());
        }
        result
    }

    async fn send_one(&self, queue: &QueueName, mut message: OutMessage) -> Result<(), SendError> {
        if self.happens(Fault::Unavailable) {
            return Err(queue_unavailable(queue));
        }
        if self.happens(Fault::Duplicate) {
            let delay = self.injector.duration(LONGEST_DELAY);
            let duplicate = OutMessage { delay: delay.max(message.delay), ..message.clone() };
            self.queues.send(queue, vec![duplicate]).await;
        }
        if self.happens(Fault::Delay) {
            message.delay = message.delay.max(self.injector.duration(LONGEST_DELAY));
        }
        let sent = self.queues.send(queue, vec![message]).await.pop().unwrap_or(Ok(()));
        if self.happens(Fault::SendReplyLost) {
            return Err(queue_unavailable(queue));
        }
        sent
    }

    /// Whether this delivery is lost; if so, it comes again sooner or later.
    async fn is_lost(&self, queue: &QueueName, delivery: &Delivery) -> bool {
        if self.happens(Fault::DropDelivery) {
            return true;
        }
        if self.happens(Fault::Stall) {
            let stall = self.injector.duration(LONGEST_STALL);
            return self.queues.change_visibility(queue, &delivery.receipt, stall).await.is_ok();
        }
        false
    }

    async fn receive_with_faults(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.queues.receive(queue, max, wait, visibility).await?;
        let mut kept = Vec::with_capacity(received.len());
        for delivery in received {
            if !self.is_lost(queue, &delivery).await {
                kept.push(delivery);
            }
        }
        if kept.len() > 1 && self.happens(Fault::Reorder) {
            self.injector.shuffle(&mut kept);
        }
        Ok(kept)
    }

    async fn delete_with_faults(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        let mut effective = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            if self.happens(Fault::DeleteWithoutEffect) {
                // A void receipt would have deleted nothing either.
                let again = self.injector.duration(MINUTE);
                let _ = self.queues.change_visibility(queue, receipt, again).await;
            } else {
                effective.push(receipt.clone());
            }
        }
        self.queues.delete(queue, &effective).await
    }
}

fn store_unavailable() -> StoreError {
    StoreError::Unavailable("injected".into())
}

fn queue_unavailable(queue: &QueueName) -> QueueError {
    QueueError::Unavailable { queue: queue.to_string(), reason: "injected".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.call(store_unavailable(), self.store.get(key)).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.call(store_unavailable().into(), self.put_with_faults(key, body, condition)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.call(store_unavailable(), self.store.delete(key)).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.call(store_unavailable().into(), self.delete_if_with_faults(key, version)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.call(store_unavailable(), self.store.list(prefix, after, before, limit)).await
    }
}

#[async_trait]
impl Queues for Faulty {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        self.crash_point(Fault::CrashBefore).await;
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            // One by one: a crash may leave half of a batch sent.
            results.push(self.send_one(queue, message).await);
            self.crash_point(Fault::CrashAfter).await;
        }
        results
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.call(queue_unavailable(queue), self.receive_with_faults(queue, max, wait, visibility)).await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.call(queue_unavailable(queue), self.delete_with_faults(queue, receipts)).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let change = self.queues.change_visibility(queue, receipt, visibility);
        self.call(queue_unavailable(queue), change).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.call(queue_unavailable(&QueueName::from("all")), self.queues.settle()).await
    }
}
