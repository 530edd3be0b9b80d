//! A process that does not run for a while: its calls and its sleeps wait until it is thawed. And a store that takes
//! its time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{
    Clock, Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError,
    QueueName, Queues, Receipt, SendError, StoreError, Stored,
};

/// Holds back what one process does.
pub struct Gate {
    inner: Ports,
    state: Arc<State>,
    latency: Duration,
}

#[derive(Default)]
struct State {
    closed_until: Mutex<Timestamp>,
    freeze_before: Mutex<Option<(&'static str, usize, Duration)>>,
}

impl Gate {
    pub fn wrap(ports: &Ports) -> (Arc<Self>, Ports) {
        Self::slow(ports, Duration::ZERO)
    }

    /// Every call to the store takes this long, before and after it acts.
    pub fn slow(ports: &Ports, latency: Duration) -> (Arc<Self>, Ports) {
        let gate = Arc::new(Self { inner: ports.clone(), state: Arc::default(), latency });
        let wrapped =
            Ports { store: gate.clone(), queues: gate.clone(), clock: gate.clone(), ..ports.clone() };
        (gate, wrapped)
    }

    /// The process does not run for this long.
    pub fn freeze(&self, time: Duration) {
        *self.state.closed_until.lock().unwrap() = self.inner.clock.now().plus(time);
    }

    /// The process stops for this long just before its next call of this kind: `put`, `send`, `delete`, `settle`.
    pub fn freeze_before(&self, call: &'static str, time: Duration) {
        self.freeze_before_nth(call, 0, time);
    }

    /// The same, after `passing` calls of this kind have passed.
    pub fn freeze_before_nth(&self, call: &'static str, passing: usize, time: Duration) {
        *self.state.freeze_before.lock().unwrap() = Some((call, passing, time));
    }

    async fn pass(&self, call: &str) {
        let planned = {
            let mut planned = self.state.freeze_before.lock().unwrap();
            match &mut *planned {
                Some((name, 0, _)) if *name == call => planned.take(),
                Some((name, passing, _)) if *name == call => {
                    *passing -= 1;
                    None
                }
                _ => None,
            }
        };
        if let Some((.., time)) = planned {
            self.freeze(time);
        }
        open(&self.inner.clock, &self.state).await;
    }

    async fn slowly<T>(&self, call: &str, act: impl Future<Output = T>) -> T {
        self.pass(call).await;
        if self.latency.is_zero() {
            return act.await;
        }
        let clock = &self.inner.clock;
        clock.sleep_until(clock.now().plus(self.latency)).await;
        let answer = act.await;
        clock.sleep_until(clock.now().plus(self.latency)).await;
        answer
    }
}

async fn open(clock: &Arc<dyn Clock>, state: &State) {
    loop {
        let until = *state.closed_until.lock().unwrap();
        if until <= clock.now() {
            return;
        }
        clock.sleep_until(until).await;
    }
}

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let (clock, state) = (self.inner.clock.clone(), self.state.clone());
        async move {
            clock.sleep_until(time).await;
            open(&clock, &state).await;
        }
        .boxed()
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.slowly("get", self.inner.store.get(key)).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.slowly("put", self.inner.store.put(key, body, condition)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.slowly("delete", self.inner.store.delete(key)).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.slowly("delete_if", self.inner.store.delete_if(key, version)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.slowly("list", self.inner.store.list(prefix, after, before, limit)).await
    }
}

#[async_trait]
impl Queues for Gate {
    fn batch_limit(&self) -> usize {
        self.inner.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        self.pass("send").await;
        self.inner.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.pass("receive").await;
        let received = self.inner.queues.receive(queue, max, wait, visibility).await;

        open(&self.inner.clock, &self.state).await;
        received
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.pass("delete").await;
        self.inner.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        self.pass("change_visibility").await;
        self.inner.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.pass("settle").await;
        self.inner.queues.settle().await
    }
}
