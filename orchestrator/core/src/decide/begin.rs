//! How runs begin: by a start, or because the run before them continues as new.

use super::{Decider, Live, Verdict};
use crate::time::whole_millis;
use crate::{
    Effect, Identity, Incoming, Message, RequestId, RunId, RunInfo, RunStarted, SignalReceived, Start,
    TimerStarted, Unread, UpdateReceived, WorkflowType,
};

impl Decider<'_> {
    /// A run of its own for a start request, after the closed one, if there is one.
    pub(super) fn begin(&mut self, live: &mut Option<Live>, start: &Start, incoming: &Incoming) -> Verdict {
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
    /// else is looked at, whoever meets such a head.
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
        let identity = first.message.identity();
        self.guard = Some(match elsewhere(&begun.run, first) {
            Some(run_id) => Identity::Earlier(run_id, Box::new(identity)),
            None => identity,
        });
        if ends {
            self.effect(&mut begun.run, Effect::IndexOpen);
        } else {
            self.run_begun_code(begun);
        }
    }

    /// A turn that ends in a continue-as-new is decided again, to begin the run that follows. That holds for any verdict:
    /// the message may be known, or another run's, and still be the last that comes to this workflow.
    pub(super) fn unless_it_continues(&mut self, live: &Option<Live>, verdict: Verdict) -> Verdict {
        if live.as_ref().is_none_or(|live| live.run.continued.is_none()) {
            return verdict;
        }
        self.begins_next = true;
        Verdict::Again
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
        let mut run = crate::Run::new(RunInfo::new(workflow_id, run_id, workflow, self.turn.now));
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

/// The earlier run that a message is sent to when it meets `run`; `None` if it is this one's, or no run's.
fn elsewhere(run: &crate::Run, incoming: &Incoming) -> Option<RunId> {
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
