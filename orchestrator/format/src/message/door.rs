//! The checks at the door: what the inbox takes, and what it says of the rest (G10).

use std::time::Duration;

use millrace_core::{
    ActivityOutcome, CompletionToken, Fault, Fork, Message, Namespace, OutcomeResult, Payload, RequestId,
    RunId, Start, WorkflowId, WorkflowType, check_headers,
};

use super::events::is_internal;
use super::{
    Addressed, BadMessage, InboxMessage, STANDALONE_ACTIVITY, StandaloneActivity, StartMessage, VERSION,
    kind_of,
};
use crate::Attributes;

/// Whether a message of this type may come through the inbox.
pub fn comes_through_inbox(kind: &str) -> bool {
    InboxMessage::TYPES.contains(&kind)
}

/// Reads a message from the inbox. `message_id` is its request id if it names none.
pub fn read_inbox(body: &str, message_id: &str) -> Result<Addressed, BadMessage> {
    let_in(read(body)?, message_id)
}

/// Reads a message as it was written, with the checks of the door.
pub fn read_request(body: &str) -> Result<InboxMessage, BadMessage> {
    let message = read(body)?;
    let_in(message.clone(), "unused")?;
    Ok(message)
}

fn read(body: &str) -> Result<InboxMessage, BadMessage> {
    let kind = kind_of(body)?;
    let unknown = || {
        Err(BadMessage(if is_internal(&kind) {
            format!("type: `{kind}` is an internal message; it is not accepted through the inbox")
        } else {
            let known = InboxMessage::TYPES.join(", ");
            format!("type: `{kind:.100}` is unknown; use one of {known}")
        }))
    };
    InboxMessage::read(&kind, body).unwrap_or_else(unknown)
}

fn let_in(message: InboxMessage, message_id: &str) -> Result<Addressed, BadMessage> {
    macro_rules! addressed {
        ($m:ident, $run_id:expr, $message:expr) => {
            address(($m.v, $m.namespace, $m.id, $run_id), ($m.request_id, message_id), $message)
        };
    }
    match message {
        InboxMessage::Start(m) => start(m, message_id),
        InboxMessage::Signal(m) => {
            check_name("a signal", &m.name)?;
            if m.after.is_some() && m.after == m.request_id {
                return Err(BadMessage("after: it names the signal itself; name the one before".into()));
            }
            let (name, input, after) = (m.name, m.input, m.after);
            addressed!(m, m.run_id, |request_id| Message::Signal { name, input, request_id, after })
        }
        InboxMessage::Update(m) => {
            check_name("an update", &m.name)?;
            if m.after.is_some() {
                return Err(BadMessage("after: only a signal waits for another; leave it out".into()));
            }
            let (name, input) = (m.name, m.input);
            addressed!(m, m.run_id, |request_id| Message::Update { name, input, request_id })
        }
        InboxMessage::Cancel(m) => {
            addressed!(m, m.run_id, |request_id| Message::Cancel { reason: m.reason, request_id })
        }
        InboxMessage::Terminate(m) => {
            addressed!(m, m.run_id, |request_id| Message::Terminate { reason: m.reason, request_id })
        }
        InboxMessage::Resume(m) => addressed!(m, m.run_id, |request_id| Message::Resume { request_id }),
        InboxMessage::Pause(m) => {
            let (activity_id, reason) = (m.activity_id, m.reason);
            addressed!(m, m.run_id, |request_id| Message::Pause { activity_id, reason, request_id })
        }
        InboxMessage::Unpause(m) => {
            addressed!(m, m.run_id, |request_id| Message::Unpause { activity_id: m.activity_id, request_id })
        }
        InboxMessage::Retry(m) => {
            addressed!(m, m.run_id, |request_id| Message::Retry { activity_id: m.activity_id, request_id })
        }
        InboxMessage::Reset(m) => {
            if m.run_id.is_none() {
                // A reset is two commits: between them, or before the first, another run may have taken the place.
                return Err(BadMessage(
                    "run_id: name the run whose event is meant, as `show` prints it".into(),
                ));
            }
            let (source, cut) = ((m.id.clone(), m.run_id), (m.event, m.reapply, m.reason));
            addressed!(m, None, |request_id| fork(source, cut, true, request_id))
        }
        InboxMessage::Fork(m) => {
            if m.run_id.is_some() {
                return Err(BadMessage(
                    "run_id: a fork makes a new run; `from_run_id` names the source".into(),
                ));
            }
            if m.from == m.id {
                return Err(BadMessage("from: it is the same workflow; use `reset`, or another id".into()));
            }
            let (source, cut) = ((m.from, m.from_run_id), (m.event, m.reapply, m.reason));
            addressed!(m, None, |request_id| fork(source, cut, false, request_id))
        }
        InboxMessage::Complete(m) => {
            completion((m.v, m.namespace), m.token, OutcomeResult::Completed(m.result))
        }
        InboxMessage::Fail(m) => {
            let fault = Fault::Application(m.failure);
            completion((m.v, m.namespace), m.token, OutcomeResult::Failed(fault))
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), BadMessage> {
    match name {
        "" => Err(BadMessage(format!("name: {what} needs a name"))),
        _ => Ok(()),
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
    check_started(&m.workflow, &m.input)?;
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

/// Whether anybody may ask for a run of this type, and with this input.
pub fn check_started(workflow: &WorkflowType, input: &Payload) -> Result<(), BadMessage> {
    match workflow.as_str() {
        STANDALONE_ACTIVITY => StandaloneActivity::read(input).map(drop),
        own if own.starts_with("millrace.") && own != "millrace.schedule" => {
            Err(BadMessage(format!("workflow: `{own}` is the engine's own; only runs start it")))
        }
        _ => Ok(()),
    }
}

fn time(field: &str, seconds: Option<f64>) -> Result<Option<Duration>, BadMessage> {
    let Some(seconds) = seconds else { return Ok(None) };
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|d| *d >= Duration::from_millis(1));
    time.map(Some).ok_or_else(|| BadMessage(format!("{field}: {seconds} is not a time above 0.001 s")))
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
