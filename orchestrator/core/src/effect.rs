//! What the host does after a commit.

use serde::{Deserialize, Serialize};

use crate::{ActivityId, ChildId, Identity, SentId, StopChild, TimerId, Timestamp, WorkflowId, WorkflowType};

/// Work for the host, recorded in the header before it is done (G1) and kept there until the log shows that it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Send the task of an activity attempt, to be available at a time.
    SendTask {
        /// Which activity.
        activity_id: ActivityId,
        /// Which attempt.
        attempt: u32,
        /// Not before.
        at: Timestamp,
    },
    /// Send the timer's message, to arrive at its time.
    SendTimer {
        /// Which timer.
        timer_id: TimerId,
        /// When it is due.
        at: Timestamp,
    },
    /// Send a wake, to arrive at its time.
    SendWake {
        /// Which wake.
        wake: u64,
        /// When it is due.
        at: Timestamp,
    },
    /// Tell a running attempt, through its lease, that nobody waits for it.
    CancelActivity {
        /// Which activity.
        activity_id: ActivityId,
        /// Why.
        reason: String,
    },
    /// Send a child's start.
    SendStart {
        /// Which child.
        child_id: ChildId,
        /// Since when.
        at: Timestamp,
    },
    /// Ask a child to stop, or end it by force.
    StopChild {
        /// Which child.
        child_id: ChildId,
        /// Its workflow id.
        workflow_id: WorkflowId,
        /// Its workflow type.
        workflow: WorkflowType,
        /// How.
        how: StopChild,
        /// Why.
        reason: String,
        /// Since when.
        at: Timestamp,
    },
    /// Tell the parent how this run ended.
    ReportToParent,
    /// Send a signal, or a cancel request, to another workflow.
    Send {
        /// Which call.
        sent_id: SentId,
        /// Since when.
        at: Timestamp,
    },
    /// Write the run's entry in the index of open runs.
    IndexOpen,
    /// Move the run's entry to the index of closed runs.
    IndexClosed,
}

/// An effect and the guard that repairs it (G4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingEffect {
    /// The message whose redelivery does the effect again.
    pub guard: Identity,
    /// What is to be done.
    pub effect: Effect,
}

/// What an effect is about. A run has at most one pending effect about each: a later attempt replaces the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EffectKey {
    /// The current attempt of an activity.
    Task(ActivityId),
    /// A timer.
    Timer(TimerId),
    /// The run's one wake.
    Wake,
    /// The cancel request of an activity.
    Cancel(ActivityId),
    /// The start of a child.
    Start(ChildId),
    /// The end of a child.
    Stop(ChildId),
    /// What the parent is told.
    Parent,
    /// What another workflow is told.
    Send(SentId),
    /// The entry in the index of open runs.
    IndexOpen,
    /// The entry in the index of closed runs.
    IndexClosed,
}

impl Effect {
    /// What the effect is about.
    pub fn key(&self) -> EffectKey {
        match self {
            Self::SendTask { activity_id, .. } => EffectKey::Task(*activity_id),
            Self::SendTimer { timer_id, .. } => EffectKey::Timer(*timer_id),
            Self::SendWake { .. } => EffectKey::Wake,
            Self::CancelActivity { activity_id, .. } => EffectKey::Cancel(*activity_id),
            Self::SendStart { child_id, .. } => EffectKey::Start(*child_id),
            Self::StopChild { child_id, .. } => EffectKey::Stop(*child_id),
            Self::ReportToParent => EffectKey::Parent,
            Self::Send { sent_id, .. } => EffectKey::Send(*sent_id),
            Self::IndexOpen => EffectKey::IndexOpen,
            Self::IndexClosed => EffectKey::IndexClosed,
        }
    }

    /// Whether the effect stays pending after its run has closed.
    pub fn outlives_run(&self) -> bool {
        !matches!(
            self,
            Self::SendTask { .. }
                | Self::SendTimer { .. }
                | Self::SendWake { .. }
                | Self::SendStart { .. }
                | Self::IndexOpen
        )
    }

    /// When another workflow was first told this, if it goes by the request's id: such ids are not remembered for ever.
    pub fn told_at(&self) -> Option<Timestamp> {
        match self {
            Self::SendStart { at, .. } | Self::StopChild { at, .. } | Self::Send { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// Whether no later event will say that the effect was done: it stays pending until somebody who did it says so.
    pub fn has_no_answer(&self) -> bool {
        self.outlives_run() || *self == Self::IndexOpen
    }
}
