//! What the host does after a commit.

use serde::{Deserialize, Serialize};

use crate::{ActivityId, Identity, TimerId, Timestamp};

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
            Self::IndexOpen => EffectKey::IndexOpen,
            Self::IndexClosed => EffectKey::IndexClosed,
        }
    }

    /// Whether the effect stays pending after its run has closed.
    pub fn outlives_run(&self) -> bool {
        matches!(self, Self::CancelActivity { .. } | Self::IndexClosed)
    }
}
