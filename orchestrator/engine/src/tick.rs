//! Timers that are due too late for a queue's delay (§7): keys in 15-minute buckets, sent when their time comes near.

use std::time::Duration;

use futures::future::join_all;
use millrace_format::{Keys, TimerEntry};

use crate::dispatch::{DispatchError, send_one};
use crate::ports::{OutMessage, Ports, QueueName, Queues};

/// How many keys one listing asks for: many, as a bucket that lists in no order is read again for each page.
const PAGE: usize = 10_000;
/// How many timers are sent side by side.
const SIDE_BY_SIDE: usize = 100;

/// Sends timers whose time comes near.
pub struct Ticker {
    ports: Ports,
    keys: Keys,
}

impl Ticker {
    /// A ticker of one namespace.
    pub fn new(ports: Ports, keys: Keys) -> Self {
        Self { ports, keys }
    }

    /// How often to tick: well within a bucket, so that none is missed.
    pub const EVERY: Duration = Duration::from_secs(300);

    /// Sends every timer that is due within 15 minutes, however long it has been due, each with its exact delay, and
    /// then deletes its key. A second tick, or one that dies halfway, sends some twice, which is harmless (G6).
    /// Returns how many were sent.
    ///
    /// Timers in buckets beyond the horizon cost nothing, however many. A tick costs one LIST, and one more for each
    /// further 1,000 timers in the buckets up to the horizon; a timer that is sent costs a GET, a send and a DELETE. An S3
    /// directory bucket takes one LIST for each 1,000 buckets that hold timers, however far (90 days are at most 8,640),
    /// and one for each that is read.
    pub async fn tick(&self) -> Result<usize, DispatchError> {
        let horizon = self.ports.clock.now().plus(<dyn Queues>::LONGEST_DELAY);
        // By its key: the last bucket reaches beyond what a queue can delay, and a task sent early would run early.
        let is_near = |key: &&String| {
            self.keys
                .timer_due_s(key)
                .is_none_or(|due_s| due_s.saturating_add(1).saturating_mul(1000) <= horizon.as_millis())
        };
        let (timers, end) = (self.keys.timers(), self.keys.timers_end(horizon));
        let (mut after, mut sent, mut failed) = (None::<String>, 0, None);
        loop {
            let page = self.ports.store.list(&timers, after.as_deref(), Some(&end), PAGE).await?;
            let near: Vec<_> = page.iter().filter(is_near).collect();
            for some in near.chunks(SIDE_BY_SIDE) {
                for result in join_all(some.iter().map(|key| self.send(key))).await {
                    match result {
                        Ok(()) => sent += 1,
                        // One that cannot be sent does not hold up the others.
                        Err(error) => failed = Some(error),
                    }
                }
            }
            if page.len() < PAGE {
                return failed.map_or(Ok(sent), Err);
            }
            after = page.into_iter().max();
        }
    }

    async fn send(&self, key: &str) -> Result<(), DispatchError> {
        let Some(object) = self.ports.store.get(key).await? else { return Ok(()) };
        match TimerEntry::decode(&object.body) {
            Ok(entry) => {
                let delay = entry.due.since(self.ports.clock.now()).min(<dyn Queues>::LONGEST_DELAY);
                let message = OutMessage { body: entry.message.as_str().to_owned(), delay, error: None };
                send_one(&self.ports, &QueueName::from(entry.queue.as_str()), message).await?;
                self.ports.store.delete(key).await?;
            }
            Err(error) => tracing::error!(key, %error, "a timer cannot be read; it is left where it is"),
        }
        Ok(())
    }
}
