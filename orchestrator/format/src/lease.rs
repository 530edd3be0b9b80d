//! The lease of a running activity.

use millrace_core::{ActivityOutcome, Payload};
use serde::{Deserialize, Serialize};

/// Who runs an activity, how far it is, and whether it should stop. Only for activities that are exclusive, heartbeat or
/// may outlive their message. Its age is the store's, never a local clock's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The format's version.
    pub v: u32,
    /// The worker that holds it; `None` if nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Rises with every holder: the fencing token.
    #[serde(default)]
    pub epoch: u64,
    /// The attempt that holds it.
    #[serde(default)]
    pub attempt: u32,
    /// How many workers took this attempt before, and neither ended it nor gave it back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vanished: u32,
    /// Whether the attempt's code has ended, and somebody else brings its outcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// How long it is good for after each write, in milliseconds.
    #[serde(default)]
    pub good_for_ms: u64,
    /// What the attempt reported with its last heartbeat; handed to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
    /// Why the attempt should stop, if it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
    /// The outcome of an exclusive activity, stored before it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ActivityOutcome>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Lease {
    /// A lease that nobody holds.
    pub fn free() -> Self {
        Self { v: 1, ..Self::default() }
    }

    /// Reads it from its object.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Its object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
