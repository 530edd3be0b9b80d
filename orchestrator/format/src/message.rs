//! Messages: what may come through the inbox, what travels between the system's own parts, and the checks at the door.

mod address;
mod standalone;

use std::borrow::Cow;
use std::time::Duration;

use millrace_core::{
    ActivityId, ActivityOutcome, ApplicationFailure, ChildId, ChildOptions, CompletionToken, Fault, Fork,
    Headers, IdConflict, IdReuse, Message, Namespace, OutcomeResult, Parent, Payload, RequestId, RunId,
    Start, Stop, Task, TimerId, WithStart, WorkflowId, WorkflowType, check_headers,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::Attributes;
pub use address::read_request;
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

/// A message of the public contract, version 1: what anyone may send to the inbox. JSON objects told apart by `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InboxMessage {
    /// Begin a run.
    Start(StartMessage),
    /// Tell a run something.
    Signal(SignalMessage),
    /// Ask a run something that it answers.
    Update(SignalMessage),
    /// Ask a run to stop.
    Cancel(StopMessage),
    /// End a run by force.
    Terminate(StopMessage),
    /// Try a blocked run again now.
    Resume(ResumeMessage),
    /// Hold back the code, or the attempts of one of its activities.
    Pause(PauseMessage),
    /// Go on with what was held back.
    Unpause(UnpauseMessage),
    /// Make the attempt that an activity waits for now.
    Retry(RetryMessage),
    /// Replace the run by one that begins with its first events.
    Reset(ResetMessage),
    /// Begin a run with the first events of another workflow's.
    Fork(ForkMessage),
    /// Give the result of an activity that completes later.
    Complete(CompleteMessage),
    /// Say why there is none.
    Fail(FailMessage),
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

        impl $name {
            /// A message for the workflow's current run; whoever passes it on completes it.
            #[allow(clippy::too_many_arguments, reason = "one for each field of the contract")]
            pub fn new(id: WorkflowId $(, $field: $type)*) -> Self {
                let (v, run_id, namespace, request_id) = (None, None, None, None);
                Self { kind: Ignored, v, id, run_id, namespace, request_id $(, $field)* }
            }

            /// The same for one run of it.
            #[must_use]
            pub fn of_run(self, run_id: Option<RunId>) -> Self {
                Self { run_id, ..self }
            }
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
        /// What is handed on to everything that comes of it, such as a `traceparent`.
        #[serde(default, skip_serializing_if = "Headers::is_empty")]
        headers: Headers,
        /// How long the code waits before it begins, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_delay_s: Option<f64>,
        /// A signal to deliver with the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<WithStart>,
        /// An update to deliver with the start; its answer goes by the start's request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        update: Option<WithStart>,
    }
);

inbox_message!(
    /// `{"type":"signal","id":"digits-42","name":"approve","input":{…}}`, and `update` alike.
    SignalMessage {
        /// The signal's, or the update's name.
        name: String,
        /// What it carries; `null` if absent.
        #[serde(default)]
        input: Payload,
        /// Only of a signal: the request id of the one that comes before it. It waits for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<RequestId>,
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

inbox_message!(
    /// `{"type":"pause","id":"digits-42","reason":"the vendor is down"}`
    PauseMessage {
        /// The activity whose attempts are held back; the run's code if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activity_id: Option<ActivityId>,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
    }
);

inbox_message!(
    /// `{"type":"unpause","id":"digits-42"}`
    UnpauseMessage {
        /// The activity; the run's code if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activity_id: Option<ActivityId>,
    }
);

inbox_message!(
    /// `{"type":"retry","id":"digits-42","activity_id":3}`
    RetryMessage {
        /// The activity that waits for its next attempt.
        activity_id: ActivityId,
    }
);

inbox_message!(
    /// `{"type":"reset","id":"digits-42","run_id":"…","event":17,"reason":"a bug in the scoring"}`. `run_id` names the run
    /// whose events are taken, and must be there; whatever run is open is replaced.
    ResetMessage {
        /// The last event that the new run takes over.
        event: u64,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
        /// Whether the new run is told the signals that came after that event.
        #[serde(default = "yes")]
        reapply: bool,
    }
);

inbox_message!(
    /// `{"type":"fork","id":"digits-42-b","from":"digits-42","event":17}`
    ForkMessage {
        /// The workflow whose events are taken.
        from: WorkflowId,
        /// Its run; the current one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_run_id: Option<RunId>,
        /// The last event that the new run takes over.
        event: u64,
        /// Who wants that, and why.
        #[serde(default)]
        reason: String,
        /// Whether the new run is told the signals that came after that event.
        #[serde(default = "yes")]
        reapply: bool,
    }
);

fn yes() -> bool {
    true
}

/// `{"type":"complete","token":"…","result":{…}}`. The token says for whom it is, and counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompleteMessage {
    #[doc(hidden)]
    #[serde(rename = "type", default, skip_serializing)]
    pub kind: Ignored,
    /// The contract's version; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// The namespace; `default` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Only for the sender: the token makes it count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The attempt's token.
    pub token: CompletionToken,
    /// The activity's result; `null` if absent.
    #[serde(default)]
    pub result: Payload,
}

/// `{"type":"fail","token":"…","failure":{"type":"Rejected","message":"…"}}`. The retry policy says what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailMessage {
    #[doc(hidden)]
    #[serde(rename = "type", default, skip_serializing)]
    pub kind: Ignored,
    /// The contract's version; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v: Option<u32>,
    /// The namespace; `default` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Only for the sender: the token makes it count once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The attempt's token.
    pub token: CompletionToken,
    /// Why there is no result.
    pub failure: ApplicationFailure,
}

/// A message of the system's own: it may come only through the events queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventMessage {
    /// The contract's version.
    pub v: u32,
    /// Whose bucket keys it is about; several namespaces may share the queues.
    pub namespace: Namespace,
    /// Whose.
    pub workflow_id: WorkflowId,
    /// Which run's; the current one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
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
    /// A child ended, or could not be started.
    ChildOutcome {
        /// Which child.
        child_id: ChildId,
        /// How it went.
        result: OutcomeResult,
    },
    /// A run starts a child.
    StartChild(Box<StartChild>),
    /// A run makes its child stop.
    StopChild(Box<Stop>),
    /// A run tells another workflow something.
    Signal {
        /// The signal's name.
        name: String,
        /// What it carries.
        input: Payload,
        /// Makes it count once.
        request_id: RequestId,
    },
    /// A run asks another workflow to stop.
    Cancel {
        /// Why.
        reason: String,
        /// Makes it count once.
        request_id: RequestId,
    },
}

/// What a run says when it starts a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartChild {
    /// The child's workflow type.
    pub workflow: WorkflowType,
    /// Its input.
    #[serde(default)]
    pub input: Payload,
    /// How it is to be run.
    #[serde(default)]
    pub options: ChildOptions,
    /// The call that starts it.
    pub parent: Parent,
    /// What the parent was started with.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
}

const PUBLIC: [&str; 13] = [
    "start",
    "signal",
    "update",
    "cancel",
    "terminate",
    "resume",
    "pause",
    "unpause",
    "retry",
    "reset",
    "fork",
    "complete",
    "fail",
];
/// `signal` and `cancel` too may come through the events queue: from runs.
const INTERNAL: [&str; 6] = ["outcome", "timer", "wake", "child_outcome", "start_child", "stop_child"];

/// Whether a message of this type may come through the inbox.
pub fn is_request(kind: &str) -> bool {
    PUBLIC.contains(&kind)
}

/// Reads a message from the inbox. `message_id` is its request id if it names none.
pub fn read_inbox(body: &str, message_id: &str) -> Result<Addressed, BadMessage> {
    let kind = kind_of(body)?;
    match kind.as_ref() {
        "start" => start(typed(body)?, message_id),
        "signal" | "update" => {
            let m: SignalMessage = typed(body)?;
            if m.name.is_empty() {
                let what = if kind == "signal" { "a signal" } else { "an update" };
                return Err(BadMessage(format!("name: {what} needs a name")));
            }
            let (name, input, after) = (m.name, m.input, m.after);
            if kind == "update" && after.is_some() {
                return Err(BadMessage("after: only a signal waits for another; leave it out".into()));
            }
            if after.is_some() && after == m.request_id {
                return Err(BadMessage("after: it names the signal itself; name the one before".into()));
            }
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                match kind.as_ref() {
                    "signal" => Message::Signal { name, input, request_id, after },
                    _ => Message::Update { name, input, request_id },
                }
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
        "pause" => {
            let m: PauseMessage = typed(body)?;
            let (activity_id, reason) = (m.activity_id, m.reason);
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                Message::Pause { activity_id, reason, request_id }
            })
        }
        "unpause" => {
            let m: UnpauseMessage = typed(body)?;
            let activity_id = m.activity_id;
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                Message::Unpause { activity_id, request_id }
            })
        }
        "retry" => {
            let m: RetryMessage = typed(body)?;
            let activity_id = m.activity_id;
            address((m.v, m.namespace, m.id, m.run_id), (m.request_id, message_id), |request_id| {
                Message::Retry { activity_id, request_id }
            })
        }
        "reset" => {
            let m: ResetMessage = typed(body)?;
            if m.run_id.is_none() {
                // A reset is two commits: between them, or before the first, another run may have taken the place.
                return Err(BadMessage(
                    "run_id: name the run whose event is meant, as `show` prints it".into(),
                ));
            }
            let (source, source_run, cut) = (m.id.clone(), m.run_id, (m.event, m.reapply, m.reason));
            address((m.v, m.namespace, m.id, None), (m.request_id, message_id), |request_id| {
                fork((source, source_run), cut, true, request_id)
            })
        }
        "fork" => {
            let m: ForkMessage = typed(body)?;
            if m.run_id.is_some() {
                return Err(BadMessage(
                    "run_id: a fork makes a new run; `from_run_id` names the source".into(),
                ));
            }
            if m.from == m.id {
                return Err(BadMessage("from: it is the same workflow; use `reset`, or another id".into()));
            }
            let (source, cut) = ((m.from, m.from_run_id), (m.event, m.reapply, m.reason));
            address((m.v, m.namespace, m.id, None), (m.request_id, message_id), |request_id| {
                fork(source, cut, false, request_id)
            })
        }
        "complete" => {
            let m: CompleteMessage = typed(body)?;
            completion((m.v, m.namespace), m.token, OutcomeResult::Completed(m.result))
        }
        "fail" => {
            let m: FailMessage = typed(body)?;
            let fault = Fault::Application(m.failure);
            completion((m.v, m.namespace), m.token, OutcomeResult::Failed(fault))
        }
        internal if INTERNAL.contains(&internal) => Err(BadMessage(format!(
            "type: `{internal}` is an internal message; it is not accepted through the inbox"
        ))),
        other => {
            Err(BadMessage(format!("type: `{other:.100}` is unknown; use one of {}", PUBLIC.join(", "))))
        }
    }
}

fn fork(
    (source, source_run): (WorkflowId, Option<RunId>),
    (event, reapply, reason): (u64, bool, String),
    replaces: bool,
    request_id: RequestId,
) -> Message {
    let log = Err("from: the source was not read".to_owned()); // The orchestrator does, before it decides.
    let replaced = None;
    Message::Fork(Box::new(Fork {
        source,
        source_run,
        event,
        reapply,
        replaces,
        reason,
        request_id,
        log,
        replaced,
    }))
}

fn start(m: StartMessage, message_id: &str) -> Result<Addressed, BadMessage> {
    let run_timeout = time("run_timeout_s", m.run_timeout_s)?;
    let execution_timeout = time("execution_timeout_s", m.execution_timeout_s)?;
    let delay = time("start_delay_s", m.start_delay_s)?;
    if m.signal.is_some() && m.update.is_some() {
        return Err(BadMessage("update: a start carries a signal or an update, not both".into()));
    }
    if let Some(given) = &m.attributes {
        Attributes::check(given).map_err(|bad| BadMessage(format!("attributes: {bad}")))?;
    }
    let workflow = m.workflow.as_str();
    if workflow == STANDALONE_ACTIVITY {
        StandaloneActivity::read(&m.input)?;
    } else if workflow.starts_with("millrace.") && workflow != "millrace.schedule" {
        return Err(BadMessage(format!("workflow: `{workflow}` is the engine's own; only runs start it")));
    }
    check_headers(&m.headers).map_err(BadMessage)?;
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
            execution_timeout,
            delay,
            memo: m.memo,
            attributes: m.attributes,
            headers: m.headers,
            signal: m.signal,
            update: m.update,
            parent: None,
        }))
    })
}

fn time(field: &str, seconds: Option<f64>) -> Result<Option<Duration>, BadMessage> {
    let Some(seconds) = seconds else { return Ok(None) };
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|d| *d >= Duration::from_millis(1));
    time.map(Some).ok_or_else(|| BadMessage(format!("{field}: {seconds} is not a time above 0.001 s")))
}

fn start_child(StartChild { workflow, input, options, parent, headers }: StartChild) -> Message {
    Message::Start(Box::new(Start {
        workflow,
        input,
        request_id: parent.start_request(),
        id_reuse: options.id_reuse,
        id_conflict: IdConflict::Fail,
        run_timeout: options.run_timeout,
        execution_timeout: options.execution_timeout,
        delay: None,
        memo: options.memo,
        attributes: options.attributes,
        headers,
        signal: None,
        update: None,
        parent: Some(parent),
    }))
}

fn completion(
    (v, namespace): (Option<u32>, Option<Namespace>),
    token: CompletionToken,
    result: OutcomeResult,
) -> Result<Addressed, BadMessage> {
    check_version(v)?;
    let CompletionToken { workflow_id, run_id, activity_id, attempt, secret } = token;
    let outcome = ActivityOutcome { activity_id, attempt, receive_count: 1, result };
    Ok(Addressed {
        namespace: namespace.unwrap_or_default(),
        workflow_id,
        run_id: Some(run_id),
        message: Message::Completion { secret, outcome },
    })
}

fn check_version(v: Option<u32>) -> Result<(), BadMessage> {
    match v {
        Some(v) if v != VERSION => Err(BadMessage(format!("v: this build understands version {VERSION}"))),
        _ => Ok(()),
    }
}

type Address = (Option<u32>, Option<Namespace>, WorkflowId, Option<RunId>);

fn address(
    (v, namespace, workflow_id, run_id): Address,
    (request_id, message_id): (Option<RequestId>, &str),
    message: impl FnOnce(RequestId) -> Message,
) -> Result<Addressed, BadMessage> {
    check_version(v)?;
    let request_id = match request_id {
        Some(id) if id.is_own() => {
            return Err(BadMessage(format!(
                "request_id: `{id}` begins like those that runs make; use another"
            )));
        }
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

/// A message of any other internal kind: where it goes, and what the kind says.
#[derive(Deserialize)]
struct Internal<T> {
    #[serde(default)]
    namespace: Namespace,
    workflow_id: WorkflowId,
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(flatten)]
    says: T,
}

#[derive(Deserialize)]
struct TimerSays {
    timer_id: TimerId,
}

#[derive(Deserialize)]
struct WakeSays {
    wake: u64,
}

/// Payloads are kept as the text they came in, which a flattened struct cannot do; so these have their address inside.
macro_rules! report {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Deserialize)]
        struct $name {
            #[serde(default)]
            namespace: Namespace,
            workflow_id: WorkflowId,
            #[serde(default)]
            run_id: Option<RunId>,
            $($(#[$attribute])* $field: $type,)*
        }
    };
}

report!(ChildReport { child_id: ChildId, result: OutcomeResult });
report!(StartReport {
    workflow: WorkflowType,
    #[serde(default)]
    input: Payload,
    #[serde(default)]
    options: ChildOptions,
    parent: Parent,
    #[serde(default)]
    headers: Headers,
});
report!(SignalReport {
    name: String,
    #[serde(default)]
    input: Payload,
    request_id: RequestId,
});
report!(CancelReport {
    #[serde(default)]
    reason: String,
    request_id: RequestId,
});

/// Reads a message from the events queue.
pub fn read_event(body: &str) -> Result<Addressed, BadMessage> {
    let kind = kind_of(body)?;
    macro_rules! addressed {
        ($report:ident, $message:expr) => {
            Addressed {
                namespace: $report.namespace,
                workflow_id: $report.workflow_id,
                run_id: $report.run_id,
                message: $message,
            }
        };
    }
    Ok(match kind.as_ref() {
        "outcome" => {
            let OutcomeReport { namespace, workflow_id, run_id, activity_id, attempt, receive_count, result } =
                typed(body)?;
            let outcome = ActivityOutcome { activity_id, attempt, receive_count, result };
            Addressed { namespace, workflow_id, run_id: Some(run_id), message: Message::Outcome(outcome) }
        }
        "timer" => {
            let report: Internal<TimerSays> = typed(body)?;
            addressed!(report, Message::Timer { timer_id: report.says.timer_id })
        }
        "wake" => {
            let report: Internal<WakeSays> = typed(body)?;
            addressed!(report, Message::Wake { wake: report.says.wake })
        }
        "stop_child" => {
            let report: Internal<Stop> = typed(body)?;
            addressed!(report, Message::Stop(Box::new(report.says)))
        }
        "child_outcome" => {
            let report: ChildReport = typed(body)?;
            addressed!(report, Message::ChildOutcome { child_id: report.child_id, result: report.result })
        }
        "start_child" => {
            let report: StartReport = typed(body)?;
            let StartReport { workflow, input, options, parent, headers, .. } = report;
            let message = start_child(StartChild { workflow, input, options, parent, headers });
            Addressed {
                namespace: report.namespace,
                workflow_id: report.workflow_id,
                run_id: report.run_id,
                message,
            }
        }
        "signal" => {
            let report: SignalReport = typed(body)?;
            let (name, input, request_id) = (report.name, report.input, report.request_id);
            addressed!(report, Message::Signal { name, input, request_id, after: None })
        }
        "cancel" => {
            let report: CancelReport = typed(body)?;
            let (reason, request_id) = (report.reason, report.request_id);
            addressed!(report, Message::Cancel { reason, request_id })
        }
        other => {
            let known = INTERNAL.join(", ");
            return Err(BadMessage(format!(
                "type: `{other:.100}` does not belong in the events queue ({known})"
            )));
        }
    })
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
        Err(e) if e.path().iter().len() > 0 => Err(BadMessage::new(format!("{}: {}", e.path(), e.inner()))),
        _ => Err(BadMessage::new(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
