//! The write pattern of the embedded engine.

use crate::store::{Batch, Op, Table};

/// Messages that are in the queue at any time.
const BACKLOG: u64 = 200;
const MESSAGE_BYTES: usize = 350;
const STEPS_PER_RUN: u64 = 10;

/// JSON-like text that compresses to about a third.
struct Text {
    pool: Vec<u8>,
    random: u64,
}

impl Text {
    fn new() -> Self {
        let mut text = Self { pool: Vec::new(), random: 0x9e37_79b9_7f4a_7c15 };
        let mut n = 0;
        while text.pool.len() < 256 << 10 {
            let (id, output) = (text.next(), text.next());
            text.pool.extend_from_slice(
                format!(
                    "{{\"n\":{n},\"t\":\"2026-11-23T02:05:11.{:03}Z\",\"type\":\"ActivityCompleted\",\
                     \"activity\":\"{id:016x}\",\"attempt\":1,\"output\":{{\"digits\":{output}}}}}\n",
                    n % 1000
                )
                .as_bytes(),
            );
            n += 1;
        }
        text
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let start = self.next() as usize % (self.pool.len() - length);
        self.pool[start..start + length].to_vec()
    }
}

pub struct Workload {
    text: Text,
    next_message: u64,
    /// Runs in flight: (number of the run, steps done). One batch makes a step of each.
    runs: Vec<(u64, u64)>,
    next_run: u64,
    /// Of the long run: bytes in its history, chunks of it.
    long: usize,
    chunks: usize,
}

pub fn history_key(run: u64) -> String {
    format!("default/workflow/{:02x}/digits-{run:020}/history", run % 256)
}

pub fn message_key(n: u64) -> String {
    format!("events/{n:017}")
}

impl Workload {
    pub fn new(in_flight: u64) -> Self {
        Self {
            text: Text::new(),
            next_message: 0,
            // Not all at the same step.
            runs: (0..in_flight).map(|run| (run, run % STEPS_PER_RUN)).collect(),
            next_run: in_flight,
            long: 8 << 10,
            chunks: 0,
        }
    }

    /// Goes on where a store's messages end.
    pub fn resume(&mut self, next_message: u64) {
        self.next_message = next_message;
    }

    pub fn next_message(&self) -> u64 {
        self.next_message
    }

    fn message(&mut self, batch: &mut Batch) {
        let value = self.text.take(MESSAGE_BYTES);
        batch.push(Op::Put { table: Table::Messages, key: message_key(self.next_message), value });
        if let Some(old) = self.next_message.checked_sub(BACKLOG) {
            batch.push(Op::Delete { table: Table::Messages, key: message_key(old) });
        }
        self.next_message += 1;
    }

    /// One step of every run in flight.
    pub fn steps(&mut self) -> Batch {
        let mut batch = Batch::with_capacity(self.runs.len() * 3);
        for at in 0..self.runs.len() {
            let (run, done) = &mut self.runs[at];
            let (key, length) = (history_key(*run), 600 + 490 * *done as usize);
            *done += 1;
            if *done == STEPS_PER_RUN {
                (*run, *done) = (self.next_run, 0);
                self.next_run += 1;
            }
            let value = self.text.take(length);
            batch.push(Op::Put { table: Table::Objects, key, value });
            self.message(&mut batch);
        }
        batch
    }

    fn grow(&mut self) -> bool {
        self.long += 350;
        let fell_back = self.long > 64 << 10;
        if fell_back {
            self.long = 1 << 10;
        }
        fell_back
    }

    /// A step of a long run, its history rewritten as one value.
    pub fn long_step(&mut self) -> Batch {
        let mut batch = Batch::new();
        self.grow();
        let value = self.text.take(self.long);
        batch.push(Op::Put { table: Table::Objects, key: history_key(0), value });
        self.message(&mut batch);
        batch
    }

    /// The same step, its history a head and appended chunks.
    pub fn delta_step(&mut self) -> Batch {
        let mut batch = Batch::new();
        let chunk = |n: usize| format!("{}#{n:06}", history_key(0));
        if self.grow() {
            for n in 0..std::mem::take(&mut self.chunks) {
                batch.push(Op::Delete { table: Table::Objects, key: chunk(n) });
            }
        }
        let value = self.text.take(600);
        batch.push(Op::Put { table: Table::Objects, key: history_key(0), value });
        let value = self.text.take(350);
        batch.push(Op::Put { table: Table::Objects, key: chunk(self.chunks), value });
        self.chunks += 1;
        self.message(&mut batch);
        batch
    }
}

/// Checks that the messages are one unbroken window, as after some prefix of the
/// batches; the number after the last one.
pub fn check_prefix(messages: &[String]) -> anyhow::Result<u64> {
    let Some(first) = messages.first() else { return Ok(0) };
    let first: u64 = first.trim_start_matches("events/").parse()?;
    for (n, key) in (first..).zip(messages) {
        anyhow::ensure!(*key == message_key(n), "hole before {key}");
    }
    let next = first + messages.len() as u64;
    anyhow::ensure!(messages.len() as u64 == next.min(BACKLOG), "{} messages", messages.len());
    Ok(next)
}
