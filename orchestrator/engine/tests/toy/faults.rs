//! Faults on demand: the next write or the next send goes wrong in a way the test names.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::ports::{
    Condition, DeleteError, Delivery, ETag, ObjectStore, OutMessage, Ports, PutError, QueueError, QueueName,
    Queues, Receipt, SendError, StoreError, Stored,
};

/// What the next write of a history does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Write {
    /// It happens.
    Through,
    /// It does not happen, because something is there, which is not so (a 412 that is wrong).
    Refused,
    /// It happens, and the reply is lost.
    ReplyLost,
    /// It does not happen, and nobody knows.
    Lost,
    /// Another write is in flight (409).
    Busy,
    /// The store is down.
    Down,
}

/// Ports whose next calls go wrong.
pub struct Faulty {
    inner: Ports,
    pub writes: Mutex<VecDeque<Write>>,
    /// How many sends to a queue fail from now on.
    pub sends_fail: Mutex<usize>,
    /// Sends that went through: queue and body.
    pub sent: Mutex<Vec<(QueueName, String)>>,
}

impl Faulty {
    pub fn wrap(ports: &Ports) -> (Arc<Self>, Ports) {
        let faulty = Arc::new(Self {
            inner: ports.clone(),
            writes: Mutex::default(),
            sends_fail: Mutex::default(),
            sent: Mutex::default(),
        });
        let wrapped = Ports { store: faulty.clone(), queues: faulty.clone(), ..ports.clone() };
        (faulty, wrapped)
    }

    pub fn next_write(&self, write: Write) {
        self.writes.lock().unwrap().push_back(write);
    }

    /// How many messages went to a queue.
    pub fn sent_to(&self, queue: &str) -> usize {
        self.sent.lock().unwrap().iter().filter(|(name, _)| name.as_str() == queue).count()
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.inner.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        let fault = if key.ends_with("/history") { self.writes.lock().unwrap().pop_front() } else { None };
        match fault {
            None | Some(Write::Through) => self.inner.store.put(key, body, condition).await,
            Some(Write::Refused) => Err(PutError::Conflict),
            Some(Write::ReplyLost) => {
                self.inner.store.put(key, body, condition).await?;
                Err(PutError::Unknown("the reply was lost".into()))
            }
            Some(Write::Lost) => Err(PutError::Unknown("no answer".into())),
            Some(Write::Busy) => Err(PutError::Busy),
            Some(Write::Down) => Err(PutError::Store(StoreError::Unavailable("503 SlowDown".into()))),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.inner.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.store.list(prefix, after, before, limit).await
    }
}

#[async_trait]
impl Queues for Faulty {
    fn batch_limit(&self) -> usize {
        self.inner.queues.batch_limit()
    }

    async fn send(&self, queue: &QueueName, messages: Vec<OutMessage>) -> Vec<Result<(), SendError>> {
        {
            let mut failing = self.sends_fail.lock().unwrap();
            if *failing > 0 {
                *failing -= 1;
                let down = QueueError::Unavailable { queue: queue.to_string(), reason: "throttled".into() };
                return messages.iter().map(|_| Err(down.clone())).collect();
            }
        }
        self.sent.lock().unwrap().extend(messages.iter().map(|m| (queue.clone(), m.body.clone())));
        self.inner.queues.send(queue, messages).await
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.inner.queues.receive(queue, max, wait, visibility).await
    }

    async fn delete(&self, queue: &QueueName, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.inner.queues.delete(queue, receipts).await
    }

    async fn change_visibility(
        &self,
        queue: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        self.inner.queues.change_visibility(queue, receipt, visibility).await
    }

    async fn settle(&self) -> Result<(), QueueError> {
        self.inner.queues.settle().await
    }
}
