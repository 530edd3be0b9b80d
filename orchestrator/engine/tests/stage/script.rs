//! A workflow that does what its input says.

use std::time::Duration;

use millrace_core::{
    ActivityOptions, Blocked, Command, Coroutine, Event, EventKind, LocalActivity, Offered, Payload, RunInfo,
    TaskQueue, Unread, WorkflowCode,
};
use serde::Deserialize;

/// `script`: schedules `n` activities at once, or `timers` timers of `timer_s` one after the other, and ends when all
/// have; with neither, or as `local` activities, it waits for signals: `local` runs them, `end` ends it, `drop` drops the first call,
/// `go_on` continues it as new. The update `echo` is answered, `refuse` is refused, any other waits for ever.
pub struct Script;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    activity: Option<String>,
    options: ActivityOptions,
    n: Option<u64>,
    timers: u64,
    timer_s: f64,
    /// The activities run within the turn of a signal `local`.
    local: bool,
    /// One activity after the other, for ever.
    endless: bool,
}

#[derive(Default)]
struct Doing {
    input: Input,
    done: u64,
    last: Payload,
}

impl WorkflowCode for Script {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        if info.workflow.as_str() == "script" || info.workflow.as_str() == "other" {
            return Ok(Box::new(Doing::default()));
        }
        Err(Blocked::UnknownWorkflow { workflow: info.workflow.to_string(), known: vec!["script".into()] })
    }
}

impl Doing {
    fn timer(&self) -> Command {
        Command::StartTimer(self.done + 1, Duration::from_secs_f64(self.input.timer_s))
    }

    fn begin(&mut self) -> Vec<Command> {
        if self.input.timers > 0 {
            return vec![self.timer()];
        }
        let Some(activity) = self.input.activity.as_ref().filter(|_| !self.input.local) else {
            return vec![];
        };
        (1..=self.input.n.unwrap_or(1)).map(|n| self.call(n, activity)).collect()
    }

    fn locals(&self) -> Vec<Command> {
        let activity = self.input.activity.clone().unwrap_or_default();
        let run = |n| LocalActivity {
            activity_id: n,
            activity: activity.clone(),
            input: Payload::of(&n).unwrap(),
            options: self.input.options.clone(),
        };
        (1..=self.input.n.unwrap_or(1)).map(|n| Command::RunLocal(run(n))).collect()
    }

    fn call(&self, activity_id: u64, activity: &str) -> Command {
        Command::ScheduleActivity {
            activity_id,
            activity: activity.to_owned(),
            task_queue: TaskQueue::new("cpu").unwrap(),
            input: Payload::of(&activity_id).unwrap(),
            options: self.input.options.clone(),
        }
    }
}

impl Coroutine for Doing {
    fn offer(&mut self, event: &Event) -> Result<Offered, Blocked> {
        let commands = self.resume(event)?;
        Ok(match commands.as_slice() {
            [Command::RejectUpdate(_, reason)] => Offered::Refused(reason.clone()),
            _ => Offered::Taken(commands),
        })
    }

    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::RunStarted(e) => {
                if e.input != Payload::default() {
                    self.input = e.input.read().map_err(|e| Blocked::BadInput { message: e.to_string() })?;
                }
                self.begin()
            }
            EventKind::ActivityCompleted(e) => {
                self.done += 1;
                self.last = e.result.clone();
                if let (true, Some(activity)) = (self.input.endless, &self.input.activity) {
                    vec![self.call(self.done + 1, activity)]
                } else if self.done == self.input.n.unwrap_or(1) {
                    vec![Command::CompleteRun(self.last.clone())]
                } else {
                    vec![]
                }
            }
            EventKind::LocalActivityCompleted(e) => {
                self.done += 1;
                if self.done == self.input.n.unwrap_or(1) {
                    return Ok(vec![Command::CompleteRun(e.result.clone())]);
                }
                vec![]
            }
            EventKind::LocalActivityFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::SignalReceived(e) if e.name == "local" => self.locals(),
            EventKind::ActivityFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::TimerFired(_) => {
                self.done += 1;
                if self.done == self.input.timers {
                    vec![Command::CompleteRun(Payload::of(&self.done).unwrap())]
                } else {
                    vec![self.timer()]
                }
            }
            EventKind::SignalReceived(e) if e.name == "drop" => vec![Command::CancelActivity(1, false)],
            EventKind::SignalReceived(e) if e.name == "go_on" => {
                let (workflow, input) = ("script".parse().unwrap(), e.input.clone());
                vec![Command::ContinueAsNew { workflow, input, unread: Unread::default() }]
            }
            EventKind::UpdateReceived(e) if e.name == "refuse" => {
                vec![Command::RejectUpdate(e.request_id.clone(), "no".into())]
            }
            EventKind::UpdateReceived(e) if e.name == "echo" => {
                vec![Command::CompleteUpdate(e.request_id.clone(), e.input.clone())]
            }
            EventKind::SignalReceived(e) if e.name == "end" => vec![Command::CompleteRun(e.input.clone())],
            EventKind::CancelRequested(e) => vec![Command::CancelRun(e.reason.clone())],
            _ => vec![],
        })
    }

    fn query(&self, name: &str, _input: &Payload) -> Option<Result<Payload, String>> {
        (name == "done").then(|| Ok(Payload::of(&self.done).unwrap()))
    }
}
