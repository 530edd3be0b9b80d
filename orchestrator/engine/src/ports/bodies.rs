//! Bodies too large for a message: they lie in the bucket, and the message points to them.
//!
//! A pointer is `{"v":1,"body":"message/<sha256>"}`, on the inbox and its dead letters `inbox-payload/<sha256>`. Each
//! queue accepts its own kind only: whoever may send to the inbox can name nothing but what lies where strangers write.
//! Nothing here deletes: a message may come twice, and the bucket's lifecycle rule expires both folders.

use async_trait::async_trait;
use bytes::Bytes;
use millrace_format::{ContentHash, Keys};
use serde::{Deserialize, Serialize};

use super::{PutError, QueueName, Queues, StoreError};

/// No pointer is longer, so that an ordinary body costs one comparison.
const LONGEST_POINTER: usize = 120;

/// Where bodies lie: less than an object store, but for the limit of a read. Strangers write there.
#[async_trait]
pub trait BodyStore: Send + Sync {
    /// Writes a body, whatever is there: it is the same.
    async fn put_body(&self, key: &str, body: Bytes) -> Result<(), PutError>;

    /// Reads a body unless it has more than so many bytes; of a larger one nothing is fetched.
    async fn read_body(&self, key: &str, most_bytes: u64) -> Result<BodyRead, StoreError>;
}

/// A body, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRead {
    /// There is no such object.
    Absent,
    /// It has more bytes than were asked for.
    TooLarge,
    /// Its bytes.
    Body(Bytes),
}

/// The bodies of one namespace.
#[derive(Clone, Debug)]
pub struct Bodies<S> {
    store: S,
    keys: Keys,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    v: u64,
    body: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Message,
    InboxPayload,
}

impl Folder {
    fn of(queue: &QueueName) -> Self {
        let inbox = QueueName::inbox();
        let is_inbox = *queue == inbox || *queue == inbox.dead_letters();
        if is_inbox { Self::InboxPayload } else { Self::Message }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Message => "message/",
            Self::InboxPayload => "inbox-payload/",
        }
    }

    fn key(self, keys: &Keys, hash: ContentHash) -> String {
        match self {
            Self::Message => keys.message(&hash.to_string()),
            Self::InboxPayload => keys.inbox_payload(&hash.to_string()),
        }
    }
}

impl<S: BodyStore> Bodies<S> {
    /// Bodies under these keys of this store.
    pub fn new(store: S, keys: Keys) -> Self {
        Self { store, keys }
    }

    /// Puts a body into the bucket and returns the pointer to send instead.
    pub async fn store(&self, queue: &QueueName, body: String) -> Result<String, StoreError> {
        let folder = Folder::of(queue);
        let hash = ContentHash::of(body.as_bytes());
        let key = folder.key(&self.keys, hash);
        match self.store.put_body(&key, Bytes::from(body)).await {
            Ok(()) => {}
            Err(PutError::Store(error)) => return Err(error),
            // Whoever sends does so again, and writes the same bytes.
            Err(other) => return Err(StoreError::Unavailable(format!("`{key}`: {other}"))),
        }
        let pointer = Pointer { v: 1, body: format!("{}{hash}", folder.name()) };
        serde_json::to_string(&pointer)
            .map_err(|error| StoreError::Invalid { key, reason: error.to_string() })
    }

    /// The body that a received one points to; itself if it is no pointer, or one that leads nowhere. The latter is
    /// logged, and whoever reads it finds no message in it.
    pub async fn resolve(&self, queue: &QueueName, body: String) -> Result<String, StoreError> {
        let folder = Folder::of(queue);
        let Some(hash) = pointer(folder, &body) else { return Ok(body) };
        let key = folder.key(&self.keys, hash);
        let most = u64::try_from(<dyn Queues>::LARGEST_BODY_BYTES).unwrap_or(u64::MAX);
        let why = match self.store.read_body(&key, most).await {
            Ok(BodyRead::Body(stored)) => match verified(stored, hash) {
                Ok(body) => return Ok(body),
                Err(why) => why,
            },
            Ok(BodyRead::Absent) => "there is no such object",
            Ok(BodyRead::TooLarge) => "the object is larger than 17 MiB",
            Err(error) => return Err(error),
        };
        tracing::error!(%queue, key, why, "a message points to a body that cannot be used");
        Ok(body)
    }
}

/// The hash of the body to which a message of this queue points, if it is exactly a pointer.
pub fn pointed_to(queue: &QueueName, body: &str) -> Option<ContentHash> {
    pointer(Folder::of(queue), body)
}

fn pointer(folder: Folder, body: &str) -> Option<ContentHash> {
    if body.len() >= LONGEST_POINTER {
        return None;
    }
    let pointer: Pointer = serde_json::from_str(body).ok().filter(|pointer: &Pointer| pointer.v == 1)?;
    pointer.body.strip_prefix(folder.name())?.parse().ok()
}

fn verified(body: Bytes, hash: ContentHash) -> Result<String, &'static str> {
    if ContentHash::of(&body) != hash {
        return Err("the object is not what its name says");
    }
    String::from_utf8(body.into()).map_err(|_| "the object is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn points(folder: Folder, body: &str) -> Option<String> {
        pointer(folder, body).map(|hash| hash.to_string())
    }

    #[test]
    fn the_hash_is_hex_of_sha256() {
        assert_eq!(ContentHash::of(b"").to_string(), SHA);
    }

    #[test]
    fn a_pointer_has_exactly_two_fields_and_its_own_folder() {
        let own = format!(r#"{{"v":1,"body":"message/{SHA}"}}"#);
        let spaced = format!(r#"{{ "body" : "message/{SHA}", "v" : 1 }}"#);
        assert_eq!(points(Folder::Message, &own).as_deref(), Some(SHA));
        assert_eq!(points(Folder::Message, &spaced).as_deref(), Some(SHA));
        assert_eq!(points(Folder::InboxPayload, &own), None, "the inbox names nothing of the system's own");
        for other in [
            format!(r#"{{"v":2,"body":"message/{SHA}"}}"#),
            format!(r#"{{"v":1,"body":"message/{SHA}","x":1}}"#),
            format!(r#"{{"v":1,"body":"message/{}"}}"#, SHA.to_uppercase()),
            r#"{"v":1,"body":"message/../history"}"#.to_owned(),
            r#"{"v":1}"#.to_owned(),
            "{".to_owned(),
        ] {
            assert_eq!(points(Folder::Message, &other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_pointer_is_recognised() {
        let pointer = format!(r#"{{"v":1,"body":"inbox-payload/{SHA}"}}"#);
        assert!(pointer.len() < LONGEST_POINTER, "{} bytes", pointer.len());
    }
}
