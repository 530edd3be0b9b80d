//! A workflow that does what its input says.

use std::time::Duration;

use millrace_core::{
    ActivityOptions, Blocked, Command, Coroutine, Event, EventKind, Payload, RunInfo, TaskQueue, WorkflowCode,
};
use serde::Deserialize;

/// `script`: schedules `n` activities at once, or `timers` timers of `timer_s` one after the other, and ends when all
/// have; with neither it waits for signals: `end` ends it, `drop` drops the first call.
pub struct Script;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    activity: Option<String>,
    options: ActivityOptions,
    n: Option<u64>,
    timers: u64,
    timer_s: f64,
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
        let Some(activity) = &self.input.activity else { return vec![] };
        (1..=self.input.n.unwrap_or(1)).map(|n| self.call(n, activity)).collect()
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
            EventKind::ActivityFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::TimerFired(_) => {
                self.done += 1;
                if self.done == self.input.timers {
                    vec![Command::CompleteRun(Payload::of(&self.done).unwrap())]
                } else {
                    vec![self.timer()]
                }
            }
            EventKind::SignalReceived(e) if e.name == "drop" => vec![Command::CancelActivity(1)],
            EventKind::SignalReceived(e) if e.name == "end" => vec![Command::CompleteRun(e.input.clone())],
            EventKind::CancelRequested(e) => vec![Command::CancelRun(e.reason.clone())],
            _ => vec![],
        })
    }
}
