//! One message as a queue keeps it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use millrace_core::Timestamp;
use millrace_engine::ports::{Delivery, OutMessage, Receipt};

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its identity: the sequence number of its first send, kept when it moves to a dead-letter queue.
    pub(crate) id: u64,
    /// The body; `None` when only the disk has it.
    pub(crate) body: Option<Arc<str>>,
    /// The body's length, wherever it is.
    pub(crate) size_bytes: usize,
    pub(crate) error: Option<Arc<str>>,
    pub(crate) sent_at: Timestamp,
    /// When it came into this queue: retention counts from here, where there is one.
    pub(crate) arrived_at: Timestamp,
    /// Hidden until then, at first by its delay.
    pub(crate) visible_at: Timestamp,
    pub(crate) receive_count: u32,
    /// The receive that holds it now.
    pub(crate) held_by: Option<u64>,
}

impl Message {
    pub(crate) fn new(id: u64, message: OutMessage, now: Timestamp) -> Self {
        Self {
            id,
            size_bytes: message.body.len(),
            body: Some(message.body.into()),
            error: message.error.map(Into::into),
            sent_at: now,
            arrived_at: now,
            visible_at: now.plus(message.delay),
            receive_count: 0,
            held_by: None,
        }
    }

    /// The same message as it arrives in the dead-letter queue.
    pub(crate) fn dead(self, now: Timestamp) -> Self {
        let error = Some(format!("received {} times", self.receive_count).into());
        Self { error, arrived_at: now, visible_at: now, receive_count: 0, held_by: None, ..self }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.len())
    }

    pub(crate) fn taken(&self, seq: u64, receive: u64) -> Taken {
        Taken { seq, receive, message: self.clone() }
    }
}

/// What a receive took.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) messages: Vec<Taken>,
    /// Something ready is left for another receiver.
    pub(crate) more: bool,
    /// How many messages went to the dead-letter queue on the way.
    pub(crate) dead: usize,
}

/// A message in the hands of a receiver.
pub(crate) struct Taken {
    pub(crate) seq: u64,
    receive: u64,
    pub(crate) message: Message,
}

impl Taken {
    /// As the port shows it. The body must be in memory.
    pub(crate) fn into_delivery(self) -> Delivery {
        let body = self.message.body.as_deref().unwrap_or_default();
        Delivery {
            message_id: short(format_args!("m{}", self.message.id)),
            receipt: Receipt(short(format_args!("{}.{}", self.seq, self.receive))),
            body: body.to_owned(),
            sent_at: self.message.sent_at,
            receive_count: self.message.receive_count,
            error: self.message.error.as_deref().map(str::to_owned),
        }
    }
}

/// Written without growing on the way: every delivery has two of them.
fn short(text: fmt::Arguments<'_>) -> String {
    let mut short = String::with_capacity(32);
    let _ = short.write_fmt(text); // Into memory.
    short
}

/// The message and the receive that a receipt names.
pub(crate) fn parse_receipt(receipt: &Receipt) -> Option<(u64, u64)> {
    let (seq, receive) = receipt.0.split_once('.')?;
    Some((seq.parse().ok()?, receive.parse().ok()?))
}
