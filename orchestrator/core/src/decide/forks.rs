//! A run that begins with the events of another: a reset takes the place of the workflow's own run, a fork has an id of
//! its own.

use super::{Decider, Live, Verdict};
use crate::{
    ActivityId, ActivityState, ActivityUnpaused, Effect, Event, EventKind, Fork, ForkedFrom, Incoming, Run,
    RunId, RunInfo, RunStarted, RunUnpaused, SourceLog, Timestamp,
};

impl Decider<'_> {
    pub(super) fn fork(&mut self, live: &mut Option<Live>, fork: &Fork, incoming: &Incoming) -> Verdict {
        if let Some(current) = live {
            match current.run.absorbed_request(&fork.request_id) {
                Some(run_id) if run_id != current.run.info.run_id => return Verdict::Elsewhere(run_id),
                Some(_) => return Verdict::Repeated,
                None => {}
            }
        }
        // Checked before anything is ended for it.
        let taken = match taken_over(fork, self.turn.now) {
            Ok(taken) => taken,
            Err(reason) => return Verdict::Rejected(reason),
        };
        if let Some(current) = live {
            let (id, run_id) = (&current.run.info.workflow_id, current.run.info.run_id);
            if current.run.status.is_open() && !fork.replaces {
                return Verdict::Rejected(format!("id: run {run_id} of `{id}` is open; use another id"));
            }
            if current.run.status.is_open() {
                let reason = format!("reset to event {}: {}", fork.event, fork.reason);
                self.terminate(current, incoming, reason.trim_end_matches([':', ' ']), None);
                return Verdict::Again;
            }
            if self.decision.commits() {
                return Verdict::Again; // One run's events a commit: close, then replace.
            }
        }
        self.begin_with(live, fork, taken, incoming);
        Verdict::Absorbed
    }

    fn begin_with(
        &mut self,
        live: &mut Option<Live>,
        fork: &Fork,
        (started, taken, told): (RunStarted, &[Event], Vec<EventKind>),
        incoming: &Incoming,
    ) {
        self.guard = Some(incoming.message.identity());
        let begun = self.replace(live, RunId::from_random(self.turn.entropy), started.workflow.clone());
        let first = taken.iter().take(1).map(|event| Event { kind: started.clone().into(), ..event.clone() });
        for mut event in first.chain(taken.iter().skip(1).cloned()) {
            if let EventKind::ActivityScheduled(e) = &mut event.kind {
                // Whoever has the other run's token has none of this one.
                e.secret = e.secret.is_some().then(|| self.secret(e.activity_id));
            }
            begun.run.apply(&event);
            self.decision.events.push(event);
        }
        self.copied = self.decision.events.len();
        begun.run.sent.clear(); // By the run that asked for it.
        self.let_go_on(&mut begun.run, fork);
        told.into_iter().for_each(|signal| {
            self.record(&mut begun.run, signal);
        });
        self.ask_again(&mut begun.run);
        self.run_begun_code(begun);
    }

    /// Nobody has held back the new run, nor any of its activities.
    fn let_go_on(&mut self, run: &mut Run, fork: &Fork) {
        let request_id = &fork.request_id;
        if run.paused.is_some() {
            self.record(run, RunUnpaused { request_id: request_id.clone() });
        }
        let held = |(id, state): (&ActivityId, &ActivityState)| {
            state.paused.then(|| (*id, state.attempt_once_unpaused()))
        };
        let held: Vec<_> = run.activities.iter().filter_map(held).collect();
        for (activity_id, attempt) in held {
            self.record(run, ActivityUnpaused { activity_id, attempt, request_id: request_id.clone() });
        }
    }

    /// What the events that were taken over ask for and do not show the end of.
    fn ask_again(&mut self, run: &mut Run) {
        self.time = self.turn.now.max(run.last_time);
        let task = |(activity_id, state): (&ActivityId, &ActivityState)| {
            let at = state.available_at.max(self.time);
            Effect::SendTask { activity_id: *activity_id, attempt: state.attempt, at }
        };
        let tasks = run.activities.iter().map(task);
        let timers =
            run.timers.iter().map(|(timer_id, at)| Effect::SendTimer { timer_id: *timer_id, at: *at });
        let effects: Vec<Effect> = tasks.chain(timers).collect();
        effects.into_iter().for_each(|effect| self.effect(run, effect));
    }
}

/// The new run's first event, the events that it takes over, and the signals that it is told beside them; or why that
/// cannot be.
fn taken_over(fork: &Fork, now: Timestamp) -> Result<(RunStarted, &[Event], Vec<EventKind>), String> {
    let SourceLog { run_id, events } = fork.log.as_ref().map_err(Clone::clone)?;
    let cut = usize::try_from(fork.event).ok().filter(|cut| (1..=events.len()).contains(cut));
    let Some((taken, later)) = cut.map(|cut| events.split_at(cut)) else {
        let last = events.len();
        return Err(format!("event: run {run_id} has the events 1 to {last}, and no {}", fork.event));
    };
    let Some(EventKind::RunStarted(source)) = taken.first().map(|event| &event.kind) else {
        return Err(format!("from: run {run_id} does not begin with its start"));
    };
    let mut run = Run::new(RunInfo::new(fork.source.clone(), *run_id, source.workflow.clone(), now));
    taken.iter().for_each(|event| run.apply(event));
    let began = run.began;
    if !run.status.is_open() {
        return Err(format!("event: event {} closes run {run_id}; take one before it", fork.event));
    }
    if let Some((child_id, child)) = run.children.first_key_value() {
        let id = &child.workflow_id;
        return Err(format!(
            "event: the child workflow `{id}` (child {child_id}) is open at event {}, and it has one parent; take an event \
             before its start or after its end",
            fork.event
        ));
    }
    if let Some((activity_id, _)) = run.activities.iter().find(|(_, state)| state.canceling) {
        return Err(format!(
            "event: activity {activity_id} is being canceled at event {}; take an event before that or after its end",
            fork.event
        ));
    }
    let at_most_once = |(_, state): &(_, &ActivityState)| state.scheduled.options.runs_at_most_once();
    if let Some((activity_id, _)) = run.activities.iter().find(at_most_once) {
        return Err(format!(
            "event: activity {activity_id} runs at most once, and it may have begun by event {}; take an event before its \
             start, and it is begun anew, or after its end",
            fork.event
        ));
    }
    let forked_from = ForkedFrom {
        workflow_id: fork.source.clone(),
        run_id: *run_id,
        event: fork.event,
        at: now,
        seed: run.info.seed,
        reason: fork.reason.clone(),
    };
    let started = RunStarted {
        request_id: fork.request_id.clone(),
        parent: None,
        continued_from: None,
        first_run_id: None,
        execution_deadline: source.execution_deadline.map(|at| now.plus(at.since(began))),
        forked_from: Some(forked_from),
        ..RunStarted::clone(source)
    };
    let is_signal = |event: &&Event| matches!(event.kind, EventKind::SignalReceived(_));
    // No signal is lost between two resets: whoever sends it again finds it absorbed, by a run that is gone (G10).
    let told_since = later.iter().chain(fork.replaced.iter().flat_map(|events| events.iter()));
    let mut told = Vec::new();
    for event in told_since.filter(|_| fork.reapply).filter(is_signal) {
        let EventKind::SignalReceived(signal) = &event.kind else { continue };
        if run.absorbed_request(&signal.request_id).is_none() {
            run.apply(event);
            told.push(event.kind.clone());
        }
    }
    Ok((started, taken, told))
}
