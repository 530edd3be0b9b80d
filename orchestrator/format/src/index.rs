//! An entry of the index that `list` reads.

use millrace_core::{RunId, Status, Timestamp, WorkflowId, WorkflowType};
use serde::{Deserialize, Serialize};

use crate::Attributes;

/// What the index says of a run. The entry of a closed run is final; that of an open run may lag behind its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The user's id.
    pub workflow_id: WorkflowId,
    /// Which run.
    pub run_id: RunId,
    /// The workflow's type.
    pub workflow: WorkflowType,
    /// Where the run stands.
    pub status: Status,
    /// When it began.
    pub started_at: Timestamp,
    /// When it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// What it can be found by. An entry of before they were indexed has none.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

impl IndexEntry {
    /// Reads it from its object.
    pub fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Its object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
