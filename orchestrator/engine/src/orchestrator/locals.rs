//! Local activities: run within the turn that asks for them, before its commit. At least once: if the turn is made again,
//! the results that are there are offered again (the one exception to G1).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::{FuturesUnordered, StreamExt};
use millrace_core::decide::{Decision, Live};
use millrace_core::{
    ActivityFailure, ActivityId, ApplicationFailure, EventKind, Fault, LocalActivity, LocalActivityCompleted,
    LocalActivityFailed, OutcomeResult, Payload, Run, Task, TaskQueue, TimeoutKind, Timestamp, WorkflowId,
    end_local,
};

use super::Orchestrator;
use crate::activity_code::{ActivityCode, Attempt};
use crate::bounds::bounded;
use crate::load::Loaded;

/// The task queue that a local activity's task names; no queue has this name.
const NO_QUEUE: &str = "local";

/// How local activities ended, for a turn that is made again.
pub(super) type Ends = BTreeMap<ActivityId, End>;

/// How one ended, and what had been asked for.
#[derive(Clone)]
pub(super) struct End {
    asked: LocalActivity,
    attempts: u32,
    result: Result<Payload, Fault>,
}

impl End {
    fn event(self) -> EventKind {
        let LocalActivity { activity_id, activity, .. } = self.asked;
        let attempts = self.attempts;
        match self.result {
            Ok(result) => LocalActivityCompleted { activity_id, activity, attempts, result }.into(),
            Err(fault) => {
                let failure = ActivityFailure { activity, attempts, fault };
                LocalActivityFailed { activity_id, failure }.into()
            }
        }
    }
}

impl Orchestrator {
    /// Runs what the code waits for, side by side, until it waits for nothing more of the kind.
    pub(super) async fn run_locals(
        &self,
        id: &WorkflowId,
        loaded: &mut Loaded,
        mut decision: Decision,
        ends: &mut Ends,
    ) -> Decision {
        let until = self.ports.clock.now().plus(self.config.locals_within);
        let mut running: FuturesUnordered<BoxFuture<'static, End>> = FuturesUnordered::new();
        loop {
            let fresh = std::mem::take(&mut decision.locals);
            // Code that has ended, or cannot go on, waits for none of those that still run: they are let go.
            let Some(Live { run, replay: Some(_), .. }) = &loaded.live else { return decision };
            running.extend(fresh.into_iter().map(|asked| self.local(run, asked, until, ends)));
            let Some(end) = running.next().await else { return decision };
            ends.insert(end.asked.activity_id, end.clone());
            decision = end_local(&mut loaded.live, decision, end.event(), &self.a_turn(id));
        }
    }

    fn local(
        &self,
        run: &Run,
        asked: LocalActivity,
        until: Timestamp,
        ends: &Ends,
    ) -> BoxFuture<'static, End> {
        let is_same = |end: &&End| {
            let code = self.local_activities.as_ref();
            let same = code.is_some_and(|code| code.is_same(&end.asked.input, &asked.input));
            let input = if same { end.asked.input.clone() } else { asked.input.clone() };
            end.asked == LocalActivity { input, ..asked.clone() }
        };
        if let Some(end) = ends.get(&asked.activity_id).filter(is_same) {
            return std::future::ready(end.clone()).boxed();
        }
        let Some(code) = self.local_activities.clone().filter(|code| code.knows(&asked.activity)) else {
            let text = format!("no activity `{}` is registered at this orchestrator", asked.activity);
            let failure = ApplicationFailure::new("UnknownActivity", text).non_retryable();
            let result = Err(Fault::Application(failure));
            return std::future::ready(End { asked, attempts: 0, result }).boxed();
        };
        let task = self.local_task(run, &asked);
        let attempts = Attempts { ports: self.ports.clone(), code, task, until };
        async move {
            let (attempts, result) = attempts.run().await;
            let result = match result {
                Ok(result) => OutcomeResult::Completed(result),
                Err(fault) => OutcomeResult::Failed(fault),
            };
            let result = match bounded(&asked.activity, result) {
                OutcomeResult::Completed(result) => Ok(result),
                OutcomeResult::Failed(fault) => Err(fault),
            };
            End { asked, attempts, result }
        }
        .boxed()
    }

    fn local_task(&self, run: &Run, asked: &LocalActivity) -> Option<Task> {
        let now = self.ports.clock.now();
        Some(Task {
            v: 1,
            namespace: self.config.namespace.clone(),
            workflow_id: run.info.workflow_id.clone(),
            run_id: run.info.run_id,
            workflow: run.info.workflow.clone(),
            activity_id: asked.activity_id,
            activity: asked.activity.clone(),
            task_queue: TaskQueue::new(NO_QUEUE).ok()?,
            attempt: 1,
            input: asked.input.clone(),
            scheduled_at: now,
            available_at: now,
            options: asked.options.clone(),
            token: None,
            headers: run.headers().clone(),
        })
    }
}

/// The attempts of one local activity.
struct Attempts {
    ports: crate::ports::Ports,
    code: Arc<dyn ActivityCode>,
    task: Option<Task>,
    /// The turn has no more time then.
    until: Timestamp,
}

impl Attempts {
    async fn run(self) -> (u32, Result<Payload, Fault>) {
        let Some(mut task) = self.task.clone() else {
            return (0, Err(Fault::Application(ApplicationFailure::new("Invalid", NO_QUEUE))));
        };
        loop {
            let used = task.attempt;
            let fault = match self.attempt(&task).await {
                Ok(result) => return (used, Ok(result)),
                Err(fault) => fault,
            };
            let jitter = (self.ports.entropy.bits() as u16) as f64 / f64::from(u16::MAX);
            let again = task.options.retry.next_delay(used, &fault, jitter);
            let at = again.map(|delay| self.ports.clock.now().plus(delay)).filter(|at| *at < self.until);
            match at {
                Some(at) => self.ports.clock.sleep_until(at).await,
                None => return (used, Err(fault)),
            }
            task.attempt = used + 1;
        }
    }

    /// One attempt, apart from the engine; the code is let go when its time is up.
    async fn attempt(&self, task: &Task) -> Result<Payload, Fault> {
        let now = self.ports.clock.now();
        let close_at = now.plus(task.options.start_to_close).min(self.until);
        let (sender, answer) = oneshot::channel();
        let (code, attempt) = (self.code.clone(), Arc::new(LocalAttempt(task.clone())));
        let running = async move {
            let _ = sender.send(code.run(attempt).await);
        };
        let handle = self.ports.spawn.spawn(running.boxed());
        match select(answer, self.ports.clock.sleep_until(close_at)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), _)) => {
                let text = handle.await.err().unwrap_or_else(|| "it ended without an answer".to_owned());
                Err(Fault::Application(ApplicationFailure::new("Panic", text)))
            }
            Either::Right(_) => Err(Fault::TimedOut { kind: TimeoutKind::StartToClose, cause: None }),
        }
    }
}

/// What the code of a local activity may ask: it has no lease and nobody who could stop it.
struct LocalAttempt(Task);

impl Attempt for LocalAttempt {
    fn task(&self) -> &Task {
        &self.0
    }

    fn heartbeat(&self, _details: Payload) -> Result<(), Fault> {
        Ok(())
    }

    fn progress(&self) -> Option<Payload> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn stopped(&self) -> BoxFuture<'static, Fault> {
        std::future::pending().boxed()
    }
}
