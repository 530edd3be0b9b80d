//! A workflow and its activities that pass payloads on, of any length.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{
    ActivityOptions, ApplicationFailure, Blocked, Command, Coroutine, Event, EventKind, Fault, LocalActivity,
    Payload, RunInfo, TaskQueue, Unread, WorkflowCode,
};
use millrace_engine::{ActivityCode, Attempt};

use super::{length, text};

/// Hands its input to `make`, what that gives to `take`, and ends with how long what that gives is. Signals say what else.
pub(crate) struct Pipe {
    /// How long the result is that it gives when it is told to end.
    pub(crate) result: usize,
}

impl WorkflowCode for Pipe {
    fn instantiate(&self, _info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::new(Self { result: self.result }))
    }
}

fn call(activity_id: u64, activity: &str, input: &Payload) -> Command {
    Command::ScheduleActivity {
        activity_id,
        activity: activity.into(),
        task_queue: TaskQueue::new("cpu").unwrap(),
        input: input.clone(),
        options: ActivityOptions::default(),
    }
}

impl Coroutine for Pipe {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::RunStarted(e) if e.input.is_null() || e.continued_from.is_some() => vec![],
            EventKind::RunStarted(e) => vec![call(1, "make", &e.input)],
            EventKind::ActivityCompleted(e) if e.activity_id == 1 => vec![call(2, "take", &e.result)],
            EventKind::ActivityCompleted(e) => vec![Command::CompleteRun(length(&e.result))],
            EventKind::ActivityFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::LocalActivityFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::UpdateReceived(e) => {
                vec![Command::CompleteUpdate(e.request_id.clone(), e.input.clone())]
            }
            EventKind::SignalReceived(e) => match e.name.as_str() {
                "call" => vec![call(1, "make", &text(self.result))],
                "local" => vec![Command::RunLocal(LocalActivity {
                    activity_id: 1,
                    activity: "make".into(),
                    input: Payload::null(),
                    options: ActivityOptions::default(),
                })],
                "next" => vec![Command::ContinueAsNew {
                    workflow: "pipe".parse().unwrap(),
                    input: e.input.clone(),
                    unread: Unread::default(),
                }],
                "end" => vec![Command::CompleteRun(text(self.result))],
                _ => vec![],
            },
            _ => vec![],
        })
    }
}

/// `make` gives a text of this length, or fails with details that long; `take` what it is given.
#[derive(Clone, Copy)]
pub(crate) enum Make {
    Text(usize),
    Failure(usize),
}

impl ActivityCode for Make {
    fn knows(&self, _activity: &str) -> bool {
        true
    }

    fn names(&self) -> Vec<String> {
        vec![]
    }

    fn run(&self, attempt: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, Fault>> {
        let task = attempt.task();
        let answer = match (task.activity.as_str(), self) {
            ("take", _) => Ok(task.input.clone()),
            (_, Self::Text(length)) => Ok(text(*length)),
            (_, Self::Failure(length)) => {
                let boom = ApplicationFailure::new("Boom", "no").non_retryable().details(&text(*length));
                Err(Fault::Application(boom))
            }
        };
        async move { answer }.boxed()
    }
}
