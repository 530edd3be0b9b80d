//! Changes that are in force but not yet on disk, in the form in which they will be written.
//!
//! What holds: applying a batch leaves the storage as it was at `last_seq`. A key put several times is written once; a
//! message that came and went within the batch is not written at all. Applying a batch twice is applying it once.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Timestamp;
use millrace_engine::ports::QueueName;

use crate::state::{Message, Observer};

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) version: u64,
    pub(super) written_at: Timestamp,
    pub(super) body: Bytes,
}

/// What happens to a stored message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MessageChange {
    /// It is new.
    Put(QueueName, Message),
    /// It is in another queue now; its stored body stays.
    Moved(QueueName, Message),
    Received(u32),
    Removed,
}

/// What is written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By key; `None` deletes it.
    pub(super) objects: BTreeMap<Arc<str>, Option<Object>>,
    /// By sequence number.
    pub(super) messages: BTreeMap<u64, MessageChange>,
    /// The last change this batch holds.
    pub(super) last_seq: u64,
    /// How much memory the bodies take.
    pub(super) size_bytes: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.messages.is_empty()
    }

    /// Replaces or deletes an object.
    pub(super) fn set_object(&mut self, key: Arc<str>, object: Option<Object>) {
        self.size_bytes += object.as_ref().map_or(0, |object| object.body.len());
        if let Some(Some(before)) = self.objects.insert(key, object) {
            self.size_bytes -= before.body.len();
        }
    }

    /// What this batch says about a key, if it says anything.
    pub(super) fn object(&self, key: &str) -> Option<Option<&Object>> {
        self.objects.get(key).map(Option::as_ref)
    }

    /// What this batch says about the keys from `start` on that begin with `prefix`: whether they are there.
    pub(super) fn keys<'a>(
        &'a self,
        prefix: &'a str,
        start: &str,
    ) -> impl Iterator<Item = (&'a Arc<str>, bool)> {
        let range = self.objects.range::<str, _>((Bound::Included(start), Bound::Unbounded));
        range.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, object)| (key, object.is_some()))
    }
}

impl Observer for Batch {
    fn put(&mut self, queue: &QueueName, seq: u64, message: &Message) {
        self.size_bytes += message.body.as_ref().map_or(0, |body| body.len());
        self.messages.insert(seq, MessageChange::Put(queue.clone(), message.clone()));
    }

    fn moved(&mut self, queue: &QueueName, seq: u64, message: &Message) {
        let (queue, message) = (queue.clone(), message.clone());
        let change = match self.messages.get(&seq) {
            Some(MessageChange::Put(..)) => MessageChange::Put(queue, message),
            _ => MessageChange::Moved(queue, message),
        };
        self.messages.insert(seq, change);
    }

    fn received(&mut self, seq: u64, receive_count: u32) {
        match self.messages.get_mut(&seq) {
            Some(MessageChange::Put(_, message) | MessageChange::Moved(_, message)) => {
                message.receive_count = receive_count
            }
            _ => _ = self.messages.insert(seq, MessageChange::Received(receive_count)),
        }
    }

    fn removed(&mut self, seq: u64) {
        match self.messages.remove(&seq) {
            Some(MessageChange::Put(_, message)) => {
                self.size_bytes -= message.body.as_ref().map_or(0, |body| body.len());
            }
            _ => _ = self.messages.insert(seq, MessageChange::Removed),
        }
    }
}
