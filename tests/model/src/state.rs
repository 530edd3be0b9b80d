//! One state of the whole: what the checker visits.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use stateright::Representative;

use crate::bucket::Bucket;
use crate::history::Head;
use crate::process::{Phase, Process, ProcessId};
use crate::queues::{Queue, Queues};
use crate::workload::Effect;

/// Everything that can differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// The bucket.
    pub bucket: Bucket,
    /// The queues.
    pub queues: Queues,
    /// The two processes.
    pub processes: [Process; 2],
    /// How many start requests the client has sent.
    pub starts: u8,
    /// How often each effect has been sent. No process sees this; the properties do.
    pub sent: BTreeMap<Effect, u8>,
    /// How many faults there have been.
    pub faults: u8,
}

impl State {
    /// A process.
    pub fn process(&mut self, process: ProcessId) -> &mut Process {
        &mut self.processes[process.index()]
    }

    /// Does an effect.
    pub fn send(&mut self, effect: Effect) {
        *self.sent.entry(effect).or_default() += 1;
        if let Some(outcome) = effect.outcome() {
            self.queues.send(Queue::Tasks, outcome);
        }
    }

    /// The process is done with its turn: its messages that are still there are visible again.
    pub fn rest(&mut self, process: ProcessId) {
        self.queues.let_go(process);
        self.process(process).phase = Phase::Idle;
    }

    /// Keeps a run for the next turn (G12). A closed one is of no use.
    pub fn keep(&mut self, process: ProcessId, head: Option<Head>) {
        self.process(process).cache = head.filter(|head| !head.run.is_closed());
    }

    /// The same with the two processes' names exchanged.
    fn exchanged(&self) -> Self {
        let mut state = self.clone();
        state.processes.swap(0, 1);
        state.bucket.nonce = state.bucket.nonce.map(ProcessId::other);
        for put in &mut state.bucket.late {
            put.known_to = put.known_to.map(ProcessId::other);
        }
        state.bucket.late.sort();
        for message in &mut state.queues.messages {
            message.holder = message.holder.map(ProcessId::other);
            message.lapsed.swap(0, 1);
        }
        state.queues.messages.sort();
        state
    }
}

impl Representative for State {
    /// The processes differ in name only: of two states that are each other's mirror image, one is enough.
    fn representative(&self) -> Self {
        match self.processes[0].cmp(&self.processes[1]) {
            Ordering::Less => self.clone(),
            Ordering::Equal => self.exchanged().min(self.clone()),
            Ordering::Greater => self.exchanged(),
        }
    }
}
