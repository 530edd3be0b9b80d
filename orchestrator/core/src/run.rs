//! The state of a run: what its events add up to, and what its header keeps beside them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ActivityId, ActivityScheduled, Blocked, ChildId, ChildScheduled, CompletionToken, Effect, EffectKey,
    Event, EventKind, Fault, Headers, Identity, Namespace, OutcomeResult, Pace, ParentClose, Payload,
    PendingEffect, RequestId, RunContinuedAsNew, RunId, RunInfo, RunStarted, SentId, StopChild, Task,
    TimerId, TimerStarted, Timestamp,
};

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

/// A request that an earlier run of the same workflow id has absorbed, or a start that this one has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedRequest {
    /// The request.
    pub request_id: RequestId,
    /// The run that absorbed it.
    pub run_id: RunId,
    /// When that run closed, or answered.
    pub at: Timestamp,
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
    /// The most carried requests that a header keeps.
    pub const MOST_CARRIED: usize = 4_096;
    /// The most refused updates that a header keeps.
    pub const MOST_REJECTED: usize = 64;
    /// How long a carried request is kept: as long as a queue may keep its message.
    pub const CARRY_FOR: Duration = Duration::from_secs(14 * 86_400);

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

    /// Takes one event into account. Tolerates facts about things that have ended: a run that was blocked records
    /// facts before the commands that would have made them void.
    pub fn apply(&mut self, event: &Event) {
        self.last_event = event.n;
        self.last_time = event.t;
        match &event.kind {
            EventKind::RunStarted(e) => {
                let began = e.forked_from.as_ref().map_or(event.t, |forked| forked.at);
                self.began = began;
                let of_run = e.run_timeout.map(|limit| (began.plus(limit), limit));
                let of_workflow = e.execution_deadline.map(|at| (at, at.since(began)));
                self.info.version.clone_from(&e.version);
                self.info.seed = e.forked_from.as_ref().map_or(self.info.run_id, |forked| forked.seed);
                self.deadline = of_run.into_iter().chain(of_workflow).min();
                self.remember(&e.request_id);
                e.unread.updates.iter().for_each(|update| self.ask(&update.request_id));
                self.started = Some(Arc::new(RunStarted::clone(e)));
            }
            // What was taken over from another run begins anew.
            EventKind::ActivityScheduled(e) => self.schedule(e, event.t.max(self.began)),
            EventKind::ActivityAttemptFailed(e) => {
                if let Some(activity) = self.activities.get_mut(&e.activity_id) {
                    activity.attempt = e.next_attempt;
                    activity.available_at = e.retry_at;
                    activity.last_failure = Some(e.fault.clone());
                    activity.withheld = activity.paused;
                    self.effects.remove(&EffectKey::Task(e.activity_id));
                }
            }
            EventKind::ActivityPaused(e) => {
                self.remember(&e.request_id);
                self.pause_activity(e.activity_id, event.t);
            }
            EventKind::ActivityUnpaused(e) => {
                self.remember(&e.request_id);
                let available_at = |activity: &ActivityState| activity.available_at.max(event.t);
                let at = self.activities.get(&e.activity_id).map_or(event.t, available_at);
                self.next_attempt(e.activity_id, e.attempt, at);
            }
            EventKind::ActivityRetryRequested(e) => {
                self.remember(&e.request_id);
                self.next_attempt(e.activity_id, e.attempt, event.t);
            }
            EventKind::ActivityCompleted(e) => self.end_activity(e.activity_id),
            EventKind::ActivityFailed(e) => self.end_activity(e.activity_id),
            EventKind::ActivityCancelRequested(e) if e.waits => {
                if let Some(activity) = self.activities.get_mut(&e.activity_id) {
                    activity.canceling = true;
                }
            }
            EventKind::ActivityCancelRequested(e) => self.end_activity(e.activity_id),
            EventKind::TimerStarted(e) => {
                self.timers.insert(e.timer_id, e.fire_at);
            }
            EventKind::TimerFired(e) => self.end_timer(e.timer_id),
            EventKind::TimerCanceled(e) => self.end_timer(e.timer_id),
            EventKind::ChildScheduled(e) => {
                self.children.insert(e.child_id, Arc::new(e.clone()));
            }
            EventKind::ChildCompleted(e) => self.end_child(e.child_id),
            EventKind::ChildFailed(e) => self.end_child(e.child_id),
            EventKind::ChildCancelRequested(e) => {
                self.effects.remove(&EffectKey::Start(e.child_id));
            }
            EventKind::SignalSent(e) => self.send(e.sent_id, &event.kind),
            EventKind::CancelSent(e) => self.send(e.sent_id, &event.kind),
            EventKind::SignalReceived(e) => self.remember(&e.request_id),
            EventKind::UpdateReceived(e) => {
                self.remember(&e.request_id);
                self.ask(&e.request_id);
            }
            EventKind::UpdateCompleted(e) => self.answered(&e.request_id),
            EventKind::UpdateRejected(e) => self.answered(&e.request_id),
            EventKind::LocalActivityCompleted(_)
            | EventKind::LocalActivityFailed(_)
            | EventKind::Patched(_) => {}
            EventKind::CancelRequested(e) => self.remember(&e.request_id),
            EventKind::ResumeRequested(e) => self.remember(&e.request_id),
            EventKind::RunPaused(e) => {
                self.remember(&e.request_id);
                self.paused = Some(PausedMark { reason: e.reason.clone(), since: event.t });
            }
            EventKind::RunUnpaused(e) => {
                self.remember(&e.request_id);
                self.paused = None;
            }
            EventKind::RunBlocked(_) => {}
            EventKind::RunCompleted(_) => self.close(Status::Completed),
            EventKind::RunFailed(_) => self.close(Status::Failed),
            EventKind::RunTimedOut(_) => self.close(Status::TimedOut),
            EventKind::RunCanceled(_) => self.close(Status::Canceled),
            EventKind::RunTerminated(e) => {
                e.request_id.iter().for_each(|id| self.remember(id));
                self.close(Status::Terminated);
            }
            EventKind::RunContinuedAsNew(e) => {
                self.continued = Some(Arc::new(e.clone()));
                self.close(Status::ContinuedAsNew);
            }
        }
        if let Some(outcome) = event.kind.outcome() {
            self.outcome = Some(outcome);
        }
    }

    /// Whether this run or an earlier one of its id has absorbed the request; says which.
    pub fn absorbed_request(&self, request_id: &RequestId) -> Option<RunId> {
        if self.requests.contains_key(request_id) {
            return Some(self.info.run_id);
        }
        self.carried.iter().find(|carried| carried.request_id == *request_id).map(|carried| carried.run_id)
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
    pub fn parent(&self) -> Option<&crate::Parent> {
        self.started.as_ref()?.parent.as_ref()
    }

    /// The run that continued as this one.
    pub fn continued_from(&self) -> Option<RunId> {
        self.started.as_ref()?.continued_from
    }

    /// Whether a message that names `run_id` is for this run. A request that names the first of the runs that continue one
    /// another means the last; what the runs themselves send means that run and no other.
    pub fn is_meant(&self, run_id: RunId, message: &crate::Message) -> bool {
        let first = self.started.as_ref().and_then(|started| started.first_run_id);
        run_id == self.info.run_id || (message.is_request() && first == Some(run_id))
    }

    /// What the parent is to be told, if there is one and the workflow has ended.
    pub fn report_to_parent(&self) -> Option<(&crate::Parent, OutcomeResult)> {
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

    /// What the next run of this id must know of the requests that this one and those before it have absorbed.
    pub fn carry(&self, now: Timestamp) -> Vec<CarriedRequest> {
        let run_id = self.info.run_id;
        let mut own: Vec<(&RequestId, u64)> = self.requests.iter().map(|(id, n)| (id, *n)).collect();
        if let Some(surplus) = own.len().checked_sub(Self::MOST_CARRIED + 1) {
            // The oldest are forgotten, but never the start: its late duplicate would begin another run.
            let mut ages: Vec<u64> = own.iter().map(|(_, n)| *n).filter(|n| *n > 1).collect();
            let (_, oldest_kept, _) = ages.select_nth_unstable(surplus);
            let last_forgotten = *oldest_kept;
            own.retain(|(_, n)| *n == 1 || *n > last_forgotten);
        }
        let carried = |(id, _): (&RequestId, u64)| CarriedRequest {
            request_id: id.clone(),
            run_id,
            at: self.last_time,
        };
        Self::worth_carrying(self.carried.iter().cloned().chain(own.into_iter().map(carried)).collect(), now)
    }

    /// Remembers a start that found this run open and counts as done, without an event of its own.
    pub(crate) fn answer(&mut self, request_id: &RequestId, now: Timestamp) {
        let answered = CarriedRequest { request_id: request_id.clone(), run_id: self.info.run_id, at: now };
        self.carried.push(answered);
        self.carried = Self::worth_carrying(std::mem::take(&mut self.carried), now);
    }

    fn worth_carrying(mut all: Vec<CarriedRequest>, now: Timestamp) -> Vec<CarriedRequest> {
        all.retain(|carried| now.since(carried.at) <= Self::CARRY_FOR);
        let surplus = all.len().saturating_sub(Self::MOST_CARRIED);
        all.drain(..surplus);
        all
    }

    fn schedule(&mut self, event: &ActivityScheduled, at: Timestamp) {
        let state = ActivityState {
            scheduled: Arc::new(event.clone()),
            scheduled_at: at,
            attempt: 1,
            available_at: at,
            skipped: 0,
            last_failure: None,
            canceling: false,
            paused: false,
            withheld: false,
        };
        self.activities.insert(event.activity_id, state);
    }

    /// An attempt that still waits for its time is void with that; one that may be under way is let go on.
    fn pause_activity(&mut self, activity_id: ActivityId, at: Timestamp) {
        let Some(activity) = self.activities.get_mut(&activity_id) else { return };
        activity.paused = true;
        if activity.waits(at) {
            activity.withheld = true;
            self.effects.remove(&EffectKey::Task(activity_id));
        }
    }

    fn next_attempt(&mut self, activity_id: ActivityId, attempt: u32, at: Timestamp) {
        let Some(activity) = self.activities.get_mut(&activity_id) else { return };
        activity.paused = false;
        if attempt != activity.attempt {
            activity.skipped += attempt.saturating_sub(activity.attempt);
            activity.attempt = attempt;
            activity.available_at = at;
            activity.withheld = false;
            self.effects.remove(&EffectKey::Task(activity_id));
        }
    }

    fn end_activity(&mut self, activity_id: ActivityId) {
        self.activities.remove(&activity_id);
        self.effects.remove(&EffectKey::Task(activity_id));
    }

    fn end_timer(&mut self, timer_id: TimerId) {
        self.timers.remove(&timer_id);
        self.effects.remove(&EffectKey::Timer(timer_id));
    }

    fn end_child(&mut self, child_id: ChildId) {
        self.children.remove(&child_id);
        self.effects.remove(&EffectKey::Start(child_id));
    }

    fn send(&mut self, sent_id: SentId, event: &EventKind) {
        self.sent.insert(sent_id, Arc::new(event.clone()));
    }

    fn ask(&mut self, request_id: &RequestId) {
        self.updates.insert(request_id.clone(), self.last_event);
    }

    fn answered(&mut self, request_id: &RequestId) {
        self.updates.remove(request_id);
    }

    fn remember(&mut self, request_id: &RequestId) {
        // A start may bring a signal or an update of the same request: the start counts.
        self.requests.entry(request_id.clone()).or_insert(self.last_event);
    }

    fn close(&mut self, status: Status) {
        self.status = status;
        self.activities.clear();
        self.timers.clear();
        // A child that may outlive this run is started, though the run ended before anybody could.
        self.children.retain(|_, child| child.options.parent_close == ParentClose::Abandon);
        self.wake = None;
        self.blocked = None;
        self.paused = None;
        if status != Status::ContinuedAsNew {
            self.pace = None;
        }
        let children = &self.children;
        self.effects.retain(|_, pending| match &pending.effect {
            Effect::SendStart { child_id, .. } => children.contains_key(child_id),
            effect => effect.outlives_run(),
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunStarted, SignalReceived};

    fn request(id: &str) -> RequestId {
        RequestId::new(id).unwrap()
    }

    #[test]
    fn g2_above_the_limit_the_oldest_requests_are_forgotten_but_never_the_start() {
        let info = RunInfo::new(
            "w".parse().unwrap(),
            RunId::from_random(1),
            "W".parse().unwrap(),
            Timestamp::default(),
        );
        let mut run = Run::new(info);
        let started = RunStarted {
            workflow: "W".parse().unwrap(),
            input: Payload::null(),
            request_id: request("start"),
            run_timeout: None,
            memo: None,
            attributes: None,
            headers: Headers::new(),
            execution_deadline: None,
            begins_at: None,
            parent: None,
            continued_from: None,
            first_run_id: None,
            unread: crate::Unread::default(),
            version: None,
            forked_from: None,
        };
        run.apply(&Event { n: 1, t: Timestamp::default(), kind: started.into() });
        for n in 2..=5_000 {
            // Names whose order is not the order of arrival.
            let signal = SignalReceived {
                name: "s".into(),
                input: Payload::null(),
                request_id: request(&format!("{}", 9_999 - n)),
            };
            run.apply(&Event { n, t: Timestamp::default(), kind: signal.into() });
        }
        let carried = run.carry(Timestamp::default());
        let has = |id: &str| carried.iter().any(|c| c.request_id == request(id));
        assert_eq!(carried.len(), Run::MOST_CARRIED);
        assert!(has("start") && has("4999") && !has("9997"), "start, newest, oldest");
    }
}
