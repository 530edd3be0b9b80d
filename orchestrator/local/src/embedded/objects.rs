//! The object store's side: what is pending lies over what is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::ports::{Condition, DeleteError, ETag, ObjectStore, PutError, StoreError, Stored};

use super::batch::Object;
use super::journal::JournalError;
use super::{Embedded, Inner, Shared};
use crate::memory::{condition_holds, is_version};

#[async_trait]
impl ObjectStore for Embedded {
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let now = self.shared.clock.now();
        let object = self.shared.object(key).map_err(unavailable)?;
        Ok(object.map(|object| Stored {
            age: now.since(object.written_at),
            etag: ETag(object.version.to_string()),
            body: object.body,
        }))
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError> {
        self.shared.room().await.map_err(StoreError::Unavailable)?;
        let written_at = self.shared.clock.now();
        self.shared.change(|inner| {
            if condition != Condition::Always {
                let current = self.shared.version(inner, key).map_err(unavailable)?;
                condition_holds(&condition, current)?;
            }
            let version = inner.queues.next_seq();
            inner.set_object(key, Some(Object { version, written_at, body }));
            Ok(ETag(version.to_string()))
        })
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.shared.room().await.map_err(StoreError::Unavailable)?;
        self.shared.change(|inner| {
            inner.queues.next_seq();
            inner.set_object(key, None);
        });
        Ok(())
    }

    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError> {
        self.shared.room().await.map_err(StoreError::Unavailable)?;
        self.shared.change(|inner| {
            let current = self.shared.version(inner, key).map_err(unavailable)?;
            if is_version(version, current)? {
                inner.queues.next_seq();
                inner.set_object(key, None);
            }
            Ok(())
        })
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.shared.list(prefix, after, before, limit).map_err(unavailable)
    }
}

fn unavailable(error: JournalError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl Inner {
    fn set_object(&mut self, key: &str, object: Option<Object>) {
        let key: Arc<str> = key.into();
        self.versions.set(key.clone(), object.as_ref().map(|object| object.version));
        self.pending.set_object(key, object);
    }

    /// What memory says about a key: pending, else just being written.
    fn unwritten(&self, key: &str) -> Option<Option<Object>> {
        let writing = || self.writing.as_ref().and_then(|batch| batch.object(key));
        self.pending.object(key).or_else(writing).map(Option::<&Object>::cloned)
    }
}

impl Shared {
    /// The key's version now. Reads the disk only for a key that is neither pending nor warm.
    fn version(&self, inner: &mut Inner, key: &str) -> Result<Option<u64>, JournalError> {
        if let Some(version) = inner.versions.get(key) {
            return Ok(version);
        }
        let version = match inner.unwritten(key) {
            Some(object) => object.map(|object| object.version),
            None => self.reader.version(key)?,
        };
        inner.versions.set(key.into(), version);
        Ok(version)
    }

    fn object(&self, key: &str) -> Result<Option<Object>, JournalError> {
        let durable_seq = {
            let inner = self.lock();
            if let Some(object) = inner.unwritten(key) {
                return Ok(object);
            }
            inner.durable_seq
        };
        // Nobody waits for this read. What it finds was in force at some moment since the look above.
        let object = self.reader.object(key)?;
        let mut inner = self.lock();
        let unchanged = inner.durable_seq == durable_seq && inner.unwritten(key).is_none();
        if unchanged && inner.versions.get(key).is_none() {
            inner.versions.set(key.into(), object.as_ref().map(|object| object.version));
        }
        Ok(object)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, JournalError> {
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let (mut present, mut absent) = (BTreeSet::new(), BTreeSet::new());
        {
            let inner = self.lock();
            for batch in inner.writing.as_deref().into_iter().chain([&inner.pending]) {
                for (key, is_present) in batch.keys(prefix, start) {
                    let (into, from) =
                        if is_present { (&mut present, &mut absent) } else { (&mut absent, &mut present) };
                    from.remove(key);
                    into.insert(key.clone());
                }
            }
        }
        // One more for `after` itself, and one more for every key that is stored but deleted since.
        let stored = self.reader.keys(prefix, start, before, limit.saturating_add(1 + absent.len()))?;
        let stored = stored.into_iter().map(Arc::from).filter(|key| !absent.contains(key));
        present.extend(stored);
        let keys = present.iter().map(|key| &**key).filter(|key| after.is_none_or(|after| *key > after));
        let keys = keys.take_while(|key| before.is_none_or(|before| *key < before));
        Ok(keys.take(limit).map(|key| key.to_string()).collect())
    }
}
