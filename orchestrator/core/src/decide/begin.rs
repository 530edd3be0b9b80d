//! How runs begin: by a start, or because the run before them continues as new.

use super::{Decider, Live, Verdict};
use crate::time::whole_millis;
use crate::{
    Effect, Identity, Incoming, Message, RequestId, Run, RunId, RunInfo, RunStarted, SignalReceived, Start,
    TimerStarted, Unread, UpdateReceived, WorkflowType,
};

impl Decider<'_> {
    /// A run of its own for a start request, after the closed one, if there is one.
    pub(super) fn begin(&mut self, live: &mut Option<Live>, start: &Start, incoming: &Incoming) -> Verdict {
        if let Some(reason) = self.turn.code.refuses(&start.workflow, &start.input) {
            return Verdict::Rejected(reason);
        }
        let now = self.turn.now;
        let started = RunStarted {
            workflow: start.workflow.clone(),
            input: start.input.clone(),
            request_id: start.request_id.clone(),
            run_timeout: start.run_timeout.map(whole_millis),
            memo: start.memo.clone(),
            attributes: start.attributes.clone(),
            headers: start.headers.clone(),
            execution_deadline: start.execution_timeout.map(|limit| now.plus(limit)),
            begins_at: start.delay.map(|delay| now.plus(delay)),
            parent: start.parent.clone(),
            continued_from: None,
            first_run_id: None,
            unread: Unread::default(),
            version: self.turn.code.version(&start.workflow),
            forked_from: None,
        };
        self.guard = Some(incoming.message.identity());
        let run_id = RunId::from_random(self.turn.entropy);
        let begun = self.first_event(live, run_id, started);
        let request_id = start.request_id.clone();
        // Before the code runs: it may end the run at once, and nothing may follow an end in the log.
        if let Some(signal) = &start.signal {
            let (name, input, request_id) = (signal.name.clone(), signal.input.clone(), request_id.clone());
            self.record(&mut begun.run, SignalReceived { name, input, request_id });
        }
        if let Some(update) = &start.update {
            let (name, input) = (update.name.clone(), update.input.clone());
            self.record(&mut begun.run, UpdateReceived { name, input, request_id });
        }
        if let Some(at) = begun.run.started.as_ref().and_then(|started| started.begins_at) {
            let timer_id = TimerStarted::BEGIN;
            self.record(&mut begun.run, TimerStarted { timer_id, fire_at: at });
            self.effect(&mut begun.run, Effect::SendTimer { timer_id, at });
        }
        self.run_begun_code(begun);
        Verdict::Absorbed
    }

    /// A head that continues as new is only half of what its turn decided: the run that follows begins before anything
    /// else is looked at, with a message that [may begin it](begins_next).
    /// One that is to be terminated begins without its code, which might continue as new at once, for ever.
    pub(super) fn go_on_as_new(&mut self, live: &mut Option<Live>, first: &Incoming, ends: bool) {
        let Some(earlier) = live.as_ref().map(|live| &live.run) else { return };
        let (Some(next), Some(started)) = (earlier.continued.clone(), earlier.started.clone()) else {
            return;
        };
        let (run_id, pace) = (earlier.info.run_id, earlier.pace);
        let first_run = started.first_run_id.unwrap_or(run_id);
        let started = RunStarted {
            workflow: next.workflow.clone(),
            input: next.input.clone(),
            request_id: RequestId::own("continue", run_id, 0),
            begins_at: None,
            continued_from: Some(run_id),
            first_run_id: Some(first_run),
            unread: next.unread.clone(),
            version: self.turn.code.version(&next.workflow),
            forked_from: None,
            ..(*started).clone()
        };
        let begun = self.first_event(live, next.new_run_id, started);
        begun.run.pace = pace;
        if let Some(cancel) = &next.unread.cancel {
            self.record(&mut begun.run, cancel.clone());
        }
        // Under this identity its redelivery is looked up, now that the head has gone on.
        self.guard = Some(looked_up(&begun.run, first));
        if ends {
            self.effect(&mut begun.run, Effect::IndexOpen);
        } else {
            self.run_begun_code(begun);
        }
    }

    /// What a turn decides after a continue-as-new is decided again, for the run that follows. That holds for any verdict:
    /// the message may be known, or another run's, and be the one under which the run has closed.
    pub(super) fn unless_it_continues(&mut self, live: &Option<Live>, verdict: Verdict) -> Verdict {
        if live.as_ref().is_none_or(|live| live.run.continued.is_none()) {
            return verdict;
        }
        self.begins_next = true;
        Verdict::Again
    }

    /// The message under which this turn has closed a run that continues as new comes again, also if it was absorbed before
    /// another message closed the run: nothing else begins the next one.
    pub(super) fn keep_what_begins_next(&mut self, live: &Option<Live>, messages: &[Incoming]) {
        let Some(run) = live.as_ref().map(|live| &live.run) else { return };
        for (message, verdict) in messages.iter().zip(&mut self.decision.verdicts) {
            if closed_under(run, message) {
                *verdict = Verdict::Again;
            }
        }
    }

    /// What becomes of a message that meets a run which continues as new, as long as the message that begins the next one
    /// has not come: what was for this run is settled, what may be for the next waits.
    pub(super) fn before_next(run: &Run, incoming: &Incoming) -> Verdict {
        if incoming.message.waits_for_next() {
            return Verdict::Wait;
        }
        match incoming.run_id.filter(|run_id| *run_id != run.info.run_id) {
            Some(run_id) => Verdict::Elsewhere(run_id),
            None => Self::known(run, &incoming.message).unwrap_or(Verdict::Repeated),
        }
    }

    /// Puts a run with its first event in the place of the one before.
    pub(super) fn first_event<'a>(
        &mut self,
        live: &'a mut Option<Live>,
        run_id: RunId,
        started: RunStarted,
    ) -> &'a mut Live {
        let begun = self.replace(live, run_id, started.workflow.clone());
        self.record(&mut begun.run, started);
        begun
    }

    /// Puts a run without events in the place of the one before.
    pub(super) fn replace<'a>(
        &mut self,
        live: &'a mut Option<Live>,
        run_id: RunId,
        workflow: WorkflowType,
    ) -> &'a mut Live {
        let earlier = live.take();
        let workflow_id = self.turn.workflow_id.clone();
        let mut run = Run::new(RunInfo::new(workflow_id, run_id, workflow, self.turn.now));
        if let Some(earlier) = earlier {
            run.carried = earlier.run.carry(self.turn.now);
            run.rejected.clone_from(&earlier.run.rejected);
            self.decision.replaces = Some(Box::new(earlier.run));
        }
        live.insert(Live { run, replay: None, history: Vec::new() })
    }

    pub(super) fn run_begun_code(&mut self, begun: &mut Live) {
        self.bring_up(begun);
        if begun.run.status.is_open() {
            self.effect(&mut begun.run, Effect::IndexOpen);
        }
    }
}

/// Which of the messages begins the run that follows `run`. It is the guard of all that the new run asks for first, so it
/// must be in its queue until that is sent. A message that the log knows may be gone: whoever has it may hold an outdated
/// receipt. There are three that are not:
/// - the one under which the run has closed: it is not deleted before somebody has found the next run;
/// - the helper's, sent for this run when it was found closed, and again every day;
/// - a terminate that the log does not have, and that ends the next run at once. An endless chain of runs that close as they
///   begin may never be met together with the message that drives it.
///
/// A head that an older build has closed does not name its message; then any will do.
pub(super) fn begins_next<'a>(
    run: &Run,
    mut messages: impl Iterator<Item = &'a Incoming> + Clone,
) -> Option<&'a Incoming> {
    if run.closed_under.is_none() {
        return messages.next();
    }
    let find = |is_it: fn(&Run, &Incoming) -> bool| messages.clone().find(|message| is_it(run, message));
    find(closed_under).or_else(|| find(helps)).or_else(|| find(ends_next))
}

fn helps(run: &Run, incoming: &Incoming) -> bool {
    matches!(incoming.message, Message::Wake { wake: 0 }) && incoming.run_id == Some(run.info.run_id)
}

fn ends_next(run: &Run, incoming: &Incoming) -> bool {
    match &incoming.message {
        Message::Terminate { request_id, .. } => {
            elsewhere(run, incoming).is_none() && run.absorbed_request(request_id).is_none()
        }
        _ => false,
    }
}

/// Whether this is the message whose turn has closed a run that continues as new.
fn closed_under(run: &Run, incoming: &Incoming) -> bool {
    run.closed_under.as_ref().is_some_and(|guard| *guard == looked_up(run, incoming))
}

/// The identity under which a message that meets `run` is looked up.
fn looked_up(run: &Run, incoming: &Incoming) -> Identity {
    let identity = incoming.message.identity();
    match elsewhere(run, incoming) {
        Some(run_id) => Identity::Earlier(run_id, Box::new(identity)),
        None => identity,
    }
}

/// The earlier run that a message is sent to when it meets `run`; `None` if it is this one's, or no run's.
fn elsewhere(run: &Run, incoming: &Incoming) -> Option<RunId> {
    let message = &incoming.message;
    let pinned = match message {
        Message::Start(_) | Message::Stop(_) | Message::Fork(_) => None,
        _ => incoming.run_id.filter(|run_id| !run.is_meant(*run_id, message)),
    };
    let taken_by = || match message.identity() {
        Identity::Request(id) => run.absorbed_request(&id).filter(|run_id| *run_id != run.info.run_id),
        _ => None,
    };
    pinned.or_else(taken_by)
}
