//! Child workflows, from both sides.

use super::{Decider, Live, Verdict};
use crate::{
    CancelRequested, ChildCompleted, ChildFailed, ChildId, ChildScheduled, Effect, Headers, Identity,
    Incoming, OutcomeResult, Payload, RunCanceled, RunId, RunStarted, RunTerminated, Stop, StopChild,
    Timestamp, Unread, WorkflowFailure,
};

impl Decider<'_> {
    /// The parent's side: a child ended, or could not be started.
    pub(super) fn child_outcome(
        &mut self,
        live: &mut Live,
        incoming: &Incoming,
        child_id: ChildId,
        result: &OutcomeResult,
    ) -> Verdict {
        let Some(child) = live.run.children.get(&child_id).cloned() else { return Verdict::Repeated };
        match result {
            OutcomeResult::Completed(result) => {
                self.fact(live, incoming, ChildCompleted { child_id, result: result.clone() })
            }
            OutcomeResult::Failed(fault) => {
                let failure = WorkflowFailure { workflow: child.workflow.to_string(), fault: fault.clone() };
                self.fact(live, incoming, ChildFailed { child_id, failure })
            }
        }
    }

    /// The child's side: its parent wants it to stop. One that has not been started yet never will be.
    pub(super) fn stop(&mut self, live: &mut Option<Live>, stop: &Stop, incoming: &Incoming) -> Verdict {
        let Some(current) = live else { return self.never_start(live, stop, incoming) };
        let request_id = stop.request_id();
        let run = &current.run;
        match run.absorbed_request(&request_id) {
            Some(run_id) if run_id == run.info.run_id => return Verdict::Repeated,
            Some(run_id) => return Verdict::Elsewhere(run_id),
            None => {}
        }
        // A child that continues as new again and again may have forgotten its start, but not its parent.
        if run.parent() != Some(&stop.parent) {
            return self.stop_of_another(current, stop);
        }
        if !run.status.is_open() {
            return Verdict::Stale("the child has ended");
        }
        match stop.how {
            StopChild::Cancel => self.cancel(current, incoming, &stop.reason, &request_id),
            StopChild::Terminate => self.terminate(current, incoming, &stop.reason, Some(request_id)),
        }
    }

    /// The child's id is another run's by now, or always was. Then the start, should it still be on its way, finds itself
    /// answered, and the parent, which may wait for an end, is told that the child was never started (G10).
    fn stop_of_another(&mut self, current: &mut Live, stop: &Stop) -> Verdict {
        let (start, run) = (stop.parent.start_request(), &mut current.run);
        match run.absorbed_request(&start) {
            Some(run_id) if run_id != run.info.run_id => return Verdict::Stale("the child has ended"),
            Some(_) => {}
            None => {
                self.guard.get_or_insert_with(|| Identity::Request(stop.request_id()));
                run.answer(&start, self.time);
                self.decision.header_changed = true;
            }
        }
        let (id, run_id) = (&run.info.workflow_id, run.info.run_id);
        Verdict::Rejected(format!("id: `{id}` is used by run {run_id}; the child was not started"))
    }

    /// G10: a closed history under the start's request, so that the start changes nothing when it comes.
    fn never_start(&mut self, live: &mut Option<Live>, stop: &Stop, incoming: &Incoming) -> Verdict {
        let started = RunStarted {
            workflow: stop.workflow.clone(),
            input: Payload::null(),
            request_id: stop.parent.start_request(),
            run_timeout: None,
            memo: None,
            attributes: None,
            headers: Headers::new(),
            execution_deadline: None,
            begins_at: None,
            parent: Some(stop.parent.clone()),
            continued_from: None,
            first_run_id: None,
            unread: Unread::default(),
            version: None,
            forked_from: None,
        };
        self.guard = Some(incoming.message.identity());
        let run_id = RunId::from_random(self.turn.entropy);
        let begun = self.first_event(live, run_id, started);
        let (reason, request_id) = (stop.reason.clone(), stop.request_id());
        match stop.how {
            StopChild::Cancel => {
                self.record(&mut begun.run, CancelRequested { reason: reason.clone(), request_id });
                self.close(begun, RunCanceled { reason, before_start: true })
            }
            StopChild::Terminate => self.close(begun, RunTerminated { reason, request_id: Some(request_id) }),
        }
    }
}

/// Makes a child stop.
pub(super) fn stop(child: &ChildScheduled, how: StopChild, reason: String, at: Timestamp) -> Effect {
    let (child_id, workflow_id, workflow) =
        (child.child_id, child.workflow_id.clone(), child.workflow.clone());
    Effect::StopChild { child_id, workflow_id, workflow, how, reason, at }
}
