//! A store that notes which keys were read and written.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::ports::{
    Condition, DeleteError, ETag, ObjectStore, Ports, PutError, StoreError, Stored,
};

pub struct Watched {
    store: Arc<dyn ObjectStore>,
    seen: Mutex<Vec<String>>,
}

impl Watched {
    pub fn wrap(ports: &Ports) -> (Arc<Self>, Ports) {
        let watched = Arc::new(Self { store: ports.store.clone(), seen: Mutex::default() });
        (watched.clone(), Ports { store: watched, ..ports.clone() })
    }

    /// What was done since the last time: `get` or `put`, and what lies under the key.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    fn note(&self, what: &str, key: &str) {
        let kind = match key.split('/').collect::<Vec<_>>()[..] {
            [.., "payload", _] => "payload",
            [.., "events", _] => "part",
            [_, "workflow", _, _, "history"] => "history",
            [_, "workflow", _, _, _, "history"] => "archive",
            [_, "index", ..] => "index",
            _ => key,
        };
        self.seen.lock().unwrap().push(format!("{what} {kind}"));
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.note("get", key);
        self.store.get(key).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.note("put", key);
        self.store.put(key, body, condition).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.note("delete", key);
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &str, etag: &ETag) -> Result<(), DeleteError> {
        self.note("delete", key);
        self.store.delete_if(key, etag).await
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
