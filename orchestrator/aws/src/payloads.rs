//! Bodies too large for a message: they lie in the bucket, and the message points to them.
//!
//! A pointer is `{"v":1,"body":"message/<sha256>"}`, on the inbox and its dead letters `inbox-payload/<sha256>`. Each
//! queue accepts its own kind only: whoever may send to the inbox can name nothing but what lies where strangers write.
//! Nothing here deletes: a message may come twice, and the bucket's lifecycle rule expires both folders.

use std::fmt::Write as _;

use bytes::Bytes;
use millrace_engine::ports::{Condition, ObjectStore as _, PutError, QueueName, Queues, StoreError};
use millrace_format::Keys;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::objects::{Objects, Read};

/// The largest message that is sent as it is, its attributes included: SQS takes 1,048,576 bytes.
pub(crate) const LARGEST_MESSAGE: usize = 1_000_000;
/// The largest body of all.
pub(crate) const LARGEST_BODY: usize = <dyn Queues>::LARGEST_BODY_BYTES;
/// No pointer is longer, so that an ordinary body costs one comparison.
const LONGEST_POINTER: usize = 120;

/// The bodies of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Payloads {
    pub(crate) objects: Objects,
    pub(crate) keys: Keys,
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

    fn key(self, keys: &Keys, sha256: &str) -> String {
        match self {
            Self::Message => keys.message(sha256),
            Self::InboxPayload => keys.inbox_payload(sha256),
        }
    }
}

impl Payloads {
    /// Puts a body into the bucket and returns the pointer to send instead.
    pub(crate) async fn store(&self, queue: &QueueName, body: String) -> Result<String, StoreError> {
        let folder = Folder::of(queue);
        let sha256 = hash(body.as_bytes());
        let key = folder.key(&self.keys, &sha256);
        match self.objects.put(&key, Bytes::from(body), Condition::Always).await {
            Ok(_) => {}
            Err(PutError::Store(error)) => return Err(error),
            // Whoever sends does so again, and writes the same bytes.
            Err(other) => return Err(StoreError::Unavailable(format!("`{key}`: {other}"))),
        }
        let pointer = Pointer { v: 1, body: format!("{}{sha256}", folder.name()) };
        serde_json::to_string(&pointer)
            .map_err(|error| StoreError::Invalid { key, reason: error.to_string() })
    }

    /// The body that a received one points to; itself if it is no pointer, or one that leads nowhere. The latter is
    /// logged, and whoever reads it finds no message in it.
    pub(crate) async fn resolve(&self, queue: &QueueName, body: String) -> Result<String, StoreError> {
        let folder = Folder::of(queue);
        let Some(sha256) = pointer(folder, &body) else { return Ok(body) };
        let key = folder.key(&self.keys, &sha256);
        let limit = u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX);
        let why = match self.objects.read(&key, limit).await {
            Ok(Read::Object(stored)) => match verified(stored.body, &sha256) {
                Ok(body) => return Ok(body),
                Err(why) => why,
            },
            Ok(Read::Absent) => "there is no such object",
            Ok(Read::TooLarge) => "the object is larger than 17 MiB",
            Err(error) => return Err(error),
        };
        tracing::error!(%queue, key, why, "a message points to a body that cannot be used");
        Ok(body)
    }
}

#[cfg(feature = "fuzz")]
pub(crate) fn pointed_to(queue: &QueueName, body: &str) -> Option<String> {
    pointer(Folder::of(queue), body)
}

/// The hash that a body names, if it is exactly a pointer into this folder.
fn pointer(folder: Folder, body: &str) -> Option<String> {
    if body.len() >= LONGEST_POINTER {
        return None;
    }
    let pointer: Pointer = serde_json::from_str(body).ok().filter(|pointer: &Pointer| pointer.v == 1)?;
    let sha256 = pointer.body.strip_prefix(folder.name())?;
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    (sha256.len() == 64 && sha256.bytes().all(is_hex)).then(|| sha256.to_owned())
}

fn verified(body: Bytes, sha256: &str) -> Result<String, &'static str> {
    if hash(&body) != sha256 {
        return Err("the object is not what its name says");
    }
    String::from_utf8(body.into()).map_err(|_| "the object is no text")
}

fn hash(body: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(body) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_hash_is_hex_of_sha256() {
        assert_eq!(hash(b""), SHA);
    }

    #[test]
    fn a_pointer_has_exactly_two_fields_and_its_own_folder() {
        let own = format!(r#"{{"v":1,"body":"message/{SHA}"}}"#);
        let spaced = format!(r#"{{ "body" : "message/{SHA}", "v" : 1 }}"#);
        assert_eq!(pointer(Folder::Message, &own).as_deref(), Some(SHA));
        assert_eq!(pointer(Folder::Message, &spaced).as_deref(), Some(SHA));
        assert_eq!(pointer(Folder::InboxPayload, &own), None, "the inbox names nothing of the system's own");
        for other in [
            format!(r#"{{"v":2,"body":"message/{SHA}"}}"#),
            format!(r#"{{"v":1,"body":"message/{SHA}","x":1}}"#),
            format!(r#"{{"v":1,"body":"message/{}"}}"#, SHA.to_uppercase()),
            r#"{"v":1,"body":"message/../history"}"#.to_owned(),
            r#"{"v":1}"#.to_owned(),
            "{".to_owned(),
        ] {
            assert_eq!(pointer(Folder::Message, &other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_pointer_is_recognised() {
        let pointer = format!(r#"{{"v":1,"body":"inbox-payload/{SHA}"}}"#);
        assert!(pointer.len() < LONGEST_POINTER, "{} bytes", pointer.len());
    }
}
