//! Timers that are due too late for a queue's delay (§7): keys in 15-minute buckets, sent when their time comes near.

use std::time::Duration;

use futures::future::join_all;
use millrace_format::{Keys, TimerEntry};

use crate::dispatch::{DispatchError, send_one};
use crate::ports::{OutMessage, Ports, QueueName, Queues};

/// How many keys one listing asks for.
const PAGE: usize = 1_000;

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
    pub async fn tick(&self) -> Result<usize, DispatchError> {
        let horizon = self.ports.clock.now().plus(<dyn Queues>::LONGEST_DELAY);
        // By its key: the last bucket reaches beyond what a queue can delay, and a task sent early would run early.
        let is_near = |key: &&String| {
            self.keys
                .timer_due_s(key)
                .is_none_or(|due_s| (due_s + 1).saturating_mul(1000) <= horizon.as_millis())
        };
        let mut after: Option<String> = None;
        let (mut sent, mut failed) = (0, None);
        loop {
            let page = self.ports.store.list(&self.keys.timers(), after.as_deref(), PAGE).await?;
            let near = page.iter().filter(is_near);
            for result in join_all(near.map(|key| self.send(key))).await {
                match result {
                    Ok(()) => sent += 1,
                    // One that cannot be sent does not hold up the others.
                    Err(error) => failed = Some(error),
                }
            }
            match (page.into_iter().max(), failed.take()) {
                (Some(key), error) => (after, failed) = (Some(key), error),
                (None, Some(error)) => return Err(error),
                (None, None) => return Ok(sent),
            }
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
