//! Where a schedule stands: what its run keeps, and what it shows.

use std::collections::VecDeque;

use millrace_core::{ApplicationFailure, Fault, Payload, Timestamp, WorkflowFailure};
use serde::{Deserialize, Serialize};

use super::run::ScheduleRun;
use super::{Overlap, Schedule};

/// How many actions are told of, the newest first.
const TOLD: usize = 10;
/// How many times to come are told of.
const NEXT_TOLD: usize = 5;
/// The longest reason that is told.
const REASON: usize = 160;

/// Where a schedule stands, as its run publishes it: see [`ScheduleHandle::describe`](super::ScheduleHandle::describe).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// What it was told to do, without the workflow's input.
    pub schedule: Schedule,
    /// Whether it is paused.
    pub paused: bool,
    /// What the last pause or unpause said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The next times, at most five; none while it is paused. Jitter comes on top.
    pub next: Vec<Timestamp>,
    /// How many actions run.
    pub running: usize,
    /// How many actions wait for those to end.
    pub waiting: usize,
    /// How many actions were started, by whatever cause.
    pub fired: u64,
    /// How many times were left out because an action before ran. Counted when that ends, if nothing else wakes the schedule.
    pub skipped: u64,
    /// How many times were longer ago than the catch-up window when they were found.
    pub missed: u64,
    /// The last ten actions, the newest first.
    pub recent: Vec<Action>,
}

/// One start of the workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The id of the workflow that was started: the schedule's id, and the time.
    pub workflow_id: String,
    /// The time that it is for.
    pub scheduled_at: Timestamp,
    /// When it was started.
    pub started_at: Timestamp,
    /// When the schedule heard of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: ActionOutcome,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActionOutcome {
    /// It runs.
    Running,
    /// It has a result.
    Completed,
    /// It failed, was canceled or terminated, or took too long.
    Failed {
        /// Why.
        reason: String,
    },
    /// It did not begin: mostly because its id was used, by an action that has completed or still runs.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// The schedule has not waited for its end.
    Unknown,
}

impl ActionOutcome {
    pub(super) fn of(result: &Result<Payload, WorkflowFailure>) -> Self {
        match result {
            Ok(_) => Self::Completed,
            Err(failure) => {
                let reason: String = failure.fault.to_string().chars().take(REASON).collect();
                match &failure.fault {
                    Fault::Application(a) if a.kind == ApplicationFailure::CHILD_NOT_STARTED => {
                        Self::NotStarted { reason }
                    }
                    _ => Self::Failed { reason },
                }
            }
        }
    }
}

/// Why an action is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cause {
    Scheduled,
    Triggered,
    Backfilled,
}

/// An action that is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Firing {
    pub(super) at: Timestamp,
    pub(super) cause: Cause,
    pub(super) overlap: Overlap,
}

/// What goes from run to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    pub(super) paused: bool,
    pub(super) note: String,
    /// All times up to this one are settled.
    pub(super) settled: Timestamp,
    pub(super) waiting: VecDeque<Firing>,
    pub(super) fired: u64,
    pub(super) skipped: u64,
    pub(super) missed: u64,
    pub(super) recent: VecDeque<Action>,
}

impl Progress {
    /// Whoever starts a schedule may say how often this was before.
    pub(super) fn leave_out(&mut self, times: u64) {
        self.skipped = self.skipped.saturating_add(times);
    }
}

/// What a run keeps.
#[derive(Clone, Debug, Serialize)]
#[serde(into = "ScheduleState")]
pub(super) struct State {
    /// The schedule's own id.
    pub(super) id: String,
    pub(super) schedule: Schedule,
    pub(super) progress: Progress,
    /// The times to come, and those that have come and are not settled.
    pub(super) plan: VecDeque<Timestamp>,
    /// There are no times after the plan's.
    pub(super) plan_ends: bool,
    /// When the plan's first time is due, jitter included.
    pub(super) due_at: Option<Timestamp>,
    /// Ranges that wait for their times to be looked up.
    pub(super) backfills: VecDeque<super::Backfill>,
    pub(super) running: usize,
    /// Grows with each update.
    pub(super) told: u64,
}

impl State {
    pub(super) fn new(id: String, run: ScheduleRun, now: Timestamp) -> Self {
        let progress = run.so_far.unwrap_or_else(|| Progress { settled: now, ..Progress::default() });
        Self {
            id,
            schedule: run.schedule,
            progress,
            plan: VecDeque::new(),
            plan_ends: false,
            due_at: None,
            backfills: VecDeque::new(),
            running: 0,
            told: 0,
        }
    }

    /// What the next run begins with. It will not hear of the actions that still run.
    pub(super) fn leave(&mut self) -> ScheduleRun {
        for action in &mut self.progress.recent {
            if action.outcome == ActionOutcome::Running {
                action.outcome = ActionOutcome::Unknown;
            }
        }
        ScheduleRun { schedule: self.schedule.clone(), so_far: Some(self.progress.clone()) }
    }

    /// The id of the action for a time: the same for the same time, so that it is made once.
    pub(super) fn action_id(&self, at: Timestamp) -> String {
        let time = at.to_string();
        format!(
            "{}-{}",
            self.id,
            time.strip_suffix(".000Z").map_or(time.clone(), |whole| format!("{whole}Z"))
        )
    }

    /// Forgets the plan: the times up to now are settled, and those to come are looked up again.
    pub(super) fn plan_anew(&mut self, now: Timestamp) {
        self.progress.settled = self.progress.settled.max(now);
        self.plan.clear();
        (self.plan_ends, self.due_at) = (false, None);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.running > 0 || !self.progress.waiting.is_empty()
    }

    /// Whether nothing will ever come again unless somebody asks.
    pub(super) fn is_over(&self) -> bool {
        let no_more = self.plan.is_empty() && self.plan_ends || self.schedule.remaining == Some(0);
        no_more && !self.progress.paused && !self.is_busy() && self.backfills.is_empty()
    }

    /// What begins now, if anything may.
    pub(super) fn next_start(&mut self) -> Option<Firing> {
        let at_once = |firing: &Firing| firing.overlap == Overlap::AllowAll && self.may_start(firing);
        let found = match self.progress.waiting.iter().position(at_once) {
            None if self.running == 0 => {
                self.progress.waiting.iter().position(|firing| self.may_start(firing))
            }
            found => found,
        };
        self.progress.waiting.remove(found?)
    }

    /// A pause holds what waits, but for what was triggered.
    fn may_start(&self, firing: &Firing) -> bool {
        !self.progress.paused || firing.cause == Cause::Triggered
    }

    /// How what runs is to be stopped, because something else wants to begin.
    pub(super) fn stops_others(&self) -> Option<Overlap> {
        let overlap = self.progress.waiting.iter().find(|firing| self.may_start(firing))?.overlap;
        matches!(overlap, Overlap::CancelOther | Overlap::TerminateOther).then_some(overlap)
    }

    pub(super) fn started(&mut self, firing: Firing, now: Timestamp) {
        self.running += 1;
        self.progress.fired = self.progress.fired.saturating_add(1);
        let (scheduled_at, workflow_id) = (firing.at, self.action_id(firing.at));
        let outcome = ActionOutcome::Running;
        self.progress.recent.push_front(Action {
            workflow_id,
            scheduled_at,
            started_at: now,
            ended_at: None,
            outcome,
        });
        self.progress.recent.truncate(TOLD);
    }

    pub(super) fn ended(&mut self, workflow_id: &str, outcome: ActionOutcome, now: Timestamp) {
        self.running = self.running.saturating_sub(1);
        if matches!(outcome, ActionOutcome::NotStarted { .. }) {
            self.progress.fired = self.progress.fired.saturating_sub(1);
        }
        let runs = |action: &&mut Action| {
            action.workflow_id == workflow_id && action.outcome == ActionOutcome::Running
        };
        if let Some(action) = self.progress.recent.iter_mut().find(runs) {
            (action.outcome, action.ended_at) = (outcome, Some(now));
        }
    }
}

impl From<State> for ScheduleState {
    fn from(state: State) -> Self {
        let State { mut schedule, progress, plan, running, .. } = state;
        schedule.input = Payload::null();
        let next = if progress.paused { 0 } else { NEXT_TOLD };
        Self {
            schedule,
            paused: progress.paused,
            note: progress.note,
            next: plan.into_iter().take(next).collect(),
            running,
            waiting: progress.waiting.len(),
            fired: progress.fired,
            skipped: progress.skipped,
            missed: progress.missed,
            recent: progress.recent.into(),
        }
    }
}
