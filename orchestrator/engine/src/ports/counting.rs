//! Counts the calls to the object store and the queues: they are the user's bill.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use super::{
    Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored,
};

/// Calls made so far. Sends, receives and deletes are counted by message and by call (one call carries a batch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each field is named after the call it counts")]
pub struct CallCounts {
    pub gets: u64,
    pub puts: u64,
    pub puts_failed: u64,
    pub deletes: u64,
    pub lists: u64,
    pub sends: u64,
    pub messages_sent: u64,
    pub receives: u64,
    pub receives_empty: u64,
    pub messages_received: u64,
    pub queue_deletes: u64,
    pub messages_deleted: u64,
    pub visibility_changes: u64,
}

macro_rules! counters {
    ($($field:ident),* $(,)?) => {
        #[derive(Default)]
        struct Counters { $($field: AtomicU64),* }

        impl Counters {
            fn read(&self) -> CallCounts {
                CallCounts { $($field: self.$field.load(Ordering::Relaxed)),* }
            }
        }

        impl std::ops::AddAssign for CallCounts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }

        impl std::ops::Sub for CallCounts {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self { $($field: self.$field - earlier.$field),* }
            }
        }
    };
}

counters!(
    gets,
    puts,
    puts_failed,
    deletes,
    lists,
    sends,
    messages_sent,
    receives,
    receives_empty,
    messages_received,
    queue_deletes,
    messages_deleted,
    visibility_changes,
);

/// A store and queues whose calls are counted.
pub struct Counting {
    store: Arc<dyn ObjectStore>,
    queues: Arc<dyn Queues>,
    counters: Counters,
}

impl Counting {
    /// Puts counters between the engine and its ports.
    pub fn wrap(ports: &Ports) -> (Arc<Self>, Ports) {
        let (store, queues) = (ports.store.clone(), ports.queues.clone());
        let counting = Arc::new(Self { store, queues, counters: Counters::default() });
        let wrapped = Ports { store: counting.clone(), queues: counting.clone(), ..ports.clone() };
        (counting, wrapped)
    }

    /// The calls so far.
    pub fn counts(&self) -> CallCounts {
        self.counters.read()
    }
}

fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

#[async_trait]
impl ObjectStore for Counting {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        add(&self.counters.gets, 1);
        self.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        add(&self.counters.puts, 1);
        let result = self.store.put(key, body, condition).await;
        add(&self.counters.puts_failed, usize::from(result.is_err()));
        result
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        add(&self.counters.deletes, 1);
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        add(&self.counters.deletes, 1);
        self.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let keys = self.store.list(prefix, after, before, limit).await;
        // S3 gives at most 1,000 keys a call.
        add(&self.counters.lists, keys.as_ref().map_or(0, Vec::len).div_ceil(1_000).max(1));
        keys
    }
}

#[async_trait]
impl Queues for Counting {
    fn batch_limit(&self) -> usize {
        self.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        add(&self.counters.sends, messages.len().div_ceil(self.batch_limit()));
        add(&self.counters.messages_sent, messages.len());
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
        let empty = usize::from(received.is_empty());
        add(&self.counters.receives, 1 - empty);
        add(&self.counters.receives_empty, empty);
        add(&self.counters.messages_received, received.len());
        Ok(received)
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        add(&self.counters.queue_deletes, receipts.len().div_ceil(self.batch_limit()));
        add(&self.counters.messages_deleted, receipts.len());
        self.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        add(&self.counters.visibility_changes, 1);
        self.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.queues.settle().await
    }
}
