//! Messages: what may come through the inbox, what travels between the system's own parts, and the checks at the door.

mod address;
mod door;
mod events;
mod inbox;
mod standalone;

use std::borrow::Cow;

use millrace_core::{Message, Namespace, RunId, Task, WorkflowId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use door::{check_started, comes_through_inbox, read_inbox, read_request};
pub use events::{EventMessage, Report, StartChild, read_event};
pub use inbox::{
    CompleteMessage, FailMessage, ForkMessage, Ignored, InboxMessage, PauseMessage, ResetMessage,
    ResumeMessage, RetryMessage, SignalMessage, StartMessage, StopMessage, UnpauseMessage,
};
pub use standalone::{STANDALONE_ACTIVITY, StandaloneActivity};

/// The version of the message contract.
pub const VERSION: u32 = 1;

/// A message that can never be understood (G10): the error names the field and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(pub String);

impl BadMessage {
    /// How much of a reason is told. One may repeat what was sent, and goes into logs, attributes and answers.
    const LONGEST: usize = 1_000;

    fn new(reason: String) -> Self {
        match reason.char_indices().nth(Self::LONGEST) {
            Some((end, _)) => Self(format!("{} …", reason.get(..end).unwrap_or_default())),
            None => Self(reason),
        }
    }
}

/// A message with its address.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressed {
    /// The namespace it names.
    pub namespace: Namespace,
    /// The workflow it is for.
    pub workflow_id: WorkflowId,
    /// The run it is for; `None` is the current one.
    pub run_id: Option<RunId>,
    /// What it says.
    pub message: Message,
}

/// Reads a task message.
pub fn read_task(body: &str) -> Result<Task, BadMessage> {
    typed(body)
}

/// Writes a message. Everything that is sent is plain data, which always has a JSON form.
pub fn write<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

fn kind_of(body: &str) -> Result<Cow<'_, str>, BadMessage> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<Cow<'a, str>>,
    }
    let kind: Kind<'_> = serde_json::from_str(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => {
            BadMessage::new(format!("type: a JSON object with a text `type` is expected: {e}"))
        }
        _ => BadMessage::new(format!("the message is not JSON: {e}")),
    })?;
    kind.kind
        .ok_or_else(|| BadMessage(format!("type: is missing; use one of {}", InboxMessage::TYPES.join(", "))))
}

/// Reads a message; only one that cannot be read is read again, slowly, to find the field.
fn typed<T: DeserializeOwned>(body: &str) -> Result<T, BadMessage> {
    let error = match serde_json::from_str(body) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    let mut json = serde_json::Deserializer::from_str(body);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(e) if e.path().iter().len() > 0 => Err(BadMessage::new(format!("{}: {}", e.path(), e.inner()))),
        _ => Err(BadMessage::new(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
