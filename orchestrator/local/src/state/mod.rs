//! The queues as a state machine: no clock, no input, no output. Time is an argument, waiting is the caller's.
//!
//! What holds: sequence numbers only grow and are never given twice, so a receipt or an ETag made of one names one
//! moment for ever. A message is in exactly one of four places: awaiting durability, hidden (delayed or in flight),
//! ready, or gone. Every change that must outlive the process is told to an [`Observer`], in order.

mod message;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_core::Timestamp;
use millrace_engine::ports::{OutMessage, QueueError, QueueName, Queues, Receipt};

#[cfg(feature = "embedded")]
pub(crate) use message::Taken;
pub(crate) use message::{Message, Received};
use queue::Queue;
pub(crate) use queue::Released;

/// The longest time a receiver may hide a message: SQS's limit.
pub(crate) const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 3600);
/// The longest delay of a message: SQS's limit.
const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// One receive brings no more than this beside its last message, however many it may bring: they are all held in memory.
const MOST_RECEIVED_BYTES: usize = 16 << 20;

/// How long a message is kept in memory if nobody deletes it: SQS's longest.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often a message may be received before it counts as poison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// A message received this often goes to the dead-letter queue instead of being received once more.
    pub max_receive: u32,
}

impl QueueConfig {
    /// What a queue of this name gets on first use: the turn dead-letters for itself, so inbox and events are lenient.
    pub fn of(queue: &QueueName) -> Self {
        let max_receive = match queue.as_str() {
            name if name.ends_with("-dead") => u32::MAX,
            _ if queue.carries_tasks() => 100,
            _ => 1_000,
        };
        Self { max_receive }
    }
}

/// Is told what happens to messages, in the order in which it happens.
pub(crate) trait Observer {
    /// The message exists from now on, under this sequence number.
    fn put(&mut self, queue: &QueueName, seq: u64, message: &Message);
    /// The message moved to this queue; it keeps its sequence number, and its body is where it was.
    fn moved(&mut self, queue: &QueueName, seq: u64, message: &Message);
    /// The message has been received once more.
    fn received(&mut self, seq: u64, receive_count: u32);
    /// The message is gone.
    fn removed(&mut self, seq: u64);
}

/// Nobody remembers.
impl Observer for () {
    fn put(&mut self, _: &QueueName, _: u64, _: &Message) {}
    fn moved(&mut self, _: &QueueName, _: u64, _: &Message) {}
    fn received(&mut self, _: u64, _: u32) {}
    fn removed(&mut self, _: u64) {}
}

/// All queues, and the counter that orders every change of the store.
pub(crate) struct State {
    queues: BTreeMap<QueueName, Queue>,
    last_seq: u64,
    /// Whether tasks wait until they are durable.
    gate_tasks: bool,
    /// How long a message is kept if nobody deletes it; `None` is for ever.
    retention: Option<Duration>,
}

impl State {
    /// No queue yet. `last_seq` is the greatest sequence number ever given. On disk, tasks wait until they are durable,
    /// and messages stay until they are deleted: a folder may lie closed for a month. Else they are kept as on SQS.
    pub(crate) fn new(last_seq: u64, on_disk: bool) -> Self {
        let retention = (!on_disk).then_some(RETENTION);
        Self { queues: BTreeMap::new(), last_seq, gate_tasks: on_disk, retention }
    }

    /// The next place in the one order of all changes.
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// The last place given.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Sets how often a message of this queue may be received.
    pub(crate) fn configure(&mut self, name: &QueueName, config: QueueConfig) {
        self.queue(name).config = config;
    }

    /// Adds a message, or says why the queue does not take it. Returns its sequence number.
    pub(crate) fn send(
        &mut self,
        name: &QueueName,
        message: OutMessage,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Result<u64, QueueError> {
        check(name, &message)?;
        let seq = self.next_seq();
        let message = Message::new(seq, message, now);
        observer.put(name, seq, &message);
        let gated = self.gate_tasks && name.carries_tasks();
        self.queue(name).add(seq, message, gated, now);
        Ok(seq)
    }

    /// Puts a message back that an earlier process has stored. It is not hidden from anybody but by its delay.
    pub(crate) fn restore(&mut self, name: &QueueName, seq: u64, message: Message, now: Timestamp) {
        self.last_seq = self.last_seq.max(seq);
        self.queue(name).add(seq, message, false, now);
    }

    /// Takes up to `max` ready messages and hides them. Poison goes to the dead-letter queue.
    pub(crate) fn receive(
        &mut self,
        name: &QueueName,
        max: usize,
        visibility: Duration,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Received {
        let until = now.plus(visibility.min(LONGEST_VISIBILITY));
        let retention = self.retention;
        let last_seq = &mut self.last_seq;
        let queue = self.queues.entry(name.clone()).or_insert_with(|| Queue::new(QueueConfig::of(name)));
        queue.advance(now, retention, observer);
        let mut received = Received::default();
        let mut poison = Vec::new();
        let mut received_bytes = 0;
        while received.messages.len() < max && received_bytes < MOST_RECEIVED_BYTES {
            let Some((seq, message)) = queue.pop_ready() else { break };
            if message.receive_count >= queue.config.max_receive {
                poison.extend(queue.remove(seq).map(|message| (seq, message)));
                continue;
            }
            *last_seq += 1;
            let message = queue.take(seq, *last_seq, until);
            if let Some(message) = message {
                observer.received(seq, message.receive_count);
                received_bytes += message.size_bytes;
                received.messages.push(message.taken(seq, *last_seq));
            }
        }
        received.more = queue.has_ready();
        received.dead = poison.len();
        self.bury(name, poison, now, observer);
        received
    }

    /// Deletes the message if the receipt still holds; otherwise nothing happens, as on SQS.
    pub(crate) fn delete(
        &mut self,
        name: &QueueName,
        receipt: &Receipt,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) {
        let retention = self.retention;
        let queue = self.queue(name);
        queue.advance(now, retention, observer);
        if let Some(seq) = queue.holder_of(receipt) {
            queue.remove(seq);
            observer.removed(seq);
        }
    }

    /// Hides a message anew; zero makes it ready.
    pub(crate) fn change_visibility(
        &mut self,
        name: &QueueName,
        receipt: &Receipt,
        visibility: Duration,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Result<(), QueueError> {
        if visibility > LONGEST_VISIBILITY {
            return Err(invalid(name, "a message can be hidden for 12 hours at most".into()));
        }
        let retention = self.retention;
        let queue = self.queue(name);
        queue.advance(now, retention, observer);
        let seq = queue.holder_of(receipt).ok_or(QueueError::ReceiptVoid)?;
        queue.hide_again(seq, now.plus(visibility), now);
        Ok(())
    }

    /// When the next hidden message of this queue becomes ready.
    pub(crate) fn next_due(&self, name: &QueueName) -> Option<Timestamp> {
        self.queues.get(name).and_then(Queue::next_due)
    }

    /// Everything up to `seq` is durable: tasks that waited for it may be received. Returns the queues that got some.
    pub(crate) fn durable(&mut self, seq: u64, now: Timestamp) -> Vec<(QueueName, Released)> {
        let released = self.queues.iter_mut().map(|(name, queue)| (name, queue.release(seq, now)));
        released.filter(|(_, r)| *r != Released::default()).map(|(name, r)| (name.clone(), r)).collect()
    }

    /// Drops a body that its receiver can fetch from where it is stored.
    pub(crate) fn drop_body(&mut self, name: &QueueName, seq: u64) {
        if let Some(queue) = self.queues.get_mut(name) {
            queue.drop_body(seq);
        }
    }

    /// The size of all bodies in memory.
    pub(crate) fn body_bytes(&self) -> usize {
        self.queues.values().map(|queue| queue.body_bytes).sum()
    }

    /// How many messages the queue holds, in whatever place.
    pub(crate) fn len(&self, name: &QueueName) -> usize {
        self.queues.get(name).map_or(0, Queue::len)
    }

    /// How many messages each queue holds; empty ones are left out.
    pub(crate) fn counts(&self) -> BTreeMap<QueueName, usize> {
        let counts = self.queues.iter().map(|(name, queue)| (name.clone(), queue.len()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn bury(
        &mut self,
        name: &QueueName,
        poison: Vec<(u64, Message)>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) {
        if poison.is_empty() {
            return;
        }
        let dead = name.dead_letters();
        // It has been received before, so it is durable: no need to wait for that again.
        self.next_seq();
        for (seq, message) in poison {
            let message = message.dead(now);
            observer.moved(&dead, seq, &message);
            self.queue(&dead).add(seq, message, false, now);
        }
    }

    fn queue(&mut self, name: &QueueName) -> &mut Queue {
        self.queues.entry(name.clone()).or_insert_with(|| Queue::new(QueueConfig::of(name)))
    }
}

fn check(name: &QueueName, message: &OutMessage) -> Result<(), QueueError> {
    if message.delay > LONGEST_DELAY {
        return Err(invalid(name, "a message can be delayed for 15 minutes at most".into()));
    }
    <dyn Queues>::accept(name, &message.body)
}

fn invalid(name: &QueueName, reason: String) -> QueueError {
    QueueError::Invalid { queue: name.to_string(), reason }
}
