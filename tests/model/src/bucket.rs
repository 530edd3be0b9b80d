//! The bucket: one object replaced by compare-and-swap (G3), archives of closed runs, and writes that are still on their way.

use std::sync::Arc;

use crate::ProcessId;
use crate::history::{Head, Run};
use crate::workload::RunNumber;

/// A conditional PUT.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Put {
    /// The version that must stand there; `None`: nothing may (`If-None-Match: *`).
    pub condition: Option<u8>,
    /// What it writes.
    pub run: Arc<Run>,
    /// Who would know it by its nonce: the writer, until it goes on to another attempt.
    pub known_to: Option<ProcessId>,
}

/// The objects, and the writes whose senders no longer wait for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// The history object.
    pub head: Option<Head>,
    /// The last commit's nonce: who would know it as its own (G5). A process waits for one write at a time, so that its
    /// name says as much as a random number, and states that differ by such numbers only are one.
    pub nonce: Option<ProcessId>,
    /// Closed runs whose place was taken.
    pub archive: Vec<Arc<Run>>,
    /// PUTs that may yet land.
    pub late: Vec<Put>,
}

impl Bucket {
    /// The version that stands there.
    pub fn version(&self) -> Option<u8> {
        self.head.as_ref().map(|head| head.version)
    }

    /// The compare-and-swap. Returns whether the condition held.
    pub fn put(&mut self, put: Put) -> bool {
        if put.condition != self.version() {
            return false;
        }
        self.head = Some(Head { version: put.condition.map_or(1, |version| version + 1), run: put.run });
        self.nonce = put.known_to;
        // Versions are unique: what was to replace an older one never can.
        self.late.clear();
        true
    }

    /// A PUT of which nothing is known any more.
    pub fn delay(&mut self, put: Put) {
        if put.condition == self.version() {
            self.late.push(put);
            self.late.sort();
        }
    }

    /// The process has gone on: it would take neither the last commit nor a late one for its own.
    pub fn forget(&mut self, process: ProcessId) {
        self.nonce = self.nonce.filter(|known_to| *known_to != process);
        for put in &mut self.late {
            put.known_to = put.known_to.filter(|known_to| *known_to != process);
        }
        self.late.sort();
    }

    /// The closed head, byte for byte, before its place is taken. Whoever comes second finds it there.
    pub fn archive(&mut self, run: Arc<Run>) {
        if self.archived(run.number).is_none() {
            self.archive.push(run);
        }
    }

    /// The archive of a run.
    pub fn archived(&self, number: RunNumber) -> Option<&Arc<Run>> {
        self.archive.iter().find(|run| run.number == number)
    }

    /// All runs that are in a log, each once.
    pub fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        let head = self.head.as_ref().map(|head| &head.run);
        let earlier =
            self.archive.iter().filter(move |run| head.is_none_or(|head| head.number != run.number));
        earlier.chain(head)
    }
}
