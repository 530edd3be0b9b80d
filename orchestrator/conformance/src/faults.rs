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
    Clock, Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError,
    QueueName, Queues, Receipt, SendError, StoreError, Stored,
};

use crate::injector::{Fault, Injector};
use crate::sim::Process;

const LONGEST_DELAY: Duration = <dyn Queues>::LONGEST_DELAY;
const LONGEST_STALL: Duration = Duration::from_secs(6 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any lease and any visibility.
const LONGEST_FREEZE: Duration = Duration::from_secs(3600);
/// A caller waits no longer for an answer: what would come later is a lost reply.
const SLOWEST: Duration = Duration::from_secs(15);

/// The ports of one process, with faults. A crash calls back, and the call that crashed never resolves: whoever
/// simulates drops the tasks of that process.
pub struct Faulty {
    store: Arc<dyn ObjectStore>,
    queues: Arc<dyn Queues>,
    clock: Arc<dyn Clock>,
    injector: Arc<Injector>,
    /// Set by a crash: nothing that the process still does within its last step reaches the world.
    dead: AtomicBool,
    on_crash: Box<dyn Fn() + Send + Sync>,
    /// Whose ports they are, where it can be frozen and has a network that outlives it.
    process: Option<Process>,
}

impl Faulty {
    /// Puts faults between a process and its ports: all but those that need to know the process.
    pub fn wrap(
        ports: &Ports,
        injector: Arc<Injector>,
        on_crash: impl Fn() + Send + Sync + 'static,
    ) -> Ports {
        Self::between(ports, injector, on_crash, None)
    }

    /// Puts all faults between a simulated process and its ports. Its clock may be wrong.
    pub fn of_process(ports: &Ports, injector: Arc<Injector>, process: &Process) -> Ports {
        let mut ports = ports.clone();
        if injector.happens(process.name(), Fault::ClockSkew, || process.name().to_owned()) {
            let (offset_ms, ppm) = injector.detail(process.name(), |rng| {
                let (offset_ms, ppm) = (rng.below(240_000) as i64 - 120_000, rng.below(1_400) as i64 - 700);
                (offset_ms, ppm)
            });
            ports.clock = process.sim().skewed_clock(offset_ms, ppm);
        }
        let dying = process.clone();
        Self::between(&ports, injector, move || dying.kill(), Some(process.clone()))
    }

    fn between(
        ports: &Ports,
        injector: Arc<Injector>,
        on_crash: impl Fn() + Send + Sync + 'static,
        process: Option<Process>,
    ) -> Ports {
        let faulty = Arc::new(Self {
            store: ports.store.clone(),
            queues: ports.queues.clone(),
            clock: ports.clock.clone(),
            injector,
            dead: AtomicBool::new(false),
            on_crash: Box::new(on_crash),
            process,
        });
        Ports { store: faulty.clone(), queues: faulty, ..ports.clone() }
    }

    fn name(&self) -> &str {
        self.process.as_ref().map_or("", Process::name)
    }

    fn happens(&self, fault: Fault, what: &str) -> bool {
        self.injector.happens(self.name(), fault, || format!("{} {what}", self.clock.now()))
    }

    fn duration(&self, longest: Duration) -> Duration {
        self.injector.duration(self.name(), longest)
    }

    async fn pause(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now().plus(time)).await;
    }

    async fn crash_point(&self, fault: Fault, what: &str) {
        if self.dead.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
        if self.happens(fault, what) {
            self.dead.store(true, Ordering::SeqCst);
            (self.on_crash)();
            pending::<()>().await;
        }
        if let Some(process) = &self.process
            && self.happens(Fault::Freeze, what)
        {
            process.freeze(self.duration(LONGEST_FREEZE)).await;
        }
    }

    /// A call between its two crash points, which may also be slow, or fail without doing anything.
    async fn call<T, E>(
        &self,
        what: &str,
        unavailable: E,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.crash_point(Fault::CrashBefore, what).await;
        if self.happens(Fault::Unavailable, what) {
            return Err(unavailable);
        }
        if self.happens(Fault::SlowRequest, what) {
            self.pause(self.duration(SLOWEST)).await;
        }
        let result = act.await;
        if self.happens(Fault::SlowReply, what) {
            self.pause(self.duration(SLOWEST)).await;
        }
        self.crash_point(Fault::CrashAfter, what).await;
        result
    }

    /// The write happens when nobody waits for it any more.
    fn put_late(&self, process: &Process, key: &str, body: Bytes, condition: Condition) {
        let (store, key, late) = (self.store.clone(), key.to_owned(), self.duration(2 * MINUTE));
        let clock = process.sim().clock();
        process.sim().process("network").spawn(async move {
            clock.sleep_until(clock.now().plus(late)).await;
            // Whether it came about, nobody learns.
            let _ = store.put(&key, body, condition).await;
        });
    }

    async fn put_with_faults(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        if self.happens(Fault::PutConflict, key) {
            // Nobody may be told of a conflict who asked for no condition.
            return Err(if condition == Condition::Always { PutError::Busy } else { PutError::Conflict });
        }
        if self.happens(Fault::PutBusy, key) {
            return Err(PutError::Busy);
        }
        if self.happens(Fault::PutLost, key) {
            return Err(PutError::Unknown("injected: the write was lost".into()));
        }
        if let Some(process) = &self.process
            && self.happens(Fault::PutLate, key)
        {
            self.put_late(process, key, body, condition);
            return Err(PutError::Unknown("injected: the write is on its way".into()));
        }
        let result = self.store.put(key, body, condition).await;
        if self.happens(Fault::PutReplyLost, key) {
            return Err(PutError::Unknown("injected: the reply was lost".into()));
        }
        result
    }

    async fn delete_if_with_faults(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        if self.happens(Fault::PutConflict, key) {
            return Err(DeleteError::Conflict);
        }
        let result = self.store.delete_if(key, version).await;
        if self.happens(Fault::PutReplyLost, key) {
            return Err(store_unavailable().into());
        }
        result
    }

    async fn send_one(&self, queue: &QueueName, mut message: OutMessage) -> Result<(), SendError> {
        if self.happens(Fault::Unavailable, queue.as_str()) {
            return Err(queue_unavailable(queue));
        }
        if self.happens(Fault::Duplicate, queue.as_str()) {
            let delay = self.duration(LONGEST_DELAY);
            let duplicate = OutMessage { delay: delay.max(message.delay), ..message.clone() };
            self.queues.send(queue, vec![duplicate]).await;
        }
        if self.happens(Fault::Delay, queue.as_str()) {
            message.delay = message.delay.max(self.duration(LONGEST_DELAY));
        }
        let sent = self.queues.send(queue, vec![message]).await.pop().unwrap_or(Ok(()));
        if self.happens(Fault::SendReplyLost, queue.as_str()) {
            return Err(queue_unavailable(queue));
        }
        sent
    }

    /// Whether this delivery is lost; if so, it comes again sooner or later.
    async fn is_lost(&self, queue: &QueueName, delivery: &Delivery) -> bool {
        if self.happens(Fault::DropDelivery, queue.as_str()) {
            return true;
        }
        if self.happens(Fault::Stall, queue.as_str()) {
            let stall = self.duration(LONGEST_STALL);
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
        if kept.len() > 1 && self.happens(Fault::Reorder, queue.as_str()) {
            self.injector.shuffle(self.name(), &mut kept);
        }
        Ok(kept)
    }

    async fn delete_with_faults(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        let mut effective = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            if self.happens(Fault::DeleteWithoutEffect, queue.as_str()) {
                // A void receipt would have deleted nothing either.
                let again = self.duration(MINUTE);
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
        self.call(key, store_unavailable(), self.store.get(key)).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.call(key, store_unavailable().into(), self.put_with_faults(key, body, condition)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.call(key, store_unavailable(), self.store.delete(key)).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.call(key, store_unavailable().into(), self.delete_if_with_faults(key, version)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.call(prefix, store_unavailable(), self.store.list(prefix, after, before, limit)).await
    }
}

#[async_trait]
impl Queues for Faulty {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        self.crash_point(Fault::CrashBefore, queue.as_str()).await;
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            // One by one: a crash may leave half of a batch sent.
            results.push(self.send_one(queue, message).await);
            self.crash_point(Fault::CrashAfter, queue.as_str()).await;
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
        self.call(
            queue.as_str(),
            queue_unavailable(queue),
            self.receive_with_faults(queue, max, wait, visibility),
        )
        .await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.call(queue.as_str(), queue_unavailable(queue), self.delete_with_faults(queue, receipts)).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let change = self.queues.change_visibility(queue, receipt, visibility);
        self.call(queue.as_str(), queue_unavailable(queue), change).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.call("all", queue_unavailable(&QueueName::from("all")), self.queues.settle()).await
    }
}
