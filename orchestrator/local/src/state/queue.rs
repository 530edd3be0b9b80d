//! One queue: ready, hidden and awaiting messages. Every operation is O(log n).
//!
//! Orders and sets hold sequence numbers; a number whose message is gone is skipped when it is met.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use millrace_core::Timestamp;
use millrace_engine::ports::Receipt;

use super::message::{Message, parse_receipt};
use super::{Observer, QueueConfig};

/// What became durable in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Released {
    /// A message is ready now.
    pub(crate) ready: bool,
    /// A message will be ready after its delay.
    pub(crate) delayed: bool,
}

pub(crate) struct Queue {
    pub(crate) config: QueueConfig,
    messages: BTreeMap<u64, Message>,
    ready: VecDeque<u64>,
    hidden: BTreeSet<(Timestamp, u64)>,
    /// Not yet durable, oldest first.
    awaiting: VecDeque<u64>,
    /// The size of all bodies in memory.
    pub(crate) body_bytes: usize,
}

impl Queue {
    pub(crate) fn new(config: QueueConfig) -> Self {
        let (messages, hidden) = (BTreeMap::new(), BTreeSet::new());
        Self { config, messages, ready: VecDeque::new(), hidden, awaiting: VecDeque::new(), body_bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn add(&mut self, seq: u64, message: Message, gated: bool, now: Timestamp) {
        let visible_at = message.visible_at;
        self.body_bytes += message.body_bytes();
        self.messages.insert(seq, message);
        if gated { self.awaiting.push_back(seq) } else { self.place(seq, visible_at, now) }
    }

    /// Lets time pass: lapsed visibility and delays end, messages past their retention go.
    pub(crate) fn advance(
        &mut self,
        now: Timestamp,
        retention: Option<Duration>,
        observer: &mut dyn Observer,
    ) {
        while let Some(&(visible_at, seq)) = self.hidden.first() {
            if visible_at > now {
                break;
            }
            self.hidden.pop_first();
            if let Some(message) = self.messages.get_mut(&seq) {
                message.held_by = None;
                self.ready.push_back(seq);
            }
        }
        let Some(retention) = retention else { return };
        while let Some(oldest) = self.messages.first_entry() {
            if now.since(oldest.get().arrived_at) < retention {
                break;
            }
            observer.removed(*oldest.key());
            self.hidden.remove(&(oldest.get().visible_at, *oldest.key()));
            self.body_bytes -= oldest.remove().body_bytes();
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn pop_ready(&mut self) -> Option<(u64, &Message)> {
        while let Some(seq) = self.ready.pop_front() {
            if self.messages.contains_key(&seq) {
                return self.messages.get(&seq).map(|message| (seq, message));
            }
        }
        None
    }

    /// Hands a message that was ready to the receive `receive`.
    pub(crate) fn take(&mut self, seq: u64, receive: u64, until: Timestamp) -> Option<&Message> {
        let message = self.messages.get_mut(&seq)?;
        message.receive_count = message.receive_count.saturating_add(1);
        message.held_by = Some(receive);
        message.visible_at = until;
        self.hidden.insert((until, seq));
        Some(message)
    }

    pub(crate) fn remove(&mut self, seq: u64) -> Option<Message> {
        let message = self.messages.remove(&seq)?;
        self.hidden.remove(&(message.visible_at, seq));
        self.body_bytes -= message.body_bytes();
        Some(message)
    }

    /// The message a receipt stands for, unless the receipt is void.
    pub(crate) fn holder_of(&self, receipt: &Receipt) -> Option<u64> {
        let (seq, receive) = parse_receipt(receipt)?;
        (self.messages.get(&seq)?.held_by == Some(receive)).then_some(seq)
    }

    /// Changes until when a message in flight is hidden.
    pub(crate) fn hide_again(&mut self, seq: u64, until: Timestamp, now: Timestamp) {
        let Some(message) = self.messages.get_mut(&seq) else { return };
        self.hidden.remove(&(message.visible_at, seq));
        message.visible_at = until;
        if until <= now {
            message.held_by = None;
        }
        self.place(seq, until, now);
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.hidden.first().map(|(visible_at, _)| *visible_at)
    }

    /// Lets go of the messages up to `durable`.
    pub(crate) fn release(&mut self, durable: u64, now: Timestamp) -> Released {
        let mut released = Released::default();
        while let Some(&seq) = self.awaiting.front() {
            if seq > durable {
                break;
            }
            self.awaiting.pop_front();
            if let Some(visible_at) = self.messages.get(&seq).map(|message| message.visible_at) {
                self.place(seq, visible_at, now);
                released.ready |= visible_at <= now;
                released.delayed |= visible_at > now;
            }
        }
        released
    }

    pub(crate) fn drop_body(&mut self, seq: u64) {
        let body = self.messages.get_mut(&seq).and_then(|message| message.body.take());
        self.body_bytes -= body.map_or(0, |body| body.len());
    }

    fn place(&mut self, seq: u64, visible_at: Timestamp, now: Timestamp) {
        if visible_at <= now {
            self.ready.push_back(seq);
        } else {
            self.hidden.insert((visible_at, seq));
        }
    }
}
