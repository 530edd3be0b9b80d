//! Doing the effects of a committed turn: tasks, timers, wakes, what other workflows are told, cancel requests, index
//! entries.

mod refused;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use millrace_core::{
    ActivityOutcome, ApplicationFailure, ChildScheduled, Effect, EventKind, Fault, OutcomeResult, Parent,
    Payload, PendingEffect, RequestId, Run, RunId, Stop, Task, Timestamp, WorkflowId,
};
use millrace_format::message::{self, EventMessage, Report, StartChild};
use millrace_format::{Attributes, IndexEntry, Keys, Lease, TimerEntry};

use self::refused::IfRefused;
use crate::client::with_request_id;
use crate::ports::{
    Condition, Delivery, OutMessage, Ports, PutError, QueueError, QueueName, Queues, StoreError,
};

/// How many cancel requests are written side by side.
const SIDE_BY_SIDE: usize = 32;

/// An effect that could not be done; the guard's message stays, and its redelivery tries again (G4).
#[derive(Clone, Debug, thiserror::Error)]
pub enum DispatchError {
    /// The bucket did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue did not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<PutError> for DispatchError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Unavailable(other.to_string())),
        }
    }
}

/// Turns effects into messages and objects.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub ports: Ports,
    pub keys: Keys,
}

/// Everything a turn has to send or write, by destination.
#[derive(Default)]
struct Plan {
    messages: BTreeMap<QueueName, Vec<(OutMessage, IfRefused)>>,
    later: Vec<(String, TimerEntry)>,
}

impl Dispatcher {
    /// Does the effects. Doing one twice is harmless (G6).
    pub(crate) async fn dispatch(&self, run: &Run, effects: &[PendingEffect]) -> Result<(), DispatchError> {
        if effects.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::default();
        for pending in effects {
            self.plan(run, &pending.effect, &mut plan);
        }
        self.send(plan).await?;
        // Side by side: the end of a run may cancel a thousand activities, and a function has half a minute.
        let cancels = effects.iter().filter_map(|pending| match &pending.effect {
            Effect::CancelActivity { activity_id, reason } => {
                Some(self.request_cancel(run, *activity_id, reason))
            }
            _ => None,
        });
        let cancels: Vec<_> = cancels.collect();
        stream::iter(cancels).buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await?;
        for pending in effects {
            match &pending.effect {
                Effect::IndexOpen => self.index_open(run).await?,
                Effect::IndexClosed => self.index_closed(run).await?,
                _ => {} // A message, or a cancel request: sent above.
            }
        }
        Ok(())
    }

    /// Sends an internal message so that it arrives at `due`.
    pub(crate) async fn send_event(
        &self,
        run: &Run,
        report: Report,
        due: Timestamp,
    ) -> Result<(), DispatchError> {
        let mut plan = Plan::default();
        self.plan_event(run, report, due, &mut plan);
        self.send(plan).await
    }

    fn plan(&self, run: &Run, effect: &Effect, plan: &mut Plan) {
        match effect {
            Effect::SendTask { activity_id, attempt, at } => {
                let Some(task) = run.task(*activity_id, *attempt, *at) else { return };
                let task = Task { namespace: self.keys.namespace().clone(), ..task };
                let (queue, body) = (QueueName::task(&task.task_queue), message::write(&task));
                let name = format!("a{activity_id}.{attempt}");
                self.plan_message(run, (queue, body, IfRefused::FailTask(Box::new(task))), *at, &name, plan);
            }
            Effect::SendTimer { timer_id, at } => {
                self.plan_event(run, Report::Timer { timer_id: *timer_id }, *at, plan);
            }
            Effect::SendWake { wake, at } => self.plan_event(run, Report::Wake { wake: *wake }, *at, plan),
            Effect::SendStart { child_id, .. } => {
                let Some(child) = run.children.get(child_id) else { return };
                let ChildScheduled { workflow, input, options, .. } = (**child).clone();
                let parent = run.parent_of(*child_id);
                let report = StartChild {
                    workflow,
                    input,
                    options,
                    parent: parent.clone(),
                    headers: run.headers().clone(),
                };
                let to = (&child.workflow_id, None, IfRefused::NoChild(parent));
                self.plan_tell(to, Report::StartChild(Box::new(report)), plan);
            }
            Effect::StopChild { child_id, workflow_id, workflow, how, reason, .. } => {
                let (workflow, parent) = (workflow.clone(), run.parent_of(*child_id));
                let stop = Stop { workflow, parent, how: *how, reason: reason.clone() };
                let to = (workflow_id, None, IfRefused::lost(run, "stop", workflow_id));
                self.plan_tell(to, Report::StopChild(Box::new(stop)), plan);
            }
            Effect::ReportToParent => {
                let Some((parent, result)) = run.report_to_parent() else { return };
                let report = Report::ChildOutcome { child_id: parent.child_id, result };
                let to = (&parent.workflow_id, Some(parent.run_id), IfRefused::NoOutcome(parent.clone()));
                self.plan_tell(to, report, plan);
            }
            Effect::Send { sent_id, .. } => {
                let request_id = RequestId::own("sent", run.info.run_id, *sent_id);
                match run.sent.get(sent_id).map(AsRef::as_ref) {
                    Some(EventKind::SignalSent(e)) => {
                        let (name, input) = (e.name.clone(), e.input.clone());
                        let report = Report::Signal { name, input, request_id };
                        let to = (&e.workflow_id, None, IfRefused::lost(run, "signal", &e.workflow_id));
                        self.plan_tell(to, report, plan);
                    }
                    Some(EventKind::CancelSent(e)) => {
                        let report = Report::Cancel { reason: e.reason.clone(), request_id };
                        let to = (&e.workflow_id, None, IfRefused::lost(run, "cancel", &e.workflow_id));
                        self.plan_tell(to, report, plan);
                    }
                    _ => {}
                }
            }
            Effect::CancelActivity { .. } | Effect::IndexOpen | Effect::IndexClosed => {}
        }
    }

    /// Something that a workflow is told at once, by this one.
    fn plan_tell(
        &self,
        (to, run_id, if_refused): (&WorkflowId, Option<RunId>, IfRefused),
        report: Report,
        plan: &mut Plan,
    ) {
        let (namespace, workflow_id) = (self.keys.namespace().clone(), to.clone());
        let event = EventMessage { v: 1, namespace, workflow_id, run_id, report };
        let body = message::write(&event);
        let if_refused = if_refused.of(&body);
        plan.messages.entry(QueueName::events()).or_default().push((OutMessage::now(body), if_refused));
    }

    fn plan_event(&self, run: &Run, report: Report, due: Timestamp, plan: &mut Plan) {
        let name = match &report {
            Report::Timer { timer_id } => format!("t{timer_id}"),
            Report::Wake { wake } => format!("w{wake}"),
            _ => "now".to_owned(), // Nothing else waits for a time.
        };
        let (workflow_id, run_id) = (run.info.workflow_id.clone(), Some(run.info.run_id));
        let event =
            EventMessage { v: 1, namespace: self.keys.namespace().clone(), workflow_id, run_id, report };
        let message = (QueueName::events(), message::write(&event), IfRefused::Again);
        self.plan_message(run, message, due, &name, plan);
    }

    /// §7: within 15 minutes a delayed message, else a key in the bucket.
    fn plan_message(
        &self,
        run: &Run,
        (queue, body, if_refused): (QueueName, String, IfRefused),
        due: Timestamp,
        name: &str,
        plan: &mut Plan,
    ) {
        let delay = due.since(self.ports.clock.now());
        if delay <= <dyn Queues>::LONGEST_DELAY {
            let message = OutMessage { body, delay, error: None };
            plan.messages.entry(queue).or_default().push((message, if_refused));
            return;
        }
        let key = self.keys.timer(due, &run.info.workflow_id, run.info.run_id, name);
        if let Ok(message) = Payload::parse(&body) {
            plan.later.push((key, TimerEntry { v: 1, due, queue: queue.to_string(), message }));
        }
    }

    /// One queue that fails does not hold up the others.
    async fn send(&self, plan: Plan) -> Result<(), DispatchError> {
        let mut failed = None;
        for (queue, messages) in plan.messages {
            let (messages, if_refused): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
            let answers = self.ports.queues.send(&queue, messages).await;
            for (answer, if_refused) in answers.into_iter().zip(if_refused) {
                let answer = match answer {
                    Err(QueueError::Invalid { reason, queue }) => {
                        Box::pin(self.refused(if_refused, queue, reason)).await
                    }
                    sent => sent,
                };
                if let Err(error) = answer {
                    failed = Some(error);
                }
            }
        }
        let puts = plan.later.into_iter().map(|(key, entry)| async move {
            self.ports.store.put(&key, entry.encode().into(), Condition::Always).await
        });
        try_join_all(puts).await?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn index_open(&self, run: &Run) -> Result<(), DispatchError> {
        let key = self.keys.index_open(run.info.started_at, &run.info.workflow_id, run.info.run_id);
        self.put_entry(&key, &entry(run)).await
    }

    async fn index_closed(&self, run: &Run) -> Result<(), DispatchError> {
        let (id, run_id, started) = (&run.info.workflow_id, run.info.run_id, run.info.started_at);
        self.put_entry(&self.keys.index_closed(started, id, run_id), &entry(run)).await?;
        self.ports.store.delete(&self.keys.index_open(started, id, run_id)).await?;
        Ok(())
    }

    async fn put_entry(&self, key: &str, entry: &IndexEntry) -> Result<(), DispatchError> {
        self.ports.store.put(key, Bytes::from(entry.encode()), Condition::Always).await?;
        Ok(())
    }

    /// Writes the cancel request into the activity's lease; a beating attempt sees it at its next beat.
    async fn request_cancel(&self, run: &Run, activity: u64, reason: &str) -> Result<(), DispatchError> {
        let key = self.keys.lease(&run.info.workflow_id, run.info.run_id, activity);
        for _ in 0..5 {
            let (mut lease, condition) = read_lease(&self.ports, &key).await?;
            if lease.cancel.is_some() {
                return Ok(());
            }
            lease.cancel = Some(reason.to_owned());
            match self.ports.store.put(&key, lease.encode().into(), condition).await {
                Ok(_) => return Ok(()),
                Err(PutError::Conflict | PutError::Busy | PutError::Gone | PutError::Unknown(_)) => {}
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Unavailable(format!("the lease `{key}` changes too fast")).into())
    }
}

/// The lease as it is, free if there is none, and the condition for replacing it.
pub(crate) async fn read_lease(ports: &Ports, key: &str) -> Result<(Lease, Condition), StoreError> {
    Ok(match ports.store.get(key).await? {
        None => (Lease::free(), Condition::Absent),
        Some(object) => {
            let reason =
                |e: serde_json::Error| StoreError::Invalid { key: key.to_owned(), reason: e.to_string() };
            (Lease::decode(&object.body).map_err(reason)?, Condition::Matches(object.etag))
        }
    })
}

/// What is reported of an attempt that so many workers took, and none of them ended. Each of them used up an attempt,
/// just as if the last had lived to report it.
pub(crate) fn vanished(task: &Task, receives: u32, reason: &str) -> ActivityOutcome {
    let text = format!("attempt {} vanished with its workers: {reason}", task.attempt);
    let result = OutcomeResult::Failed(Fault::Application(ApplicationFailure::new("WorkerVanished", text)));
    let (activity_id, attempt) = (task.activity_id, task.attempt);
    ActivityOutcome { activity_id, attempt, receive_count: receives.max(1), result }
}

/// Tells a parent that its child cannot be started: that is how the call ends.
pub(crate) async fn report_not_started(
    ports: &Ports,
    keys: &Keys,
    parent: &Parent,
    reason: &str,
) -> Result<(), QueueError> {
    let failure = ApplicationFailure::new(ApplicationFailure::CHILD_NOT_STARTED, reason).non_retryable();
    report_child_failed(ports, keys, parent, failure).await
}

/// Tells a parent how the call of its child ends.
async fn report_child_failed(
    ports: &Ports,
    keys: &Keys,
    parent: &Parent,
    failure: ApplicationFailure,
) -> Result<(), QueueError> {
    let result = OutcomeResult::Failed(Fault::Application(failure));
    let report = Report::ChildOutcome { child_id: parent.child_id, result };
    let (namespace, workflow_id) = (keys.namespace().clone(), parent.workflow_id.clone());
    let event = EventMessage { v: 1, namespace, workflow_id, run_id: Some(parent.run_id), report };
    send_one(ports, &QueueName::events(), OutMessage::now(message::write(&event))).await
}

/// Sends the outcome of a task's attempt to the events queue. One that the queue will never take, because it is too
/// large, fails the activity: else the task would come again and again.
pub(crate) async fn report(ports: &Ports, task: &Task, outcome: ActivityOutcome) -> Result<(), QueueError> {
    let ActivityOutcome { activity_id, attempt, receive_count, .. } = outcome;
    match send_outcome(ports, task, outcome).await {
        Err(QueueError::Invalid { reason, .. }) => {
            tracing::error!(workflow_id = %task.workflow_id, activity = task.activity, reason, "outcome refused");
            let result = OutcomeResult::Failed(Fault::Application(outcome_refused(&reason)));
            send_outcome(ports, task, ActivityOutcome { activity_id, attempt, receive_count, result }).await
        }
        sent => sent,
    }
}

fn outcome_refused(reason: &str) -> ApplicationFailure {
    let text = format!("{reason}; return less, or say where the result lies");
    ApplicationFailure::new("OutcomeRefused", text).non_retryable()
}

async fn send_outcome(ports: &Ports, task: &Task, outcome: ActivityOutcome) -> Result<(), QueueError> {
    let report = Report::Outcome(outcome);
    let (namespace, workflow_id) = (task.namespace.clone(), task.workflow_id.clone());
    let event = EventMessage { v: 1, namespace, workflow_id, run_id: Some(task.run_id), report };
    send_one(ports, &QueueName::events(), OutMessage::now(message::write(&event))).await
}

/// Sends one message.
pub(crate) async fn send_one(
    ports: &Ports,
    queue: &QueueName,
    message: OutMessage,
) -> Result<(), QueueError> {
    ports.queues.send(queue, vec![message]).await.into_iter().collect()
}

/// Moves a received message to its queue's dead-letter queue, with the reason (G10). A request keeps its identity: the letter
/// is another message, with another id.
pub(crate) async fn dead_letter(
    ports: &Ports,
    queue: &QueueName,
    delivery: &Delivery,
    reason: &str,
) -> Result<(), QueueError> {
    let body = if *queue == QueueName::inbox() {
        with_request_id(&delivery.body, &delivery.message_id).into_owned()
    } else {
        delivery.body.clone()
    };
    let message = OutMessage { body, delay: Duration::ZERO, error: Some(reason.to_owned()) };
    send_one(ports, &queue.dead_letters(), message).await?;
    ports.queues.delete(queue, std::slice::from_ref(&delivery.receipt)).await
}

fn attributes(run: &Run) -> Attributes {
    Attributes::of_recorded(run.started.as_ref().and_then(|started| started.attributes.as_ref()))
}

fn entry(run: &Run) -> IndexEntry {
    IndexEntry {
        workflow_id: run.info.workflow_id.clone(),
        run_id: run.info.run_id,
        workflow: run.info.workflow.clone(),
        status: run.status,
        started_at: run.info.started_at,
        closed_at: (!run.status.is_open()).then_some(run.last_time),
        attributes: attributes(run),
    }
}
