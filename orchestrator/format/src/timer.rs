//! A message that waits in the bucket because it is due too late for a queue's delay.

use millrace_core::{Payload, Timestamp};
use serde::{Deserialize, Serialize};

/// The content of a timer key: the message, and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerEntry {
    /// The format's version.
    pub v: u32,
    /// When it is due.
    pub due: Timestamp,
    /// The queue it goes to.
    pub queue: String,
    /// The message.
    pub message: Payload,
}

impl TimerEntry {
    /// Reads it from its object.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Its object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
