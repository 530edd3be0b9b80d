//! The object store and the queues in memory, for tests and for the simulation.
//!
//! What holds: every operation happens at once and in one order, and nothing in here reads a clock, draws a random
//! number or starts a thread, so a seeded executor replays it exactly. Nothing survives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::Timestamp;
use millrace_engine::ports::{
    Clock, Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored,
};

use crate::arrivals::{Arrivals, Attempt};
use crate::state::{QueueConfig, State};

/// Objects and queues in memory.
pub struct Memory {
    inner: Mutex<Inner>,
    arrivals: Arrivals,
    clock: Arc<dyn Clock>,
    batch_limit: usize,
}

struct Inner {
    objects: BTreeMap<String, Object>,
    queues: State,
}

struct Object {
    body: Bytes,
    version: u64,
    written_at: Timestamp,
}

impl Memory {
    /// An empty store whose calls carry up to 256 messages, as the embedded one's do.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_batch_limit(clock, 256)
    }

    /// An empty store with another batch limit; SQS's is 10.
    pub fn with_batch_limit(clock: Arc<dyn Clock>, batch_limit: usize) -> Arc<Self> {
        let inner = Inner { objects: BTreeMap::new(), queues: State::new(0, false) };
        Arc::new(Self { inner: Mutex::new(inner), arrivals: Arrivals::default(), clock, batch_limit })
    }

    /// Sets how often a message of this queue may be received before it goes to the dead-letter queue.
    pub fn configure(&self, queue: &QueueName, config: QueueConfig) {
        self.lock().queues.configure(queue, config);
    }

    /// How many messages a queue holds: ready, delayed and in flight.
    pub fn messages_in(&self, queue: &QueueName) -> usize {
        self.lock().queues.len(queue)
    }

    /// How many messages all queues hold, by queue; empty queues are left out.
    pub fn all_messages(&self) -> BTreeMap<QueueName, usize> {
        self.lock().queues.counts()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_receive(
        &self,
        queue: &QueueName,
        max: usize,
        visibility: Duration,
        now: Timestamp,
    ) -> Attempt<Vec<Delivery>> {
        let mut inner = self.lock();
        let before = inner.queues.next_due(queue);
        let received = inner.queues.receive(queue, max, visibility, now, &mut ());
        let next_due = inner.queues.next_due(queue);
        drop(inner);
        if received.dead > 0 {
            self.arrivals.one(&queue.dead_letters());
        }
        if received.messages.is_empty() {
            return Attempt::Empty(next_due);
        }
        if received.more {
            self.arrivals.one(queue);
        }
        self.arrivals.hidden_until(queue, now.plus(visibility), before, now);
        Attempt::Done(received.messages.into_iter().map(|taken| taken.into_delivery()).collect())
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let now = self.clock.now();
        let inner = self.lock();
        Ok(inner.objects.get(key).map(|object| Stored {
            body: object.body.clone(),
            etag: ETag(object.version.to_string()),
            age: now.since(object.written_at),
        }))
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        let written_at = self.clock.now();
        let mut inner = self.lock();
        condition_holds(&condition, inner.objects.get(key).map(|object| object.version))?;
        let version = inner.queues.next_seq();
        inner.objects.insert(key.to_owned(), Object { body, version, written_at });
        Ok(ETag(version.to_string()))
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.lock().objects.remove(key);
        Ok(())
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        let mut inner = self.lock();
        if is_version(version, inner.objects.get(key).map(|object| object.version))? {
            inner.objects.remove(key);
        }
        Ok(())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let inner = self.lock();
        let keys = inner.objects.range::<str, _>((start, Bound::Unbounded)).map(|(key, _)| key);
        let in_range =
            |key: &&String| key.starts_with(prefix) && before.is_none_or(|before| key.as_str() < before);
        Ok(keys.take_while(in_range).take(limit).cloned().collect())
    }
}

/// Whether a write may happen, given the version that the key has now.
pub(crate) fn condition_holds(condition: &Condition, current: Option<u64>) -> Result<(), PutError> {
    match (condition, current) {
        (Condition::Always, _) | (Condition::Absent, None) => Ok(()),
        (Condition::Matches(_), None) => Err(PutError::Gone),
        (Condition::Matches(etag), Some(version)) if etag.0 == version.to_string() => Ok(()),
        (Condition::Absent | Condition::Matches(_), Some(_)) => Err(PutError::Conflict),
    }
}

/// Whether there is something to delete, given the version that the key has now.
pub(crate) fn is_version(wanted: &ETag, current: Option<u64>) -> Result<bool, DeleteError> {
    match current {
        None => Ok(false),
        Some(version) if wanted.0 == version.to_string() => Ok(true),
        Some(_) => Err(DeleteError::Conflict),
    }
}

#[async_trait]
impl Queues for Memory {
    fn batch_limit(&self) -> usize {
        self.batch_limit
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        let now = self.clock.now();
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            let visible_at = now.plus(message.delay);
            let mut inner = self.lock();
            let before = inner.queues.next_due(queue);
            let sent = inner.queues.send(queue, message, now, &mut ());
            drop(inner);
            if sent.is_ok() {
                self.arrivals.hidden_until(queue, visible_at, before, now);
            }
            results.push(sent.map(|_| ()));
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
        let max = max.min(self.batch_limit);
        let attempt = |now| self.try_receive(queue, max, visibility, now);
        Ok(self.arrivals.long_poll(queue, self.clock.as_ref(), wait, attempt).await)
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        for receipt in receipts {
            inner.queues.delete(queue, receipt, now, &mut ());
        }
        Ok(())
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let before = inner.queues.next_due(queue);
        inner.queues.change_visibility(queue, receipt, visibility, now, &mut ())?;
        drop(inner);
        self.arrivals.hidden_until(queue, now.plus(visibility), before, now);
        Ok(())
    }

    /// Nothing here survives a crash.
    async fn settle(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
