//! What becomes of activities.

use serde::{Deserialize, Serialize};

use crate::{ActivityFailure, ActivityId, ActivityOptions, Fault, Payload, RequestId, TaskQueue, Timestamp};

/// The code called an activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityScheduled {
    /// The call's number.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// Where its tasks wait.
    pub task_queue: TaskQueue,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// Time limits and retries.
    #[serde(default)]
    pub options: ActivityOptions,
    /// The secret of its completion tokens, if it is one that completes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An attempt failed and another follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityAttemptFailed {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The attempt that failed.
    pub attempt: u32,
    /// The attempt that follows; workers that vanished used up those between.
    pub next_attempt: u32,
    /// When the next attempt is available.
    pub retry_at: Timestamp,
    /// Why it failed.
    pub fault: Fault,
}

/// An attempt gave the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityCompleted {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The attempt that did.
    pub attempt: u32,
    /// The result.
    #[serde(default)]
    pub result: Payload,
}

/// The activity ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityFailed {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Why.
    pub failure: ActivityFailure,
}

/// The code no longer waits for the activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityCancelRequested {
    /// Which activity.
    pub activity_id: ActivityId,
    /// The code goes on waiting for how the activity ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

/// A local activity gave its result, within the turn that asked for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalActivityCompleted {
    /// The call's number.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// How many attempts it took.
    pub attempts: u32,
    /// The result.
    #[serde(default)]
    pub result: Payload,
}

/// A local activity ended without a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalActivityFailed {
    /// The call's number.
    pub activity_id: ActivityId,
    /// Why.
    pub failure: ActivityFailure,
}

/// Somebody held back an activity: no attempt follows the one that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityPaused {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Who, and why.
    pub reason: String,
    /// The pause request.
    pub request_id: RequestId,
}

/// The activity's attempts go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityUnpaused {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Its attempt from here on; a task of an earlier one may still wait in its queue, and is void.
    pub attempt: u32,
    /// The unpause request.
    pub request_id: RequestId,
}

/// Somebody wanted the next attempt at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityRetryRequested {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Its attempt from here on; the one that waited for its time is void.
    pub attempt: u32,
    /// The retry request.
    pub request_id: RequestId,
}
