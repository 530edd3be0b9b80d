//! The object store: whole objects, strongly consistent, replaced by compare-and-swap.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// An object's version: changes with every write, opaque otherwise.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object as it was read.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its bytes.
    pub body: Bytes,
    /// Its version.
    pub etag: ETag,
    /// How long ago it was written, by the store's own clock (`Date` minus `Last-Modified` of the response).
    pub age: Duration,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: the last writer wins.
    Always,
    /// The key has no object (`If-None-Match: *`).
    Absent,
    /// The object is the version that was read (`If-Match`).
    Matches(ETag),
}

/// A read, delete or listing that did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or has no room just now: try again later.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
    /// The request itself is wrong, or not allowed: trying again will not help.
    #[error("the object store refused `{key}`: {reason}")]
    Invalid {
        /// The key asked for.
        key: String,
        /// What the store said.
        reason: String,
    },
}

/// A write that did not work, by what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The condition does not hold (412): somebody else wrote. Read and decide again. It may have been this very
    /// write, sent twice: look for the own nonce (G5).
    #[error("the object has changed since it was read")]
    Conflict,
    /// Another write of this object is in flight (409): send the same write again.
    #[error("another write of the object is in flight")]
    Busy,
    /// `Matches` on a key without object (404): it was deleted.
    #[error("the object is gone")]
    Gone,
    /// No answer, or one that says nothing (timeout, 5xx): the write may or may not have happened. Read and look for
    /// the own nonce (G5).
    #[error("the outcome of the write is unknown: {0}")]
    Unknown(String),
    /// The write did not happen and may work later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conditional delete that did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// The key holds another version (412): somebody has written since, and nothing was deleted.
    #[error("the object has changed since it was read")]
    Conflict,
    /// The store did not answer, or not so that it is clear what happened: asking again is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whole objects under keys.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Reads an object; `None` if the key has none.
    async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError>;

    /// Writes an object if the condition holds; returns its new version.
    async fn put(&self, key: &str, body: Bytes, condition: Condition) -> Result<ETag, PutError>;

    /// Deletes an object; a key without one is no error.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Deletes an object if it is still this version (`If-Match`); a key without object is no error, so it may be asked for
    /// twice. Whoever writes at the same moment either finds the object gone or is told of here.
    async fn delete_if(&self, key: &str, version: &ETag) -> Result<(), DeleteError>;

    /// The first `limit` keys that begin with `prefix` and lie between `after` and `before`, themselves not included;
    /// in no particular order within the page. Fewer mean that there are no more. What lies from `before` on costs
    /// nothing, or next to nothing.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;
}
