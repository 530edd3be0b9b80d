//! What a turn is asked to absorb: messages that have been read and checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ActivityId, ActivityOutcome, ChildId, Event, Headers, Identity, OutcomeResult, Parent, Payload,
    RequestId, RunId, StopChild, TimerId, Timestamp, WorkflowId, WorkflowType,
};

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
        /// The signal of the same sender that comes before it.
        after: Option<RequestId>,
    },
    /// Ask the run something that it answers.
    Update {
        /// The update's name.
        name: String,
        /// What it carries.
        input: Payload,
        /// Makes it count once, and is how the answer is found.
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
    /// Hold back the code, or what follows the current attempt of one of its activities, until further notice.
    Pause {
        /// Which activity; the code if none is named.
        activity_id: Option<ActivityId>,
        /// Who wants that, and why.
        reason: String,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// Go on with what was held back.
    Unpause {
        /// Which activity; the code if none is named.
        activity_id: Option<ActivityId>,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// Make the attempt that an activity waits for now.
    Retry {
        /// Which activity.
        activity_id: ActivityId,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// An activity attempt ended.
    Outcome(ActivityOutcome),
    /// Somebody who has an attempt's token says how it ended.
    Completion {
        /// The secret of the token.
        secret: String,
        /// How the attempt ended.
        outcome: ActivityOutcome,
    },
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
    /// A child ended, or could not be started.
    ChildOutcome {
        /// Which child.
        child_id: ChildId,
        /// How it went.
        result: OutcomeResult,
    },
    /// The parent wants this child to stop.
    Stop(Box<Stop>),
    /// Begin a run with the first events of another.
    Fork(Box<Fork>),
}

impl Message {
    /// What makes it the same message as another.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Start(start) => Identity::Request(start.request_id.clone()),
            Self::Signal { request_id, .. }
            | Self::Update { request_id, .. }
            | Self::Cancel { request_id, .. }
            | Self::Terminate { request_id, .. }
            | Self::Resume { request_id }
            | Self::Pause { request_id, .. }
            | Self::Unpause { request_id, .. }
            | Self::Retry { request_id, .. } => Identity::Request(request_id.clone()),
            Self::Stop(stop) => Identity::Request(stop.request_id()),
            Self::Fork(fork) => Identity::Request(fork.request_id.clone()),
            Self::ChildOutcome { child_id, .. } => Identity::Child(*child_id),
            Self::Outcome(outcome) | Self::Completion { outcome, .. } => {
                Identity::Activity(outcome.activity_id, outcome.attempt)
            }
            Self::Timer { timer_id } => Identity::Timer(*timer_id),
            Self::Wake { wake } => Identity::Wake(*wake),
        }
    }

    /// Whether it is a request of somebody outside, for a workflow rather than for one run of it.
    pub fn is_request(&self) -> bool {
        !matches!(
            self,
            Self::Outcome(_)
                | Self::Completion { .. }
                | Self::Timer { .. }
                | Self::Wake { .. }
                | Self::ChildOutcome { .. }
                | Self::Stop(_)
        )
    }

    /// Whether it may be for the run that follows one which continues as new, and so waits for it.
    pub(crate) fn waits_for_next(&self) -> bool {
        self.is_request() || matches!(self, Self::Stop(_))
    }

    /// The word for it in the message contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Signal { .. } => "signal",
            Self::Update { .. } => "update",
            Self::Cancel { .. } => "cancel",
            Self::Terminate { .. } => "terminate",
            Self::Resume { .. } => "resume",
            Self::Pause { .. } => "pause",
            Self::Unpause { .. } => "unpause",
            Self::Retry { .. } => "retry",
            Self::Outcome(_) => "outcome",
            Self::Completion { .. } => "complete",
            Self::Timer { .. } => "timer",
            Self::Wake { .. } => "wake",
            Self::ChildOutcome { .. } => "child_outcome",
            Self::Stop(_) => "stop_child",
            Self::Fork(fork) if fork.replaces => "reset",
            Self::Fork(_) => "fork",
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
    /// How long the workflow may take, the runs that it continues as included.
    pub execution_timeout: Option<Duration>,
    /// How long the code waits before it begins.
    pub delay: Option<Duration>,
    /// Notes for people.
    pub memo: Option<Payload>,
    /// Values to filter lists by.
    pub attributes: Option<Payload>,
    /// What is handed on to everything that comes of it.
    pub headers: Headers,
    /// A signal to deliver with the start.
    pub signal: Option<WithStart>,
    /// An update to deliver with the start; it is answered under the start's request id.
    pub update: Option<WithStart>,
    /// The call that starts it as a child.
    pub parent: Option<Parent>,
}

/// A parent's wish that its child stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The child's workflow type, for the history of one that was never started.
    pub workflow: WorkflowType,
    /// The call that started it, or is yet to.
    pub parent: Parent,
    /// Asked, or by force.
    pub how: StopChild,
    /// Why.
    pub reason: String,
}

impl Stop {
    /// Makes it count once.
    pub fn request_id(&self) -> RequestId {
        self.parent.stop_request(self.how)
    }
}

/// A request to begin a run with the first events of another: what was asked for there and has no end is done again, what
/// had ended is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// Whose events.
    pub source: WorkflowId,
    /// Which run's; the current one's if none is named.
    pub source_run: Option<RunId>,
    /// The last event that the new run takes over.
    pub event: u64,
    /// Whether the new run is told the signals that came after that event.
    pub reapply: bool,
    /// Whether it takes the place of an open run of its id, which is terminated: then it is a reset.
    pub replaces: bool,
    /// Who wants that, and why.
    pub reason: String,
    /// Makes it count once.
    pub request_id: RequestId,
    /// The source as the host has read it, or why it could not.
    pub log: Result<SourceLog, String>,
    /// The events of the run whose place a reset takes, if that is another than the source: what it was told is told again, too.
    pub replaced: Option<std::sync::Arc<[Event]>>,
}

/// The events of a run that another begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceLog {
    /// Which run's.
    pub run_id: RunId,
    /// All of them.
    pub events: std::sync::Arc<[Event]>,
}

/// The signal of a signal-with-start, the update of an update-with-start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithStart {
    /// Its name.
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
