//! Bodies that go through the bucket, as those of more than 1 MB do on SQS; some worlds carry far less in a message.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::Namespace;
use millrace_engine::ports::{
    Bodies, BodyRead, BodyStore, Condition, LargeBodies, ObjectStore, OutMessage, Ports, PutError, StoreError,
};
use millrace_format::Keys;

/// The largest message of this world, in bytes: in every tenth world the longer half of all go through the bucket, and in
/// another tenth nearly all of them. One of the two has large payloads as well.
pub(crate) fn largest_message(seed: u64) -> Option<usize> {
    match seed % 10 {
        2 => Some(220),
        7 => Some(90),
        _ => None,
    }
}

/// A bucket that holds bodies.
pub struct Bucket(Arc<dyn ObjectStore>);

#[async_trait]
impl BodyStore for Bucket {
    async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PutError> {
        self.0.put(key, body, Condition::Always).await.map(drop)
    }

    async fn read_body(&self, key: &str, most_bytes: u64) -> Result<BodyRead, StoreError> {
        let Some(stored) = self.0.get(key).await? else { return Ok(BodyRead::Absent) };
        let is_large = stored.body.len() as u64 > most_bytes;
        Ok(if is_large { BodyRead::TooLarge } else { BodyRead::Body(stored.body) })
    }
}

/// The bodies that lie in this bucket.
pub fn of(store: Arc<dyn ObjectStore>) -> Bodies<Bucket> {
    Bodies::new(Bucket(store), Keys::new(Namespace::default()))
}

/// The ports of a process whose bodies go through the bucket if they are larger than that: what is stored, and what points
/// there, as its own faults leave it.
pub fn through_the_bucket(ports: &Ports, largest_message: usize) -> Ports {
    let is_large = move |message: &OutMessage| message.body.len() > largest_message;
    let queues = LargeBodies::new(ports.queues.clone(), of(ports.store.clone()), is_large);
    Ports { queues: Arc::new(queues), ..ports.clone() }
}
