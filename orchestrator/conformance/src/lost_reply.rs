//! An object store whose next write happens but is not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::ports::{Condition, DeleteError, ETag, ObjectStore, PutError, StoreError, Stored};

/// Loses the reply of the next put after [`LostReply::lose_next`].
pub struct LostReply {
    store: Arc<dyn ObjectStore>,
    lose: AtomicBool,
}

impl LostReply {
    /// Between the caller and its store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, lose: AtomicBool::new(false) }
    }

    /// The next put is written if its condition holds, and answers [`PutError::Unknown`] whatever happened.
    pub fn lose_next(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl ObjectStore for LostReply {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        let reply = self.store.put(key, body, condition).await;
        if self.lose.swap(false, Ordering::SeqCst) {
            return Err(PutError::Unknown("the reply was lost".into()));
        }
        reply
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.store.delete_if(key, version).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix, after, before, limit).await
    }
}
