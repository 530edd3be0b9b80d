//! What a turn is asked to absorb: messages that have been read and checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ActivityOutcome, Identity, Payload, RequestId, RunId, TimerId, Timestamp, WorkflowType};

/// A message for one workflow, with what its envelope says.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// What is asked or reported.
    pub message: Message,
    /// The run it is meant for; `None` is the current one.
    pub run_id: Option<RunId>,
    /// When it was first sent.
    pub sent_at: Timestamp,
    /// How often it has been received, this time included.
    pub receive_count: u32,
}

/// What is asked or reported.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Begin a run.
    Start(Box<Start>),
    /// Tell the run something.
    Signal {
        /// The signal's name.
        name: String,
        /// What it carries.
        input: Payload,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// Ask the run to stop.
    Cancel {
        /// Who wants that, and why.
        reason: String,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// End the run by force.
    Terminate {
        /// Who wants that, and why.
        reason: String,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// Try a blocked run again now.
    Resume {
        /// Makes it count once.
        request_id: RequestId,
    },
    /// An activity attempt ended.
    Outcome(ActivityOutcome),
    /// A timer's message arrived.
    Timer {
        /// Which timer.
        timer_id: TimerId,
    },
    /// A wake arrived.
    Wake {
        /// Which wake.
        wake: u64,
    },
}

impl Message {
    /// What makes it the same message as another.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Start(start) => Identity::Request(start.request_id.clone()),
            Self::Signal { request_id, .. }
            | Self::Cancel { request_id, .. }
            | Self::Terminate { request_id, .. }
            | Self::Resume { request_id } => Identity::Request(request_id.clone()),
            Self::Outcome(outcome) => Identity::Activity(outcome.activity_id, outcome.attempt),
            Self::Timer { timer_id } => Identity::Timer(*timer_id),
            Self::Wake { wake } => Identity::Wake(*wake),
        }
    }

    /// The word for it in the message contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Signal { .. } => "signal",
            Self::Cancel { .. } => "cancel",
            Self::Terminate { .. } => "terminate",
            Self::Resume { .. } => "resume",
            Self::Outcome(_) => "outcome",
            Self::Timer { .. } => "timer",
            Self::Wake { .. } => "wake",
        }
    }
}

/// A request to begin a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Which code.
    pub workflow: WorkflowType,
    /// Its input.
    pub input: Payload,
    /// Makes it count once.
    pub request_id: RequestId,
    /// Whether the id of a closed run may be used again.
    pub id_reuse: IdReuse,
    /// What happens if a run of this id is open.
    pub id_conflict: IdConflict,
    /// How long the run may take.
    pub run_timeout: Option<Duration>,
    /// Notes for people.
    pub memo: Option<Payload>,
    /// Values to filter lists by.
    pub attributes: Option<Payload>,
    /// A signal to deliver with the start.
    pub signal: Option<StartSignal>,
}

/// The signal of a signal-with-start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartSignal {
    /// The signal's name.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub input: Payload,
}

/// Whether the id of a closed run may be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdReuse {
    /// Always.
    #[default]
    AllowDuplicate,
    /// If the last run did not complete.
    AllowDuplicateFailedOnly,
    /// Never.
    RejectDuplicate,
}

/// What a start does when a run of its id is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdConflict {
    /// The start is rejected.
    #[default]
    Fail,
    /// The start counts as done; its signal, if any, is delivered.
    UseExisting,
    /// The open run is terminated first.
    TerminateExisting,
}
