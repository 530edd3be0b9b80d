//! Messages: what may come through the inbox, what travels between the system's own parts, and the checks at the door.

use std::borrow::Cow;
use std::time::Duration;

use millrace_core::{
    ActivityId, ActivityOutcome, IdConflict, IdReuse, Message, Namespace, OutcomeResult, Payload, RequestId,
    RunId, Start, StartSignal, Task, TimerId, WorkflowId, WorkflowType,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// The version of the message contract.
pub const VERSION: u32 = 1;

/// A message that can never be understood (G10): the error names the field and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadMessage(pub String);

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

/// A message of the public contract, version 1: what anyone may send to the inbox. JSON objects told apart by `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InboxMessage {
    /// Begin a run.
    Start(StartMessage),
    /// Tell a run something.
    Signal(SignalMessage),
    /// Ask a run to stop.
    Cancel(StopMessage),
    /// End a run by force.
    Terminate(StopMessage),
    /// Try a blocked run again now.
    Resume(ResumeMessage),
}

/// What every inbox message may carry.
macro_rules! inbox_message {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            #[doc(hidden)]
            #[serde(rename = "type", default, skip_serializing)]
            pub kind: Ignored,
            /// The contract's version; 1 if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub v: Option<u32>,
            /// The workflow id.
            pub id: WorkflowId,
            /// The run that is meant; the current one if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub run_id: Option<RunId>,
            /// The namespace; `default` if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub namespace: Option<Namespace>,
            /// Makes the request count once; the queue's message id if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub request_id: Option<RequestId>,
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

/// Stands for the `type` field, which has been read before.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

inbox_message!(
    /// `{"type":"start","workflow":"TrainTestDeploy","id":"digits-42","input":{…}}`
    StartMessage {
        /// The workflow's type.
        workflow: WorkflowType,
        /// Its input; `null` if absent.
        #[serde(default)]
        input: Payload,
        /// Whether the id of a closed run may be used again.
        #[serde(default)]
        id_reuse: IdReuse,
        /// What happens if a run of this id is open.
        #[serde(default)]
        id_conflict: IdConflict,
        /// How long the workflow may take, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution_timeout_s: Option<f64>,
        /// How long this run may take, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_timeout_s: Option<f64>,
        /// Notes for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memo: Option<Payload>,
        /// Values to filter lists by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attributes: Option<Payload>,
        /// A signal to deliver with the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<StartSignal>,
    }
);

inbox_message!(
    /// `{"type":"signal","id":"digits-42","name":"approve","input":{…}}`
    SignalMessage {
        /// The signal's name.
        name: String,
        /// What it carries; `null` if absent.
        #[serde(default)]
        input: Payload,
    }
);

inbox_message!(
    /// `{"type":"cancel","id":"digits-42","reason":"superseded"}`, and `terminate` alike.
    StopMessage {
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
    }
);

inbox_message!(
    /// `{"type":"resume","id":"digits-42"}`
    ResumeMessage {}
);

/// A message of the system's own: it may come only through the events queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventMessage {
    /// The contract's version.
    pub v: u32,
    /// Whose bucket keys it is about; several namespaces may share the queues.
    pub namespace: Namespace,
    /// Whose.
    pub workflow_id: WorkflowId,
    /// Which run's.
    pub run_id: RunId,
    /// What it reports.
    #[serde(flatten)]
    pub report: Report,
}

/// What a message of the system's own reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// An activity attempt ended.
    Outcome(ActivityOutcome),
    /// A timer is due.
    Timer {
        /// Which timer.
        timer_id: TimerId,
    },
    /// A wake is due.
    Wake {
        /// Which wake.
        wake: u64,
    },
}

const PUBLIC: [&str; 5] = ["start", "signal", "cancel", "terminate", "resume"];
const INTERNAL: [&str; 3] = ["outcome", "timer", "wake"];

/// Reads a message from the inbox. `message_id` is its request id if it names none.
pub fn read_inbox(body: &str, message_id: &str) -> Result<Addressed, BadMessage> {
    let kind = kind_of(body)?;
    match kind.as_ref() {
        "start" => start(typed(body)?, message_id),
        "signal" => {
            let m: SignalMessage = typed(body)?;
            if m.name.is_empty() {
                return Err(BadMessage("name: a signal needs a name".into()));
            }
            let (name, input) = (m.name, m.input);
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                Message::Signal { name, input, request_id }
            })
        }
        "cancel" | "terminate" => {
            let m: StopMessage = typed(body)?;
            let reason = m.reason;
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                match kind.as_ref() {
                    "cancel" => Message::Cancel { reason, request_id },
                    _ => Message::Terminate { reason, request_id },
                }
            })
        }
        "resume" => {
            let m: ResumeMessage = typed(body)?;
            let from = (m.request_id, message_id);
            address((m.v, m.namespace, m.id, m.run_id), from, |request_id| Message::Resume { request_id })
        }
        internal if INTERNAL.contains(&internal) => Err(BadMessage(format!(
            "type: `{internal}` is an internal message; it is not accepted through the inbox"
        ))),
        other => {
            Err(BadMessage(format!("type: `{other:.100}` is unknown; use one of {}", PUBLIC.join(", "))))
        }
    }
}

fn start(m: StartMessage, message_id: &str) -> Result<Addressed, BadMessage> {
    let limits = [("execution_timeout_s", m.execution_timeout_s), ("run_timeout_s", m.run_timeout_s)];
    let mut run_timeout: Option<Duration> = None;
    for (field, seconds) in limits {
        let Some(seconds) = seconds else { continue };
        let limit = Duration::try_from_secs_f64(seconds).ok().filter(|d| *d >= Duration::from_millis(1));
        let limit =
            limit.ok_or_else(|| BadMessage(format!("{field}: {seconds} is not a time above 0.001 s")))?;
        run_timeout = Some(run_timeout.map_or(limit, |other| other.min(limit)));
    }
    if m.run_id.is_some() {
        return Err(BadMessage("run_id: a start makes a new run; leave it out".into()));
    }
    address((m.v, m.namespace, m.id, None), (m.request_id, message_id), |request_id| {
        Message::Start(Box::new(Start {
            workflow: m.workflow,
            input: m.input,
            request_id,
            id_reuse: m.id_reuse,
            id_conflict: m.id_conflict,
            run_timeout,
            memo: m.memo,
            attributes: m.attributes,
            signal: m.signal,
        }))
    })
}

type Address = (Option<u32>, Option<Namespace>, WorkflowId, Option<RunId>);

fn address(
    (v, namespace, workflow_id, run_id): Address,
    (request_id, message_id): (Option<RequestId>, &str),
    message: impl FnOnce(RequestId) -> Message,
) -> Result<Addressed, BadMessage> {
    if v.is_some_and(|v| v != VERSION) {
        return Err(BadMessage(format!("v: this build understands version {VERSION}")));
    }
    let request_id = match request_id {
        Some(id) => id,
        None => RequestId::new(message_id).map_err(|e| BadMessage(format!("request_id: {e}")))?,
    };
    Ok(Addressed {
        namespace: namespace.unwrap_or_default(),
        workflow_id,
        run_id,
        message: message(request_id),
    })
}

/// A message of one of the internal kinds, read in one pass: outcomes are the most frequent messages of all.
#[derive(Deserialize)]
struct OutcomeReport {
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    run_id: RunId,
    activity_id: ActivityId,
    attempt: u32,
    receive_count: u32,
    result: OutcomeResult,
}

#[derive(Deserialize)]
struct TimerReport {
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    run_id: RunId,
    timer_id: TimerId,
}

#[derive(Deserialize)]
struct WakeReport {
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    run_id: RunId,
    wake: u64,
}

/// Reads a message from the events queue.
pub fn read_event(body: &str) -> Result<Addressed, BadMessage> {
    let kind = kind_of(body)?;
    let (namespace, workflow_id, run_id, message) = match kind.as_ref() {
        "outcome" => {
            let OutcomeReport { namespace, workflow_id, run_id, activity_id, attempt, receive_count, result } =
                typed(body)?;
            let outcome = ActivityOutcome { activity_id, attempt, receive_count, result };
            (namespace, workflow_id, run_id, Message::Outcome(outcome))
        }
        "timer" => {
            let TimerReport { namespace, workflow_id, run_id, timer_id } = typed(body)?;
            (namespace, workflow_id, run_id, Message::Timer { timer_id })
        }
        "wake" => {
            let WakeReport { namespace, workflow_id, run_id, wake } = typed(body)?;
            (namespace, workflow_id, run_id, Message::Wake { wake })
        }
        other => {
            let known = INTERNAL.join(", ");
            return Err(BadMessage(format!(
                "type: `{other:.100}` does not belong in the events queue ({known})"
            )));
        }
    };
    Ok(Addressed { namespace, workflow_id, run_id: Some(run_id), message })
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
            BadMessage(format!("type: a JSON object with a text `type` is expected: {e}"))
        }
        _ => BadMessage(format!("the message is not JSON: {e}")),
    })?;
    kind.kind.ok_or_else(|| BadMessage(format!("type: is missing; use one of {}", PUBLIC.join(", "))))
}

/// Reads a message; only one that cannot be read is read again, slowly, to find the field.
fn typed<T: DeserializeOwned>(body: &str) -> Result<T, BadMessage> {
    let error = match serde_json::from_str(body) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    let mut json = serde_json::Deserializer::from_str(body);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(e) if e.path().iter().len() > 0 => Err(BadMessage(format!("{}: {}", e.path(), e.inner()))),
        _ => Err(BadMessage(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
