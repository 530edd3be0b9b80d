//! Messages, as short as a table needs them.

use millrace_core::{
    ActivityOutcome, Headers, IdConflict, IdReuse, Incoming, Message, OutcomeResult, Parent, Payload,
    RequestId, RunId, Start, Stop, StopChild, WithStart, WorkflowId, WorkflowType,
};

use super::{at, boom, payload};

pub fn request(id: &str) -> RequestId {
    RequestId::new(id).unwrap()
}

/// A message as it is received for the first time, sent at [`T0`].
pub fn incoming(message: Message) -> Incoming {
    Incoming { message, run_id: None, sent_at: at(0.0), receive_count: 1 }
}

/// The same message, received for the `n`th time.
pub fn times(n: u32, message: Incoming) -> Incoming {
    Incoming { receive_count: n, ..message }
}

/// The same message, for one run alone.
pub fn for_run(run_id: RunId, message: Incoming) -> Incoming {
    Incoming { run_id: Some(run_id), ..message }
}

pub fn start(request_id: &str) -> Start {
    Start {
        workflow: WorkflowType::new("W").unwrap(),
        input: Payload::null(),
        request_id: request(request_id),
        id_reuse: IdReuse::default(),
        id_conflict: IdConflict::default(),
        run_timeout: None,
        execution_timeout: None,
        delay: None,
        memo: None,
        attributes: None,
        headers: Headers::new(),
        signal: None,
        update: None,
        parent: None,
    }
}

/// A start with another policy for ids.
pub fn start_if(request_id: &str, id_reuse: IdReuse, id_conflict: IdConflict) -> Incoming {
    incoming(Message::Start(Box::new(Start { id_reuse, id_conflict, ..start(request_id) })))
}

pub fn start_with_signal(request_id: &str, name: &str, id_conflict: IdConflict) -> Incoming {
    let signal = Some(WithStart { name: name.into(), input: payload("1") });
    incoming(Message::Start(Box::new(Start { signal, id_conflict, ..start(request_id) })))
}

/// A start without anything special.
pub fn plain(request_id: &str) -> Incoming {
    incoming(Message::Start(Box::new(start(request_id))))
}

pub fn signal(request_id: &str, name: &str) -> Incoming {
    signal_after(request_id, name, None)
}

/// A signal that comes after another of its sender.
pub fn signal_after(request_id: &str, name: &str, after: Option<&str>) -> Incoming {
    let (name, input, after) = (name.to_owned(), payload("1"), after.map(request));
    incoming(Message::Signal { name, input, request_id: request(request_id), after })
}

pub fn pause(request_id: &str, activity_id: Option<u64>) -> Incoming {
    let reason = "the vendor is down".to_owned();
    incoming(Message::Pause { activity_id, reason, request_id: request(request_id) })
}

pub fn unpause(request_id: &str, activity_id: Option<u64>) -> Incoming {
    incoming(Message::Unpause { activity_id, request_id: request(request_id) })
}

pub fn retry(request_id: &str, activity_id: u64) -> Incoming {
    incoming(Message::Retry { activity_id, request_id: request(request_id) })
}

pub fn update(request_id: &str, name: &str) -> Incoming {
    incoming(Message::Update { name: name.into(), input: payload("1"), request_id: request(request_id) })
}

pub fn start_with_update(request_id: &str, name: &str, id_conflict: IdConflict) -> Incoming {
    let update = Some(WithStart { name: name.into(), input: payload("1") });
    incoming(Message::Start(Box::new(Start { update, id_conflict, ..start(request_id) })))
}

/// The start of this workflow as the child of another.
pub fn start_child() -> Incoming {
    let (parent, request_id) = (parent(), parent().start_request());
    let parent = Some(parent);
    incoming(Message::Start(Box::new(Start { parent, request_id, ..start("x") })))
}

/// The other's wish that it stop.
pub fn stop_child(how: StopChild) -> Incoming {
    let (workflow, reason) = (WorkflowType::new("W").unwrap(), "enough".to_owned());
    incoming(Message::Stop(Box::new(Stop { workflow, parent: parent(), how, reason })))
}

pub fn parent() -> Parent {
    Parent { workflow_id: WorkflowId::new("parent").unwrap(), run_id: RunId::from_random(0xF00), child_id: 4 }
}

pub fn child_outcome(child_id: u64, result: OutcomeResult) -> Incoming {
    incoming(Message::ChildOutcome { child_id, result })
}

pub fn child_completed(child_id: u64) -> Incoming {
    child_outcome(child_id, OutcomeResult::Completed(payload("1")))
}

pub fn child_failed(child_id: u64) -> Incoming {
    child_outcome(child_id, OutcomeResult::Failed(boom()))
}

pub fn cancel(request_id: &str) -> Incoming {
    incoming(Message::Cancel { reason: "superseded".into(), request_id: request(request_id) })
}

pub fn terminate(request_id: &str) -> Incoming {
    incoming(Message::Terminate { reason: "runaway".into(), request_id: request(request_id) })
}

pub fn resume(request_id: &str) -> Incoming {
    incoming(Message::Resume { request_id: request(request_id) })
}

pub fn completed(activity_id: u64, attempt: u32) -> Incoming {
    outcome(activity_id, attempt, 1, OutcomeResult::Completed(payload("1")))
}

pub fn failed(activity_id: u64, attempt: u32) -> Incoming {
    outcome(activity_id, attempt, 1, OutcomeResult::Failed(boom()))
}

pub fn outcome(activity_id: u64, attempt: u32, receive_count: u32, result: OutcomeResult) -> Incoming {
    incoming(Message::Outcome(ActivityOutcome { activity_id, attempt, receive_count, result }))
}

/// What somebody who has an attempt's token reports of it.
pub fn completion(secret: &str, activity_id: u64, attempt: u32, result: OutcomeResult) -> Incoming {
    let outcome = ActivityOutcome { activity_id, attempt, receive_count: 1, result };
    incoming(Message::Completion { secret: secret.to_owned(), outcome })
}

pub fn timer(timer_id: u64) -> Incoming {
    incoming(Message::Timer { timer_id })
}

pub fn wake(wake: u64) -> Incoming {
    incoming(Message::Wake { wake })
}
