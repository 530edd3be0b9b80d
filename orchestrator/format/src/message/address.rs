//! What all inbox messages have in common.

use millrace_core::{Namespace, RequestId, RunId, WorkflowId};

use super::InboxMessage;

/// The same for every message: those of a workflow, and those of a token, which names its workflow.
macro_rules! each {
    ($message:expr, $m:ident => $of_workflow:expr, $t:ident => $of_token:expr) => {
        match $message {
            InboxMessage::Start($m) => $of_workflow,
            InboxMessage::Signal($m) | InboxMessage::Update($m) => $of_workflow,
            InboxMessage::Cancel($m) | InboxMessage::Terminate($m) => $of_workflow,
            InboxMessage::Resume($m) => $of_workflow,
            InboxMessage::Pause($m) => $of_workflow,
            InboxMessage::Unpause($m) => $of_workflow,
            InboxMessage::Retry($m) => $of_workflow,
            InboxMessage::Reset($m) => $of_workflow,
            InboxMessage::Fork($m) => $of_workflow,
            InboxMessage::Complete($t) => $of_token,
            InboxMessage::Fail($t) => $of_token,
        }
    };
}

impl InboxMessage {
    /// The workflow it is for.
    pub fn workflow_id(&self) -> &WorkflowId {
        each!(self, m => &m.id, t => &t.token.workflow_id)
    }

    /// The run that is meant, if one is named.
    pub fn run_id(&self) -> Option<RunId> {
        each!(self, m => m.run_id, t => Some(t.token.run_id))
    }

    /// What makes it count once, if the sender has said.
    pub fn request_id(&self) -> Option<&RequestId> {
        each!(self, m => m.request_id.as_ref(), t => t.request_id.as_ref())
    }

    /// What a sender may leave to whoever passes the message on.
    pub fn to_complete(&mut self) -> (&mut Option<Namespace>, &mut Option<RequestId>) {
        each!(self, m => (&mut m.namespace, &mut m.request_id), t => (&mut t.namespace, &mut t.request_id))
    }

    /// Whether it makes a run, where others need one.
    pub fn begins_run(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Reset(_) | Self::Fork(_))
    }
}
