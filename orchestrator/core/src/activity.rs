//! An activity call: what the workflow asked for, what a worker is told, what it answers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::time::{millis, whole_millis};
use crate::{
    ActivityId, Fault, Headers, Namespace, Payload, RetryPolicy, RunId, TaskQueue, Timestamp, WorkflowId,
    WorkflowType,
};

/// How an activity is to be run. Times are written in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActivityOptions {
    /// How long one attempt may run.
    #[serde(rename = "start_to_close_ms", with = "millis")]
    pub start_to_close: Duration,
    /// How long all attempts may take together, waits included.
    #[serde(
        rename = "schedule_to_close_ms",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub schedule_to_close: Option<Duration>,
    /// How long the task may wait for a worker.
    #[serde(
        rename = "schedule_to_start_ms",
        with = "millis::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub schedule_to_start: Option<Duration>,
    /// The longest silence between two heartbeats.
    #[serde(rename = "heartbeat_ms", with = "millis::optional", skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// What follows a failed attempt.
    pub retry: RetryPolicy,
    /// At most one attempt holds the activity's lease at a time (G11).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// An attempt may end without an outcome: whoever has its token reports that later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub completes_later: bool,
}

impl Default for ActivityOptions {
    fn default() -> Self {
        Self {
            start_to_close: Duration::from_secs(10 * 60),
            schedule_to_close: None,
            schedule_to_start: None,
            heartbeat: None,
            retry: RetryPolicy::default(),
            exclusive: false,
            completes_later: false,
        }
    }
}

impl ActivityOptions {
    /// SQS keeps a message invisible for at most 12 hours in all; an attempt that may come near it holds a lease.
    pub const LONGEST_WITHOUT_LEASE: Duration = Duration::from_secs(11 * 3600);

    /// Whether its code must not run twice, whatever becomes of whoever runs it: an exclusive activity of one attempt.
    pub fn runs_at_most_once(&self) -> bool {
        self.exclusive && self.retry.maximum_attempts == 1
    }

    /// The options as the log will give them back: whole milliseconds, and only numbers that JSON can write.
    #[must_use]
    pub fn written(self) -> Self {
        Self {
            start_to_close: whole_millis(self.start_to_close),
            schedule_to_close: self.schedule_to_close.map(whole_millis),
            schedule_to_start: self.schedule_to_start.map(whole_millis),
            heartbeat: self.heartbeat.map(whole_millis),
            retry: self.retry.written(),
            ..self
        }
    }

    /// Whether an attempt keeps a lease object: to be the only one, to leave details, or to outlive its message.
    pub fn needs_lease(&self) -> bool {
        self.exclusive || self.heartbeat.is_some() || self.start_to_close > Self::LONGEST_WITHOUT_LEASE
    }
}

/// The message that carries one activity attempt to a worker: everything it needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The message contract's version.
    pub v: u32,
    /// Whose bucket keys it is about; several namespaces may share the queues.
    #[serde(default)]
    pub namespace: Namespace,
    /// Whose activity it is.
    pub workflow_id: WorkflowId,
    /// Which run of it.
    pub run_id: RunId,
    /// The type of the workflow, for logs.
    pub workflow: WorkflowType,
    /// The activity's number in the run.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// Where it waits.
    pub task_queue: TaskQueue,
    /// The attempt that this task carries, from 1.
    pub attempt: u32,
    /// The activity's input.
    pub input: Payload,
    /// When the activity was scheduled; schedule-to-close counts from here.
    pub scheduled_at: Timestamp,
    /// When this attempt was to be available; schedule-to-start counts from here.
    pub available_at: Timestamp,
    /// Time limits and retries.
    pub options: ActivityOptions,
    /// With which somebody else may report the outcome, if the activity is one that completes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CompletionToken>,
    /// What the run was started with.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
}

/// Stands for one attempt of an activity that completes later: whoever has it may report how the attempt ended. A text
/// without blanks or quotes; its 128 random bits are in the log and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionToken {
    /// Whose activity it is.
    pub workflow_id: WorkflowId,
    /// Which run of it.
    pub run_id: RunId,
    /// The activity's number in the run.
    pub activity_id: ActivityId,
    /// Which attempt.
    pub attempt: u32,
    /// What nobody can guess.
    pub secret: String,
}

impl fmt::Display for CompletionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflow_id, run_id, activity_id, attempt, secret } = self;
        write!(f, "{activity_id}.{attempt}.{run_id}.{secret}.{workflow_id}")
    }
}

impl FromStr for CompletionToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "it is not a completion token".to_owned();
        // The workflow id comes last, because it may contain dots.
        let mut parts = text.splitn(5, '.');
        let mut part = || parts.next().ok_or_else(invalid);
        let activity_id = part()?.parse().map_err(|_| invalid())?;
        let attempt = part()?.parse().map_err(|_| invalid())?;
        let run_id = part()?.parse().map_err(|_| invalid())?;
        let secret = part()?.to_owned();
        let workflow_id = part()?.parse().map_err(|_| invalid())?;
        Ok(Self { workflow_id, run_id, activity_id, attempt, secret })
    }
}

impl Serialize for CompletionToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CompletionToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What a worker reports about one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityOutcome {
    /// Which activity.
    pub activity_id: ActivityId,
    /// Which attempt.
    pub attempt: u32,
    /// How often the task had been received: above 1, workers vanished before this one.
    pub receive_count: u32,
    /// How it went.
    pub result: OutcomeResult,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeResult {
    /// The activity's result.
    Completed(Payload),
    /// Why there is none; retryable or not is for the retry policy to say.
    Failed(Fault),
}

/// A local activity that the code asks for: run within the turn, by whoever makes the turn.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalActivity {
    /// The call's number in the run.
    pub activity_id: ActivityId,
    /// The activity's name.
    pub activity: String,
    /// Its input.
    pub input: Payload,
    /// Time limits and retries.
    pub options: ActivityOptions,
}
