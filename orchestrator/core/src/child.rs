//! A child workflow: who started it, and how it is to be run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{millis, whole_millis};
use crate::{ChildId, IdReuse, Payload, RequestId, RunId, WorkflowId};

/// Which call of which run started a workflow as its child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The parent's workflow id.
    pub workflow_id: WorkflowId,
    /// The parent's run.
    pub run_id: RunId,
    /// The call's number in that run.
    pub child_id: ChildId,
}

impl Parent {
    /// The request that starts the child: the same call starts it once.
    pub fn start_request(&self) -> RequestId {
        self.request("child")
    }

    /// The request that stops the child.
    pub fn stop_request(&self, how: StopChild) -> RequestId {
        self.request(match how {
            StopChild::Cancel => "cancel",
            StopChild::Terminate => "terminate",
        })
    }

    fn request(&self, what: &str) -> RequestId {
        RequestId::own(what, self.run_id, self.child_id)
    }
}

/// How a child is made to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopChild {
    /// It is asked to.
    #[default]
    Cancel,
    /// By force.
    Terminate,
}

impl StopChild {
    pub(crate) fn is_cancel(&self) -> bool {
        *self == Self::Cancel
    }
}

/// What becomes of an open child when its parent's run closes; one that continues as new closes too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentClose {
    /// It is ended by force.
    #[default]
    Terminate,
    /// It is asked to stop.
    Cancel,
    /// It goes on, and nobody hears of its end.
    Abandon,
}

impl ParentClose {
    pub(crate) fn stop(self) -> Option<StopChild> {
        match self {
            Self::Terminate => Some(StopChild::Terminate),
            Self::Cancel => Some(StopChild::Cancel),
            Self::Abandon => None,
        }
    }
}

/// How a child is to be run. Times are written in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChildOptions {
    /// What becomes of it when the parent's run closes.
    #[serde(skip_serializing_if = "is_default")]
    pub parent_close: ParentClose,
    /// Whether the id of a closed run may be used again.
    #[serde(skip_serializing_if = "is_default")]
    pub id_reuse: IdReuse,
    /// How long the child may take, the runs that it continues as included.
    #[serde(
        rename = "execution_timeout_ms",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub execution_timeout: Option<Duration>,
    /// How long each of its runs may take.
    #[serde(rename = "run_timeout_ms", with = "millis::optional", skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Duration>,
    /// Notes for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memo: Option<Payload>,
    /// Values to filter lists by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Payload>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ChildOptions {
    /// The options as the log will give them back: whole milliseconds.
    #[must_use]
    pub fn written(self) -> Self {
        Self {
            execution_timeout: self.execution_timeout.map(whole_millis),
            run_timeout: self.run_timeout.map(whole_millis),
            ..self
        }
    }
}
