//! The run of a schedule.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use millrace_core::{ApplicationFailure, IdReuse, ParentClose, Payload, Timestamp, WorkflowFailure};
use serde::{Deserialize, Serialize};

use super::messages::{Backfill, Backfilled, Change, Pause, Trigger, Triggered, Unpause};
use super::planning::Planner;
use super::state::{ActionOutcome, Cause, Firing, Progress, State};
use super::{Overlap, Schedule, ScheduleState};
use crate::call::{ChildCall, ChildResult, Numbered, Sleep, Untyped};
use crate::host::Kind;
use crate::workflow::{Message, Run, Workflow};
use crate::{Canceled, OnCancel, Rejected, StateCell, WorkflowContext, WorkflowError, reject};

/// After so many actions a run continues as new, as soon as none of them runs: one is replayed in microseconds.
const ACTIONS_A_RUN: u64 = 100;
/// How many times a backfill may have.
pub(super) const MOST_BACKFILLED: usize = 1_000;

/// The built-in workflow that a schedule is.
#[derive(Debug)]
pub struct ScheduleWorkflow;

/// Names it for [`Client::start`](crate::Client::start).
pub(super) struct ScheduleMarker;

impl crate::WorkflowRef<()> for ScheduleMarker {
    type Workflow = ScheduleWorkflow;
}

/// What its run is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRun {
    pub(super) schedule: Schedule,
    /// What the runs before have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) so_far: Option<Progress>,
}

impl Workflow for ScheduleWorkflow {
    type Input = ScheduleRun;
    type Output = ScheduleState;
    const NAME: &'static str = "millrace.schedule";
    const IS_BUILT_IN: bool = true;
    const ACCEPTS: &'static [&'static str] =
        &[Pause::NAME, Unpause::NAME, Trigger::NAME, Backfill::NAME, Change::NAME];

    fn run(context: WorkflowContext, input: ScheduleRun) -> Run<ScheduleState> {
        Box::pin(run(context, input))
    }
}

async fn run(context: WorkflowContext, input: ScheduleRun) -> Result<ScheduleState, WorkflowError> {
    input.schedule.check().map_err(|bad| ApplicationFailure::new("BadSchedule", bad).non_retryable())?;
    let cell = state(&context, input);
    let mut planner = Planner::new(context.clone(), cell.clone());
    let mut actions = Actions { context: context.clone(), running: Vec::new(), started: 0 };
    let mut timer = None;
    loop {
        planner.settle();
        if cell.read(State::is_over) {
            return Ok(cell.get().into());
        }
        if actions.are_many(&cell) {
            return context.continue_as_new(ScheduleMarker, cell.modify(State::leave));
        }
        actions.go_on(&cell);
        arm(&mut timer, &context, &cell);
        if let Some((action, result)) = wait(&cell, &mut actions.running, &mut timer).await? {
            if let Some(canceled) = context.canceled() {
                return Err(canceled.into());
            }
            planner.settle(); // What came until now came while the action still ran.
            let outcome = ActionOutcome::of(&result);
            cell.modify(|state| state.ended(&action.workflow_id, outcome, context.now()));
        }
    }
}

/// The state, with the answers to what it is asked for.
fn state(context: &WorkflowContext, input: ScheduleRun) -> StateCell<State> {
    let state = State::new(context.workflow_id().to_string(), input, context.now());
    let (clock, triggered, backfilled, changed) =
        (context.clone(), context.clone(), context.clone(), context.clone());
    let cell = context.state(state);
    cell.on_update(|state, Pause { note }| {
        state.told += 1;
        (state.progress.paused, state.progress.note) = (true, note);
        Ok(())
    })
    .on_update(move |state, Unpause { note }| state.unpause(note, clock.now()))
    .on_update(move |state, trigger| state.trigger(&trigger, triggered.now()))
    .on_update(move |state, backfill| state.accept(backfill, backfilled.now()))
    .on_update(move |state, Change { schedule }| {
        schedule.check().map_err(|reason| Rejected { reason })?;
        state.told += 1;
        state.schedule = schedule;
        state.plan_anew(changed.now());
        Ok(())
    })
    .published()
}

impl State {
    fn unpause(&mut self, note: String, now: Timestamp) -> Result<(), Rejected> {
        if !self.progress.paused {
            return reject(format!("schedule `{}` is not paused", self.id));
        }
        self.told += 1;
        (self.progress.paused, self.progress.note) = (false, note);
        self.plan_anew(now);
        Ok(())
    }

    fn trigger(&mut self, trigger: &Trigger, now: Timestamp) -> Result<Triggered, Rejected> {
        let overlap = trigger.overlap.unwrap_or(self.schedule.overlap);
        let waits = self.progress.waiting.iter().any(|firing| firing.cause != Cause::Backfilled);
        let is_left_out = match overlap {
            Overlap::Skip => self.is_busy(),
            Overlap::BufferOne => waits,
            _ => false,
        };
        if is_left_out {
            let problem = if waits { "an action waits already" } else { "an action still runs" };
            let advice = "wait for it, or say another overlap policy with the trigger";
            return reject(format!("overlap: {problem}, and the policy is `{}`; {advice}", word(overlap)));
        }
        let mut at = now;
        let is_used = |at: Timestamp, state: &Self| {
            let recent = state.progress.recent.iter().any(|action| action.scheduled_at == at);
            recent || state.progress.waiting.iter().any(|firing| firing.at == at)
        };
        while is_used(at, self) {
            at = at.plus(std::time::Duration::from_millis(1));
        }
        self.told += 1;
        self.offer(Firing { at, cause: Cause::Triggered, overlap });
        Ok(Triggered { workflow_id: self.action_id(at) })
    }

    fn accept(&mut self, backfill: Backfill, now: Timestamp) -> Result<Backfilled, Rejected> {
        let Backfill { from, to, .. } = backfill;
        if to <= from {
            return reject(format!("to: {to} is not after from, {from}"));
        }
        if to > now {
            return reject(format!(
                "to: {to} lies in the future; a backfill makes up for times that have passed"
            ));
        }
        let actions = self.times_between(from, to, MOST_BACKFILLED + 1).len();
        let room = MOST_BACKFILLED.saturating_sub(self.progress.waiting.len());
        if actions == 0 {
            return reject(format!("from: the schedule has no time from {from} to {to}"));
        }
        if actions > room {
            return reject(format!(
                "to: the range has more than the {room} times that may wait; give a shorter one, then the next"
            ));
        }
        self.told += 1;
        self.backfills.push_back(backfill);
        Ok(Backfilled { actions: actions as u64 })
    }
}

/// The word that a policy has in JSON.
pub(super) fn word(overlap: Overlap) -> String {
    let word = serde_json::to_value(overlap).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The actions that were started and have not ended.
struct Actions {
    context: WorkflowContext,
    running: Vec<Running>,
    /// How many this run has started.
    started: u64,
}

struct Running {
    workflow_id: String,
    end: ChildResult<Untyped>,
    /// How it was made to stop.
    stopped: Option<Overlap>,
}

type Ended = (Running, Result<Payload, WorkflowFailure>);

impl Actions {
    /// Whether a new run should go on. It would not hear of the end of what runs, so that has to end first, unless nothing
    /// depends on it.
    fn are_many(&self, cell: &StateCell<State>) -> bool {
        let is_long = self.context.should_continue_as_new();
        let allows_all = || cell.read(|state| state.schedule.overlap == Overlap::AllowAll);
        if self.running.is_empty() {
            return is_long || self.started >= ACTIONS_A_RUN;
        }
        is_long && allows_all()
    }

    /// Starts what may start; asks what is in the way to stop.
    fn go_on(&mut self, cell: &StateCell<State>) {
        while let Some(firing) = cell.modify(State::next_start) {
            let started = self.start(cell, firing);
            self.running.push(started);
            self.started += 1;
        }
        let Some(how) = cell.read(State::stops_others) else { return };
        for action in &mut self.running {
            if action.stopped.is_none() || (how == Overlap::TerminateOther && action.stopped != Some(how)) {
                action.stopped = Some(how);
                let reason = "the schedule's next time has come";
                match how {
                    Overlap::TerminateOther => action.end.terminate(reason),
                    _ => action.end.cancel(reason),
                }
            }
        }
    }

    fn start(&self, cell: &StateCell<State>, firing: Firing) -> Running {
        let workflow_id = cell.read(|state| state.action_id(firing.at));
        let (workflow, input) =
            cell.read(|state| (state.schedule.workflow.clone(), state.schedule.input.clone()));
        let call = Numbered::new(self.context.journal(), Kind::Child, self.context.scope_id());
        let call = ChildCall::named(call, &workflow, input).id(&workflow_id);
        // A time whose action has completed is not done again; whoever deletes the schedule lets its actions go on.
        let call = call.id_reuse(IdReuse::AllowDuplicateFailedOnly).parent_close(ParentClose::Abandon);
        let end = call.on_cancel(OnCancel::Abandon).start().result();
        cell.modify(|state| state.started(firing, self.context.now()));
        Running { workflow_id, end, stopped: None }
    }
}

/// Makes the timer the one for the next time; one that is right is kept.
fn arm(timer: &mut Option<(Timestamp, Sleep)>, context: &WorkflowContext, cell: &StateCell<State>) {
    let wakes_at = cell.read(State::wakes_at);
    if timer.as_ref().map(|(at, _)| *at) != wakes_at {
        *timer = wakes_at.map(|at| (at, context.sleep(at.since(context.now()))));
    }
}

/// Waits until an action has ended, which it gives, somebody has asked for something, or the next time has come.
async fn wait(
    cell: &StateCell<State>,
    running: &mut Vec<Running>,
    timer: &mut Option<(Timestamp, Sleep)>,
) -> Result<Option<Ended>, Canceled> {
    let told = cell.read(|state| state.told);
    let mut asked = cell.until(move |state| state.told != told);
    let mut fired = false;
    let ended = poll_fn(|cx| {
        for (i, action) in running.iter_mut().enumerate() {
            if let Poll::Ready(result) = Pin::new(&mut action.end).poll(cx) {
                return Poll::Ready(Ok(Some((i, result))));
            }
        }
        if let Poll::Ready(asked) = Pin::new(&mut asked).poll(cx) {
            return Poll::Ready(asked.map(|()| None));
        }
        if let Some((_, sleep)) = timer
            && let Poll::Ready(slept) = Pin::new(sleep).poll(cx)
        {
            fired = true;
            return Poll::Ready(slept.map(|()| None));
        }
        Poll::Pending
    })
    .await?;
    if fired {
        *timer = None;
    }
    Ok(ended.map(|(i, result)| (running.remove(i), result)))
}
