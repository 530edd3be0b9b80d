//! The queues: messages that come at least once, in any order, hidden while somebody holds them.

use crate::ProcessId;
use crate::workload::Fact;

/// Which kind of queue a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Inbox and events: what turns are made of.
    Events,
    /// A task queue.
    Tasks,
}

/// One message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Where it is.
    pub queue: Queue,
    /// Its identity.
    pub fact: Fact,
    /// Whether its receive count is above 0.
    pub received: bool,
    /// Who holds it. It is hidden from everybody else.
    pub holder: Option<ProcessId>,
    /// Who has an outdated receipt for it: its visibility lapsed in their hands.
    pub lapsed: [bool; 2],
}

/// All messages, as a sorted list: the order of sending never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queues {
    /// The messages.
    pub messages: Vec<Message>,
}

impl Queues {
    /// Sends a new message.
    pub fn send(&mut self, queue: Queue, fact: Fact) {
        self.messages.push(Message { queue, fact, received: false, holder: None, lapsed: [false; 2] });
        self.messages.sort();
    }

    /// The messages that can be received, each once.
    pub fn visible(&self) -> Vec<Message> {
        let mut visible: Vec<Message> =
            self.messages.iter().copied().filter(|message| message.holder.is_none()).collect();
        visible.dedup();
        visible
    }

    /// Changes one message that is equal to `message`.
    pub fn change(&mut self, message: Message, change: impl FnOnce(&mut Message)) {
        if let Some(found) = self.messages.iter_mut().find(|found| **found == message) {
            change(found);
        }
        self.messages.sort();
    }

    /// Removes one message that is equal to `message`.
    pub fn remove(&mut self, message: Message) {
        if let Some(i) = self.messages.iter().position(|found| *found == message) {
            self.messages.remove(i);
        }
    }

    /// The message that `process` holds, or has once held, under this identity: the one with a valid receipt first.
    pub fn receipt(&self, process: ProcessId, queue: Queue, fact: Fact) -> Option<Message> {
        let of = |message: &&Message| message.queue == queue && message.fact == fact;
        let valid = self.messages.iter().filter(of).find(|message| message.holder == Some(process));
        let lapsed = || self.messages.iter().filter(of).find(|message| message.lapsed[process.index()]);
        valid.or_else(lapsed).copied()
    }

    /// Whatever `process` holds becomes visible again, and its receipts are void.
    pub fn let_go(&mut self, process: ProcessId) {
        for message in &mut self.messages {
            message.holder = message.holder.filter(|holder| *holder != process);
            message.lapsed[process.index()] = false;
        }
        self.messages.sort();
    }
}
