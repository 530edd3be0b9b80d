//! When the daily sweep last came to its end.

use millrace_core::Timestamp;
use serde::{Deserialize, Serialize};

/// What the sweep leaves behind: the next one looks at what has happened since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// The format's version.
    pub v: u32,
    /// When the sweep began.
    pub at: Timestamp,
}

impl Swept {
    /// Reads it from its object.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Its object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
