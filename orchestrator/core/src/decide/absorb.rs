//! What each message does to a run.

use super::{Decider, Live, Verdict, WAIT_FOR_TURN, is_young};
use crate::{
    ActivityAttemptFailed, ActivityCompleted, ActivityFailed, ActivityFailure, ActivityId, ActivityOutcome,
    ActivityState, ApplicationFailure, CancelRequested, Effect, Event, EventKind, Fault, IdConflict, IdReuse,
    Incoming, Message, OutcomeResult, Payload, RequestId, ResumeRequested, Run, RunCanceled, RunTerminated,
    RunTimedOut, SignalReceived, Start, Status, TimeoutKind, TimerFired, TimerId, Timestamp,
};

pub(super) const CLOSED: &str = "the run is closed";

/// A signal that comes before the one it follows waits for it. One that has waited so often shares its fate: the other was
/// refused, or never sent.
fn out_of_turn(after: &RequestId, receive_count: u32) -> Verdict {
    if receive_count < WAIT_FOR_TURN {
        return Verdict::Wait;
    }
    Verdict::Rejected(format!("after: the signal `{after}` has not come; send it, then this one again"))
}

impl Decider<'_> {
    /// Absorbs signals that came in the wrong order, as soon as what they follow is absorbed.
    pub(super) fn absorb_in_turn(
        &mut self,
        live: &mut Option<Live>,
        messages: &[Incoming],
        mut waiting: Vec<usize>,
    ) {
        waiting.retain(|i| matches!(messages[*i].message, Message::Signal { after: Some(_), .. }));
        loop {
            let before = waiting.len();
            waiting.retain(|i| {
                let verdict = self.absorb(live, &messages[*i]);
                let waits = verdict == Verdict::Wait;
                self.decision.verdicts[*i] = self.unless_it_continues(live, verdict);
                waits
            });
            if waiting.len() == before {
                return;
            }
        }
    }

    /// Absorbs one message; whatever it adds to the log is in the decision afterwards.
    pub(super) fn absorb(&mut self, live: &mut Option<Live>, incoming: &Incoming) -> Verdict {
        if self.begins_next && incoming.run_id.is_none() {
            return Verdict::Again;
        }
        match &incoming.message {
            Message::Start(start) => {
                let verdict = self.start(live, start, incoming);
                self.begins_next |= verdict == Verdict::Again;
                return verdict;
            }
            Message::Fork(fork) => {
                let verdict = self.fork(live, fork, incoming);
                self.begins_next |= verdict == Verdict::Again;
                return verdict;
            }
            Message::Stop(stop) => return self.stop(live, stop, incoming),
            _ => {}
        }
        let Some(live) = live else { return self.without_run(incoming) };
        if let Some(run_id) = incoming.run_id.filter(|run_id| !live.run.is_meant(*run_id, &incoming.message))
        {
            return Verdict::Elsewhere(run_id);
        }
        if self.is_ahead(&live.run, incoming) {
            return Verdict::Wait;
        }
        if let Some(verdict) = Self::known(&live.run, &incoming.message) {
            return verdict;
        }
        match &incoming.message {
            Message::Start(_) | Message::Stop(_) | Message::Fork(_) => Verdict::Again,
            Message::Signal { after: Some(after), .. } if live.run.absorbed_request(after).is_none() => {
                out_of_turn(after, incoming.receive_count)
            }
            Message::Signal { name, input, request_id, .. } => {
                self.signal(live, incoming, (name, input), request_id)
            }
            Message::Update { name, input, request_id } => {
                self.update(live, incoming, (name, input), request_id)
            }
            Message::Cancel { reason, request_id } => self.cancel(live, incoming, reason, request_id),
            Message::Terminate { reason, request_id } => {
                self.terminate(live, incoming, reason, Some(request_id.clone()))
            }
            Message::Resume { request_id } if live.run.blocked.is_some() => {
                self.fact(live, incoming, ResumeRequested { request_id: request_id.clone() })
            }
            Message::Resume { .. } if live.run.paused.is_some() => {
                Verdict::Stale("the run is paused, not blocked: unpause it")
            }
            Message::Resume { .. } => Verdict::Stale("the run is not blocked"),
            Message::Pause { activity_id, reason, request_id } => {
                self.pause(live, incoming, (*activity_id, reason), request_id)
            }
            Message::Unpause { activity_id, request_id } => {
                self.unpause(live, incoming, *activity_id, request_id)
            }
            Message::Retry { activity_id, request_id } => {
                self.retry_now(live, incoming, *activity_id, request_id)
            }
            Message::Outcome(outcome) => self.outcome(live, incoming, outcome),
            Message::Completion { secret, outcome } => self.completion(live, incoming, secret, outcome),
            Message::Timer { timer_id } => self.timer(live, incoming, *timer_id),
            Message::Wake { .. } => self.wake(live, incoming),
            Message::ChildOutcome { child_id, result } => {
                self.child_outcome(live, incoming, *child_id, result)
            }
        }
    }

    /// A run that tells its child something sends that beside the start: it may come first, and find the run that had the
    /// child's id before (G10).
    fn is_ahead(&self, run: &Run, incoming: &Incoming) -> bool {
        let Message::Signal { request_id, .. } = &incoming.message else { return false };
        let is_new = || run.absorbed_request(request_id).is_none();
        !run.status.is_open()
            && request_id.is_own()
            && is_young(incoming, Some(run), self.turn.now)
            && is_new()
    }

    /// What can be said of a message without changing anything: it is known, or too late.
    pub(super) fn known(run: &Run, message: &Message) -> Option<Verdict> {
        let open = run.status.is_open();
        match message {
            Message::Start(_) | Message::Stop(_) | Message::Fork(_) => None,
            Message::Update { request_id, .. } if run.has_rejected(request_id) => Some(Verdict::Repeated),
            Message::Signal { request_id, .. }
            | Message::Update { request_id, .. }
            | Message::Cancel { request_id, .. }
            | Message::Terminate { request_id, .. }
            | Message::Resume { request_id }
            | Message::Pause { request_id, .. }
            | Message::Unpause { request_id, .. }
            | Message::Retry { request_id, .. } => match run.absorbed_request(request_id) {
                Some(run_id) if run_id == run.info.run_id => Some(Verdict::Repeated),
                Some(run_id) => Some(Verdict::Elsewhere(run_id)),
                None if open => None,
                None if matches!(message, Message::Signal { .. } | Message::Update { .. }) => {
                    Some(Verdict::Rejected(CLOSED.into()))
                }
                None => Some(Verdict::Stale(CLOSED)),
            },
            Message::Outcome(outcome) | Message::Completion { outcome, .. } => {
                match run.activities.get(&outcome.activity_id) {
                    None => Some(Verdict::Repeated),
                    Some(state) if outcome.attempt >= state.attempt => None,
                    Some(state) if Self::is_welcome(state, outcome) => None,
                    Some(_) => Some(Verdict::Repeated),
                }
            }
            Message::Timer { timer_id } => (!run.timers.contains_key(timer_id)).then_some(Verdict::Repeated),
            Message::Wake { wake } => match run.wake {
                Some(armed) if armed.wake == *wake => None,
                _ => Some(Verdict::Repeated),
            },
            Message::ChildOutcome { child_id, .. } => {
                (!open || !run.children.contains_key(child_id)).then_some(Verdict::Repeated)
            }
        }
    }

    /// A late success is as good as any, unless only the lease holder may speak (G7).
    fn is_welcome(state: &ActivityState, outcome: &ActivityOutcome) -> bool {
        matches!(outcome.result, OutcomeResult::Completed(_)) && !state.scheduled.options.exclusive
    }

    /// G10: a message for a run that does not exist waits for it a while; an internal one is of a run that was purged.
    fn without_run(&self, incoming: &Incoming) -> Verdict {
        match &incoming.message {
            Message::Outcome(_)
            | Message::Completion { .. }
            | Message::Timer { .. }
            | Message::Wake { .. }
            | Message::ChildOutcome { .. } => Verdict::Stale("the run was purged"),
            _ if is_young(incoming, None, self.turn.now) => Verdict::Wait,
            _ => Verdict::Rejected(format!("there is no workflow `{}`", self.turn.workflow_id)),
        }
    }

    fn start(&mut self, live: &mut Option<Live>, start: &Start, incoming: &Incoming) -> Verdict {
        let Some(current) = live else { return self.begin(live, start, incoming) };
        match current.run.absorbed_request(&start.request_id) {
            Some(run_id) if run_id != current.run.info.run_id => return Verdict::Elsewhere(run_id),
            Some(_) => return Verdict::Repeated,
            // Its update was refused, and that is the answer.
            None if current.run.has_rejected(&start.request_id) => return Verdict::Repeated,
            None => {}
        }
        if current.run.status.is_open() {
            return self.start_beside_open(current, start, incoming);
        }
        let completed = current.run.status == Status::Completed;
        match start.id_reuse {
            IdReuse::RejectDuplicate => self.reject_used(&current.run, "reject_duplicate"),
            IdReuse::AllowDuplicateFailedOnly if completed => {
                self.reject_used(&current.run, "allow_duplicate_failed_only")
            }
            _ if self.decision.commits() => Verdict::Again, // one run's events a commit: close, then replace
            _ => self.begin(live, start, incoming),
        }
    }

    fn reject_used(&self, run: &Run, policy: &str) -> Verdict {
        let (id, run_id, status) = (&run.info.workflow_id, run.info.run_id, run.status);
        Verdict::Rejected(format!(
            "id: `{id}` was used by run {run_id} ({status}), and id_reuse is `{policy}`"
        ))
    }

    fn start_beside_open(&mut self, live: &mut Live, start: &Start, incoming: &Incoming) -> Verdict {
        if let (IdConflict::UseExisting, Some(update)) = (start.id_conflict, &start.update) {
            return self.update(live, incoming, (&update.name, &update.input), &start.request_id);
        }
        match (start.id_conflict, &start.signal) {
            (IdConflict::Fail, _) => Verdict::Rejected(format!(
                "id: run {} of `{}` is open; use another id, or id_conflict `use_existing` or `terminate_existing`",
                live.run.info.run_id, live.run.info.workflow_id
            )),
            (IdConflict::UseExisting, None) => {
                // It counts as done: its duplicate must not begin another run once this one has closed (G2).
                self.guard.get_or_insert_with(|| incoming.message.identity());
                live.run.answer(&start.request_id, self.time);
                self.decision.header_changed = true;
                self.try_again(live, incoming);
                Verdict::Absorbed
            }
            (IdConflict::UseExisting, Some(signal)) => {
                self.signal(live, incoming, (&signal.name, &signal.input), &start.request_id)
            }
            // Else it would end the run, and then be refused for having used its id.
            (IdConflict::TerminateExisting, _) if start.id_reuse == IdReuse::RejectDuplicate => {
                self.reject_used(&live.run, "reject_duplicate")
            }
            (IdConflict::TerminateExisting, _) => match self.turn.code.refuses(&start.workflow, &start.input)
            {
                Some(reason) => Verdict::Rejected(reason),
                None => {
                    self.terminate(live, incoming, "replaced by a new run", None);
                    Verdict::Again
                }
            },
        }
    }

    fn signal(
        &mut self,
        live: &mut Live,
        from: &Incoming,
        signal: (&str, &Payload),
        id: &RequestId,
    ) -> Verdict {
        let (name, input) = (signal.0.to_owned(), signal.1.clone());
        self.fact(live, from, SignalReceived { name, input, request_id: id.clone() })
    }

    pub(super) fn cancel(
        &mut self,
        live: &mut Live,
        from: &Incoming,
        reason: &str,
        id: &RequestId,
    ) -> Verdict {
        let reason = reason.to_owned();
        let verdict =
            self.fact(live, from, CancelRequested { reason: reason.clone(), request_id: id.clone() });
        if live.run.begins_at().is_some() {
            // There is no code yet that could follow the request.
            return self.close(live, RunCanceled { reason, before_start: true });
        }
        verdict
    }

    pub(super) fn terminate(
        &mut self,
        live: &mut Live,
        from: &Incoming,
        reason: &str,
        id: Option<RequestId>,
    ) -> Verdict {
        self.guard.get_or_insert_with(|| from.message.identity());
        self.close(live, RunTerminated { reason: reason.to_owned(), request_id: id })
    }

    /// Somebody outside reports how an attempt ended. Only the log's secret proves that they may.
    fn completion(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        secret: &str,
        outcome: &ActivityOutcome,
    ) -> Verdict {
        let scheduled = live.run.activities.get(&outcome.activity_id).map(|state| &state.scheduled);
        if scheduled.and_then(|scheduled| scheduled.secret.as_deref()) != Some(secret) {
            return Verdict::Rejected("token: it is not the one of this activity".into());
        }
        self.outcome(live, incoming, outcome)
    }

    fn outcome(&mut self, live: &mut Live, incoming: &Incoming, outcome: &ActivityOutcome) -> Verdict {
        let activity_id = outcome.activity_id;
        let Some(state) = live.run.activities.get(&activity_id).cloned() else { return Verdict::Repeated };
        let fault = match &outcome.result {
            OutcomeResult::Completed(result) => {
                let (attempt, result) = (outcome.attempt, result.clone());
                return self.fact(live, incoming, ActivityCompleted { activity_id, attempt, result });
            }
            OutcomeResult::Failed(fault) => fault,
        };
        if state.canceling {
            let (activity, fault) = (state.scheduled.activity.clone(), fault.clone());
            let failure = ActivityFailure { activity, attempts: state.made(outcome.attempt), fault };
            return self.fact(live, incoming, ActivityFailed { activity_id, failure });
        }
        // Every receive beyond the first means a worker that took the task and vanished.
        let used = outcome.attempt.saturating_add(outcome.receive_count.saturating_sub(1));
        let made = state.made(used);
        match self.retry_at(&state, made, fault) {
            Ok(retry_at) => self.retry(live, incoming, outcome, (used.saturating_add(1), retry_at, fault)),
            Err(fault) => {
                let activity = state.scheduled.activity.clone();
                let failure = ActivityFailure { activity, attempts: made, fault };
                self.fact(live, incoming, ActivityFailed { activity_id, failure })
            }
        }
    }

    /// When the next attempt is available, or the fault that the activity ends with.
    fn retry_at(&self, state: &ActivityState, used: u32, fault: &Fault) -> Result<Timestamp, Fault> {
        let jitter = f64::from((self.turn.entropy >> 32) as u16 ^ used as u16) / f64::from(u16::MAX);
        let delay =
            state.scheduled.options.retry.next_delay(used, fault, jitter).ok_or_else(|| fault.clone())?;
        let retry_at = self.time.plus(delay);
        if state.deadline().is_some_and(|deadline| retry_at >= deadline) {
            let cause = fault.application().cloned();
            return Err(Fault::TimedOut { kind: TimeoutKind::ScheduleToClose, cause });
        }
        // Attempts need no code: a policy without a pause would go on at full rate while the run is held.
        Ok(self.throttled_until.map_or(retry_at, |until| until.max(retry_at)))
    }

    fn retry(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        outcome: &ActivityOutcome,
        (next_attempt, retry_at, fault): (u32, Timestamp, &Fault),
    ) -> Verdict {
        let (activity_id, attempt) = (outcome.activity_id, outcome.attempt);
        let event =
            ActivityAttemptFailed { activity_id, attempt, next_attempt, retry_at, fault: fault.clone() };
        self.guard.get_or_insert_with(|| incoming.message.identity());
        let event = self.record(&mut live.run, event);
        // Before the code runs: it may cancel the activity or end the run, and then nothing is to be sent.
        if live.run.activities.get(&activity_id).is_some_and(|state| !state.withheld) {
            self.effect(&mut live.run, Effect::SendTask { activity_id, attempt: next_attempt, at: retry_at });
        }
        self.advance(live, &event);
        Verdict::Absorbed
    }

    fn timer(&mut self, live: &mut Live, incoming: &Incoming, timer_id: TimerId) -> Verdict {
        match live.run.timers.get(&timer_id) {
            Some(due) if self.time < *due => Verdict::Early(*due),
            Some(_) => self.fact(live, incoming, TimerFired { timer_id }),
            None => Verdict::Repeated,
        }
    }

    /// The wake of a run looks after all that must happen without a message: time limits, and trying blocked code.
    fn wake(&mut self, live: &mut Live, incoming: &Incoming) -> Verdict {
        let Some(armed) = live.run.wake else { return Verdict::Repeated };
        if self.time < armed.at {
            return Verdict::Early(armed.at);
        }
        self.guard.get_or_insert_with(|| incoming.message.identity());
        live.run.wake = None;
        live.run.wakes_absorbed = armed.wake;
        live.run.effects.remove(&crate::EffectKey::Wake);
        self.decision.header_changed = true;
        if let Some((_, limit)) = live.run.deadline.filter(|(at, _)| *at <= self.time) {
            return self.close(live, RunTimedOut { limit });
        }
        self.bring_up(live);
        for activity_id in self.overdue(&live.run) {
            self.expire(live, incoming, activity_id);
        }
        Verdict::Absorbed
    }

    fn overdue(&self, run: &Run) -> Vec<ActivityId> {
        let late = |state: &ActivityState| state.deadline().is_some_and(|deadline| deadline <= self.time);
        run.activities.iter().filter(|(_, state)| late(state)).map(|(id, _)| *id).collect()
    }

    fn expire(&mut self, live: &mut Live, incoming: &Incoming, activity_id: ActivityId) {
        let Some(state) = live.run.activities.get(&activity_id).cloned() else { return };
        let cause: Option<ApplicationFailure> =
            state.last_failure.as_ref().and_then(Fault::application).cloned();
        let fault = Fault::TimedOut { kind: TimeoutKind::ScheduleToClose, cause };
        let activity = state.scheduled.activity.clone();
        let failure = ActivityFailure { activity, attempts: state.made(state.attempt), fault };
        if state.scheduled.options.needs_lease() {
            let reason = "schedule-to-close".to_owned();
            self.effect(&mut live.run, Effect::CancelActivity { activity_id, reason });
        }
        self.fact(live, incoming, ActivityFailed { activity_id, failure });
    }

    /// Records a fact and resumes the code with it.
    pub(super) fn fact(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        kind: impl Into<EventKind>,
    ) -> Verdict {
        self.guard.get_or_insert_with(|| incoming.message.identity());
        let event = self.record(&mut live.run, kind);
        self.advance(live, &event);
        Verdict::Absorbed
    }

    /// Resumes the code with a fact that was just recorded, or brings it up to there.
    pub(super) fn advance(&mut self, live: &mut Live, event: &Event) {
        if live.replay.is_some() && self.runs_code && live.run.paused.is_none() {
            self.resume(live, event);
        } else {
            live.replay = None;
            self.bring_up(live);
        }
    }
}
