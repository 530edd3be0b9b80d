//! What follows from a turn: the engine's dispatch, to a queue that is a map.

use millrace_core::{
    ChildScheduled, Effect, EventKind, Message, Parent, RequestId, Run, RunId, Stop, Timestamp, WorkflowId,
};
use millrace_format::message::StartChild;

use super::world::{Due, World};

/// A message, and to whom it goes.
type Mail = (WorkflowId, Option<RunId>, Message);

impl World {
    /// Does the effects of a workflow's turn.
    pub(super) fn send_all(&mut self, id: &WorkflowId, effects: Vec<Effect>) {
        for effect in effects {
            let Some(run) =
                self.workflows.get(id).and_then(|entry| entry.live.as_ref()).map(|live| &live.run)
            else {
                return;
            };
            let run_id = run.info.run_id;
            match &effect {
                Effect::SendTask { activity_id, attempt, at } => {
                    if let Some(task) = run.task(*activity_id, *attempt, *at) {
                        self.put(*at, Due::Task(Box::new(task)));
                    }
                }
                Effect::CancelActivity { activity_id, reason } => {
                    self.activities.leases.cancel(run_id, *activity_id, reason);
                }
                Effect::IndexOpen | Effect::IndexClosed => {}
                _ => {
                    let at = due(&effect).unwrap_or(self.now);
                    if let Some((to, run_id, message)) = mail(run, &effect) {
                        self.post(at, to, run_id, message);
                    }
                }
            }
            if let Some(live) = self.workflows.get_mut(id).and_then(|entry| entry.live.as_mut()) {
                live.run.has_done(&effect);
            }
        }
    }
}

/// When a message to the run's own future arrives.
fn due(effect: &Effect) -> Option<Timestamp> {
    match effect {
        Effect::SendTimer { at, .. } | Effect::SendWake { at, .. } => Some(*at),
        _ => None,
    }
}

fn mail(run: &Run, effect: &Effect) -> Option<Mail> {
    let own = |message| Some((run.info.workflow_id.clone(), Some(run.info.run_id), message));
    match effect {
        Effect::SendTimer { timer_id, .. } => own(Message::Timer { timer_id: *timer_id }),
        Effect::SendWake { wake, .. } => own(Message::Wake { wake: *wake }),
        Effect::SendStart { child_id, .. } => {
            let ChildScheduled { workflow_id, workflow, input, options, .. } =
                (**run.children.get(child_id)?).clone();
            let (parent, headers) = (run.parent_of(*child_id), run.headers().clone());
            let child = StartChild { workflow, input, options, parent, headers };
            Some((workflow_id, None, Message::Start(Box::new(child.into()))))
        }
        Effect::StopChild { child_id, workflow_id, workflow, how, reason, .. } => {
            let (workflow, parent) = (workflow.clone(), run.parent_of(*child_id));
            let stop = Stop { workflow, parent, how: *how, reason: reason.clone() };
            Some((workflow_id.clone(), None, Message::Stop(Box::new(stop))))
        }
        Effect::ReportToParent => {
            let (Parent { workflow_id, run_id, child_id }, result) = run.report_to_parent()?;
            let message = Message::ChildOutcome { child_id: *child_id, result };
            Some((workflow_id.clone(), Some(*run_id), message))
        }
        Effect::Send { sent_id, .. } => {
            let request_id = RequestId::own("sent", run.info.run_id, *sent_id);
            match run.sent.get(sent_id)?.as_ref() {
                EventKind::SignalSent(e) => {
                    let message = Message::Signal {
                        name: e.name.clone(),
                        input: e.input.clone(),
                        request_id,
                        after: None,
                    };
                    Some((e.workflow_id.clone(), None, message))
                }
                EventKind::CancelSent(e) => {
                    let message = Message::Cancel { reason: e.reason.clone(), request_id };
                    Some((e.workflow_id.clone(), None, message))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
