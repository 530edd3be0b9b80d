//! The state of a run: what its events add up to, and what its header keeps beside them.

mod apply;
mod requests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ActivityId, ActivityScheduled, Blocked, ChildId, ChildScheduled, CompletionToken, Effect, EffectKey,
    EventKind, Fault, Headers, Identity, Message, Namespace, OutcomeResult, Pace, Parent, Payload,
    PendingEffect, RequestId, RunContinuedAsNew, RunId, RunInfo, RunStarted, SentId, StopChild, Task,
    TimerId, TimerStarted, Timestamp,
};

pub use self::requests::CarriedRequest;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is open. (An open run may be blocked; that is a mark of its own.)
    Running,
    /// The workflow returned a result.
    Completed,
    /// The workflow returned an error.
    Failed,
    /// It followed a cancel request to its end.
    Canceled,
    /// It was ended by force.
    Terminated,
    /// It passed its time limit.
    TimedOut,
    /// The workflow goes on as another run.
    ContinuedAsNew,
}

impl Status {
    /// Whether the run can still make progress.
    pub fn is_open(self) -> bool {
        self == Self::Running
    }

    /// The word in JSON and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Terminated => "terminated",
            Self::TimedOut => "timed_out",
            Self::ContinuedAsNew => "continued_as_new",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An activity without an end in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityState {
    /// What the code asked for.
    pub scheduled: Arc<ActivityScheduled>,
    /// When.
    pub scheduled_at: Timestamp,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// When that is available.
    pub available_at: Timestamp,
    /// Attempts that were void before anybody made them: they do not count against the policy.
    pub skipped: u32,
    /// Why the attempt before it failed.
    pub last_failure: Option<Fault>,
    /// It was asked to stop, and the code waits for how it ends: no attempt follows a failed one.
    pub canceling: bool,
    /// Somebody holds it back.
    pub paused: bool,
    /// Its attempt is held back, too: whoever gets a task of it is to drop it, and unpausing sends another.
    pub withheld: bool,
}

impl ActivityState {
    /// Whether the current attempt's time has not come: nobody makes it yet.
    pub fn waits(&self, now: Timestamp) -> bool {
        self.attempt > 1 && now < self.available_at
    }

    /// How many attempts were made once the one of this number is.
    pub(crate) fn made(&self, attempt: u32) -> u32 {
        attempt.saturating_sub(self.skipped).max(1)
    }

    /// When the activity must have ended, if there is a limit.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.scheduled.options.schedule_to_close.map(|limit| self.scheduled_at.plus(limit))
    }
}

/// A message to the run's own future: it looks after deadlines, and tries a blocked run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The wake's number.
    pub wake: u64,
    /// When it is due.
    pub at: Timestamp,
}

/// Why and since when somebody holds back the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedMark {
    /// Who, and why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Why and since when the code has not been able to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedMark {
    /// Why.
    pub reason: Blocked,
    /// The build whose code could not.
    pub build: String,
    /// Since when.
    pub since: Timestamp,
}

/// An update that the code refused: nothing but this remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedUpdate {
    /// The update's request.
    pub request_id: RequestId,
    /// Why it was refused.
    pub reason: String,
}

/// One run of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which run.
    pub info: RunInfo,
    /// Where it stands.
    pub status: Status,
    /// The turns committed so far.
    pub turn: u64,
    /// The number of the last event; 0 before the first.
    pub last_event: u64,
    /// The time of the last event.
    pub last_time: Timestamp,
    /// When it began: the time of its first event, unless that is another run's.
    pub began: Timestamp,
    /// How it began.
    pub started: Option<Arc<RunStarted>>,
    /// When the run must have ended, if there is a limit.
    pub deadline: Option<(Timestamp, Duration)>,
    /// Activities without an end in the log.
    pub activities: BTreeMap<ActivityId, ActivityState>,
    /// Timers neither fired nor canceled, with their due times.
    pub timers: BTreeMap<TimerId, Timestamp>,
    /// Child workflows whose end is not in the log; of a closed run, those that outlive it.
    pub children: BTreeMap<ChildId, Arc<ChildScheduled>>,
    /// What other workflows are told, as long as it may have to be sent again.
    pub sent: BTreeMap<SentId, Arc<EventKind>>,
    /// Updates without an answer.
    pub updates: BTreeMap<RequestId, u64>,
    /// Updates that were refused lately.
    pub rejected: Vec<RejectedUpdate>,
    /// How the workflow ended, if it has.
    pub outcome: Option<Result<Payload, Fault>>,
    /// What follows this run, if something does.
    pub continued: Option<Arc<RunContinuedAsNew>>,
    /// The guard of the turn that closed it, if something follows: that message begins it.
    pub closed_under: Option<Identity>,
    /// The requests that this run has absorbed, each with its event's number.
    pub requests: BTreeMap<RequestId, u64>,
    /// The requests that earlier runs of this id have absorbed.
    pub carried: Vec<CarriedRequest>,
    /// Effects that may not have been done yet, each with its guard.
    pub effects: BTreeMap<EffectKey, PendingEffect>,
    /// The wake that is on its way.
    pub wake: Option<Wake>,
    /// The number of the last wake that was sent.
    pub wakes_sent: u64,
    /// The number of the last wake that was absorbed.
    pub wakes_absorbed: u64,
    /// Set while the code cannot go on.
    pub blocked: Option<BlockedMark>,
    /// Set while the code may not go on.
    pub paused: Option<PausedMark>,
    /// The turns that it has lately made on its own; counted only where they are limited.
    pub pace: Option<Pace>,
    /// What the code shows of its state.
    pub published: Option<Payload>,
}

impl Run {
    /// The most refused updates that a header keeps.
    pub const MOST_REJECTED: usize = 64;

    /// A run without events.
    pub fn new(info: RunInfo) -> Self {
        Self {
            last_time: info.started_at,
            info,
            status: Status::Running,
            turn: 0,
            last_event: 0,
            began: Timestamp::default(),
            started: None,
            deadline: None,
            activities: BTreeMap::new(),
            timers: BTreeMap::new(),
            children: BTreeMap::new(),
            sent: BTreeMap::new(),
            updates: BTreeMap::new(),
            rejected: Vec::new(),
            outcome: None,
            continued: None,
            closed_under: None,
            requests: BTreeMap::new(),
            carried: Vec::new(),
            effects: BTreeMap::new(),
            wake: None,
            wakes_sent: 0,
            wakes_absorbed: 0,
            blocked: None,
            paused: None,
            pace: None,
            published: None,
        }
    }

    /// The effects to do again for a message that was found absorbed (G4).
    pub fn effects_guarded_by<'a>(&'a self, guard: &'a Identity) -> impl Iterator<Item = &'a PendingEffect> {
        self.effects.values().filter(move |pending| pending.guard == *guard)
    }

    /// The task of an activity's attempt; `None` if it is no longer the current one.
    pub fn task(&self, activity_id: ActivityId, attempt: u32, available_at: Timestamp) -> Option<Task> {
        let state = self.activities.get(&activity_id).filter(|state| state.attempt == attempt)?;
        Some(Task {
            v: 1,
            namespace: Namespace::default(),
            workflow_id: self.info.workflow_id.clone(),
            run_id: self.info.run_id,
            workflow: self.info.workflow.clone(),
            activity_id,
            activity: state.scheduled.activity.clone(),
            task_queue: state.scheduled.task_queue.clone(),
            attempt,
            input: state.scheduled.input.clone(),
            scheduled_at: state.scheduled_at,
            available_at,
            options: state.scheduled.options.clone(),
            token: state.scheduled.secret.clone().map(|secret| CompletionToken {
                workflow_id: self.info.workflow_id.clone(),
                run_id: self.info.run_id,
                activity_id,
                attempt,
                secret,
            }),
            headers: self.headers().clone(),
        })
    }

    /// What the run was started with, for everything that comes of it.
    pub fn headers(&self) -> &Headers {
        static NONE: Headers = Headers::new();
        self.started.as_ref().map_or(&NONE, |started| &started.headers)
    }

    /// The call that started this run as a child.
    pub fn parent(&self) -> Option<&Parent> {
        self.started.as_ref()?.parent.as_ref()
    }

    /// The call by which this run starts a child.
    pub fn parent_of(&self, child_id: ChildId) -> Parent {
        Parent { workflow_id: self.info.workflow_id.clone(), run_id: self.info.run_id, child_id }
    }

    /// The run that continued as this one.
    pub fn continued_from(&self) -> Option<RunId> {
        self.started.as_ref()?.continued_from
    }

    /// Whether a message that names `run_id` is for this run. A request that names the first of the runs that continue one
    /// another means the last; what the runs themselves send means that run and no other.
    pub fn is_meant(&self, run_id: RunId, message: &Message) -> bool {
        let first = self.started.as_ref().and_then(|started| started.first_run_id);
        run_id == self.info.run_id || (message.is_request() && first == Some(run_id))
    }

    /// What the parent is to be told, if there is one and the workflow has ended.
    pub fn report_to_parent(&self) -> Option<(&Parent, OutcomeResult)> {
        let result = match self.outcome.clone()? {
            Ok(result) => OutcomeResult::Completed(result),
            Err(fault) => OutcomeResult::Failed(fault),
        };
        Some((self.parent()?, result))
    }

    /// When the code begins, if it still waits for that.
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.timers.get(&TimerStarted::BEGIN).copied()
    }

    /// Forgets an effect of which no event will say that it was done; whoever did it may.
    pub fn has_done(&mut self, effect: &Effect) {
        if effect.has_no_answer() {
            self.effects.remove(&effect.key());
            if let Effect::Send { sent_id, .. } = effect {
                self.sent.remove(sent_id);
            }
        }
    }

    /// The earliest time limit of the run or one of its activities.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let activities = self.activities.values().filter_map(ActivityState::deadline);
        activities.chain(self.deadline.map(|(at, _)| at)).min()
    }

    /// Records an effect as pending.
    /// One that ends a child by force is not replaced by one that asks it to stop.
    pub(crate) fn pend(&mut self, guard: Identity, effect: Effect) {
        let how = |effect: &Effect| match effect {
            Effect::StopChild { how, .. } => Some(*how),
            _ => None,
        };
        let pending = self.effects.get(&effect.key()).and_then(|pending| how(&pending.effect));
        if pending == Some(StopChild::Terminate) && how(&effect) == Some(StopChild::Cancel) {
            return;
        }
        self.effects.insert(effect.key(), PendingEffect { guard, effect });
    }
}
