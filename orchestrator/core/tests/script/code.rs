//! The language: a table of what the code asks for on which event, and the words for what it asks for.

use std::time::Duration;

use millrace_core::{
    ActivityFailure, ActivityOptions, ApplicationFailure, Blocked, ChildOptions, Command, Coroutine, Event,
    EventKind, Fault, LocalActivity, LocalActivityCompleted, LocalActivityFailed, Offered, ParentClose,
    Payload, RetryPolicy, RunInfo, TaskQueue, Unread, UnreadMessage, WorkflowCode, WorkflowId, WorkflowType,
};

use super::request;

/// What a row of a script waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum On {
    Started,
    Completed(u64),
    Failed(u64),
    LocalCompleted(u64),
    LocalFailed(u64),
    Fired(u64),
    Signal(&'static str),
    Update(&'static str),
    ChildCompleted(u64),
    ChildFailed(u64),
    Canceled,
}

impl On {
    fn matches(&self, kind: &EventKind) -> bool {
        match (self, kind) {
            (Self::Started, EventKind::RunStarted(_)) | (Self::Canceled, EventKind::CancelRequested(_)) => {
                true
            }
            (Self::Completed(id), EventKind::ActivityCompleted(e)) => *id == e.activity_id,
            (Self::Failed(id), EventKind::ActivityFailed(e)) => *id == e.activity_id,
            (Self::LocalCompleted(id), EventKind::LocalActivityCompleted(e)) => *id == e.activity_id,
            (Self::LocalFailed(id), EventKind::LocalActivityFailed(e)) => *id == e.activity_id,
            (Self::Fired(id), EventKind::TimerFired(e)) => *id == e.timer_id,
            (Self::Signal(name), EventKind::SignalReceived(e)) => *name == e.name,
            (Self::Update(name), EventKind::UpdateReceived(e)) => *name == e.name,
            (Self::ChildCompleted(id), EventKind::ChildCompleted(e)) => *id == e.child_id,
            (Self::ChildFailed(id), EventKind::ChildFailed(e)) => *id == e.child_id,
            _ => false,
        }
    }
}

/// What a row of a script does.
#[derive(Clone, Debug)]
pub enum Do {
    Ask(Vec<Command>),
    Break(Blocked),
    Publish(&'static str, Vec<Command>),
    /// Refuses the update, and every one of its name after it.
    Refuse(&'static str),
}

impl<const N: usize> From<[Command; N]> for Do {
    fn from(commands: [Command; N]) -> Self {
        Self::Ask(commands.to_vec())
    }
}

/// A row: what happens, and what the code then asks for. A row is used once, the first that fits.
pub type Row = (On, Do);

struct Scripted {
    rows: Vec<Row>,
    published: Option<Payload>,
}

impl Coroutine for Scripted {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let Some(i) = self.rows.iter().position(|(on, _)| on.matches(&event.kind)) else { return Ok(vec![]) };
        if let Do::Refuse(reason) = &self.rows[i].1
            && let EventKind::UpdateReceived(e) = &event.kind
        {
            // The row stays: code that refuses an update is as if it had never come.
            return Ok(vec![Command::RejectUpdate(e.request_id.clone(), (*reason).to_owned())]);
        }
        match self.rows.remove(i).1 {
            Do::Refuse(_) => Ok(vec![]),
            Do::Ask(commands) => Ok(commands),
            Do::Break(reason) => Err(reason),
            Do::Publish(json, commands) => {
                self.published = Some(payload(json));
                Ok(commands)
            }
        }
    }

    fn offer(&mut self, event: &Event) -> Result<Offered, Blocked> {
        let commands = self.resume(event)?;
        Ok(match (commands.as_slice(), &event.kind) {
            ([Command::RejectUpdate(id, reason)], EventKind::UpdateReceived(e)) if *id == e.request_id => {
                Offered::Refused(reason.clone())
            }
            _ => Offered::Taken(commands),
        })
    }

    fn published(&self, _known: Option<&Payload>) -> Option<Payload> {
        self.published.clone()
    }
}

/// Code that follows a script; only the type `W` is registered.
#[derive(Clone)]
pub struct Code(pub Vec<Row>);

/// The input that no run may begin with.
pub const REFUSED: &str = r#""refused""#;

impl WorkflowCode for Code {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        if info.workflow.as_str() != "W" {
            let workflow = info.workflow.to_string();
            return Err(Blocked::UnknownWorkflow { workflow, known: vec!["W".into()] });
        }
        Ok(Box::new(Scripted { rows: self.0.clone(), published: None }))
    }

    fn refuses(&self, _workflow: &WorkflowType, input: &Payload) -> Option<String> {
        (input.as_str() == REFUSED).then(|| "input: not here".into())
    }
}

pub fn payload(json: &str) -> Payload {
    Payload::parse(json).unwrap()
}

pub fn schedule(activity_id: u64, activity: &str) -> Command {
    schedule_with(activity_id, activity, ActivityOptions::default())
}

pub fn schedule_with(activity_id: u64, activity: &str, options: ActivityOptions) -> Command {
    let task_queue = TaskQueue::new("cpu").unwrap();
    Command::ScheduleActivity {
        activity_id,
        activity: activity.into(),
        task_queue,
        input: Payload::null(),
        options,
    }
}

/// A call of an activity that runs within the turn.
pub fn local(activity_id: u64, activity: &str) -> Command {
    let (input, options) = (Payload::null(), ActivityOptions::default());
    Command::RunLocal(LocalActivity { activity_id, activity: activity.into(), input, options })
}

pub fn local_completed(activity_id: u64, activity: &str) -> EventKind {
    let (activity, result) = (activity.to_owned(), payload(&activity_id.to_string()));
    LocalActivityCompleted { activity_id, activity, attempts: 1, result }.into()
}

pub fn local_failed(activity_id: u64, activity: &str) -> EventKind {
    let failure = ActivityFailure { activity: activity.to_owned(), attempts: 2, fault: boom() };
    LocalActivityFailed { activity_id, failure }.into()
}

pub fn completes_later() -> ActivityOptions {
    ActivityOptions { completes_later: true, ..ActivityOptions::default() }
}

pub fn retries(maximum_attempts: u32) -> ActivityOptions {
    ActivityOptions {
        retry: RetryPolicy { maximum_attempts, ..RetryPolicy::default() },
        ..ActivityOptions::default()
    }
}

pub fn exclusive() -> ActivityOptions {
    ActivityOptions { exclusive: true, ..ActivityOptions::default() }
}

pub fn within(seconds: u64) -> ActivityOptions {
    ActivityOptions { schedule_to_close: Some(Duration::from_secs(seconds)), ..ActivityOptions::default() }
}

pub fn sleep(timer_id: u64, seconds: u64) -> Command {
    Command::StartTimer(timer_id, Duration::from_secs(seconds))
}

pub fn child(child_id: u64, parent_close: ParentClose) -> Command {
    Command::StartChild {
        child_id,
        workflow: WorkflowType::new("W").unwrap(),
        workflow_id: WorkflowId::new(format!("child-{child_id}")).unwrap(),
        input: Payload::null(),
        options: ChildOptions { parent_close, ..ChildOptions::default() },
    }
}

pub fn cancel_child(child_id: u64) -> Command {
    Command::CancelChild(child_id, "enough".into())
}

pub fn terminate_child(child_id: u64) -> Command {
    Command::TerminateChild(child_id, "enough".into())
}

pub fn send_signal(sent_id: u64, to: &str) -> Command {
    let (workflow_id, name, input) = (WorkflowId::new(to).unwrap(), "hello".into(), payload("1"));
    Command::SendSignal { sent_id, workflow_id, name, input }
}

pub fn send_cancel(sent_id: u64, to: &str) -> Command {
    Command::SendCancel { sent_id, workflow_id: WorkflowId::new(to).unwrap(), reason: "superseded".into() }
}

pub fn answer(request_id: &str, json: &str) -> Command {
    Command::CompleteUpdate(request(request_id), payload(json))
}

pub fn refuse(request_id: &str) -> Command {
    Command::RejectUpdate(request(request_id), "no".into())
}

pub fn continue_as_new(json: &str) -> Command {
    continue_with(json, Unread::default())
}

pub fn continue_with(json: &str, unread: Unread) -> Command {
    Command::ContinueAsNew { workflow: WorkflowType::new("W").unwrap(), input: payload(json), unread }
}

pub fn unread_message(request_id: &str, name: &str) -> UnreadMessage {
    UnreadMessage { name: name.into(), input: payload("1"), request_id: request(request_id) }
}

pub fn complete(json: &str) -> Command {
    Command::CompleteRun(payload(json))
}

pub fn boom() -> Fault {
    Fault::Application(ApplicationFailure::new("Boom", "x"))
}

pub fn panics(message: &str) -> Do {
    Do::Break(Blocked::Panic { message: message.into(), at: None })
}
