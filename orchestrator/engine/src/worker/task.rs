//! One task, from its delivery to its outcome.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use millrace_core::{
    ActivityOutcome, ApplicationFailure, Fault, OutcomeResult, Task, TimeoutKind, Timestamp,
};
use millrace_format::message;

use super::lease::{Claim, Held};
use super::room::{Room, Waited};
use super::running::Running;
use super::supervise::Ended;
use super::{BAD_TASK, Stop, Worker};
use crate::LoadError;
use crate::bounds::bounded;
use crate::dispatch::{dead_letter, report, send_one, vanished};
use crate::ports::{Delivery, OutMessage, QueueError, StoreError};

/// How long a task is put off while the bucket is away.
const OUTAGE: Duration = Duration::from_secs(60);

/// Why a task is not finished here. Its message stays, and comes again.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TaskError {
    /// Nothing is wrong but that the bucket or the queue does not answer.
    fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Queue(QueueError::Unavailable { .. })
                | Self::Store(StoreError::Unavailable(_))
                | Self::Load(LoadError::Store(StoreError::Unavailable(_)))
        )
    }
}

/// A bucket that is away is met like somebody else's lease: by a fresh copy, later, which costs neither an attempt nor a
/// receive however long that lasts; the lease remembers what the copy forgets. If the queue is away too, nothing can be
/// done, but nothing is received either.
fn busy_if_away(error: TaskError) -> Result<Claim, TaskError> {
    if !error.is_outage() {
        return Err(error);
    }
    tracing::warn!(%error, "no lease can be taken now; the task comes again");
    Ok(Claim::Busy(OUTAGE))
}

impl Worker {
    /// Deals with one delivered task, by the time given.
    pub(super) async fn task(&self, delivery: Delivery, stop: Stop, until: Option<Timestamp>) {
        let dealt_with = match message::read_task(&delivery.body).map(Box::new) {
            Ok(task) => self.attempt(&delivery, task, stop, until).await,
            Err(bad) => {
                let reason = format!("{BAD_TASK}{bad}");
                tracing::error!(queue = %self.queue, message_id = delivery.message_id, reason, "message rejected");
                dead_letter(&self.ports, &self.queue, &delivery, &reason).await.map_err(TaskError::from)
            }
        };
        if let Err(error) = dealt_with {
            tracing::warn!(queue = %self.queue, message_id = delivery.message_id, %error, "the task comes again");
        }
    }

    async fn attempt(
        &self,
        delivery: &Delivery,
        task: Box<Task>,
        stop: Stop,
        until: Option<Timestamp>,
    ) -> Result<(), TaskError> {
        if task.namespace != self.config.namespace {
            tracing::warn!(namespace = %task.namespace, "a task of another namespace is left to its own workers");
            let hidden = Duration::from_secs(30);
            return Ok(self.ports.queues.change_visibility(&self.queue, &delivery.receipt, hidden).await?);
        }
        if stop.peek().is_some() {
            return Box::pin(self.come_back(delivery, &task, Duration::ZERO)).await; // The last receive of a worker that stops.
        }
        // A log that cannot be read says nothing. The activity then runs, at worst once more (G11): waiting for the log
        // would cost receives, of which there are few, and a fresh copy would forget that there is something to ask.
        let is_doubtful = delivery.receive_count > 1 || task.attempt > 1;
        if is_doubtful && matches!(Box::pin(self.is_wanted(&task)).await, Ok(false)) {
            tracing::info!(workflow_id = %task.workflow_id, activity = task.activity, "nobody waits for this task");
            return self.done(delivery).await;
        }
        if let Some(fault) = self.too_late(&task, delivery.receive_count) {
            return self.finish(delivery, &task, OutcomeResult::Failed(fault), None, &stop).await;
        }
        match self.room(delivery, &task, &stop, until).await? {
            Waited::Room(room) => self.begin(delivery, task, room, stop, until).await,
            // It has not begun: its time to start goes on.
            Waited::Back(wait) => self.send_again(delivery, &task, wait).await,
            Waited::TooLate(fault) => {
                self.finish(delivery, &task, OutcomeResult::Failed(fault), None, &stop).await
            }
            Waited::Unwanted => self.done(delivery).await,
        }
    }

    /// There is room for the attempt: it begins, unless somebody else has it. What few tasks need is apart, in boxes: a worker
    /// has a future of this for each of its slots, and moves it about.
    async fn begin(
        &self,
        delivery: &Delivery,
        task: Box<Task>,
        room: Option<Room>,
        stop: Stop,
        until: Option<Timestamp>,
    ) -> Result<(), TaskError> {
        let held = match task.options.needs_lease() {
            true => match Box::pin(self.take_lease(delivery, &task, &stop)).await? {
                Some(held) => Some(held),
                None => return Ok(()),
            },
            false => None,
        };
        let (epoch, progress) =
            held.as_ref().map_or((0, None), |held| (held.lease.epoch, held.lease.details.clone()));
        let running = Arc::new(Running::new(*task, epoch, progress, room));
        match self.supervise(delivery, running.clone(), held, stop.clone(), until).await {
            Ended::With(result, held) => self.finish(delivery, running.task_ref(), result, held, &stop).await,
            other => Box::pin(self.let_go(delivery, running.task_ref(), other, &stop)).await,
        }
    }

    /// The lease under which the attempt runs; without one the task is dealt with: somebody else has it, or its end is known.
    async fn take_lease(
        &self,
        delivery: &Delivery,
        task: &Task,
        stop: &Stop,
    ) -> Result<Option<Held>, TaskError> {
        let asked_at = self.ports.clock.now();
        match self.claim(task).await.or_else(busy_if_away)? {
            Claim::Held(held) if held.lease.vanished >= self.most_vanished(task) => {
                let reason = match task.options.runs_at_most_once() {
                    true => "its worker vanished, and it runs at most once".to_owned(),
                    false => format!("its lease was taken {} times without an end", held.lease.vanished),
                };
                self.bury(delivery, task, held, &reason, stop).await?;
            }
            Claim::Held(held) if !task.options.exclusive || self.can_rely_on(asked_at).await => {
                return Ok(Some(held));
            }
            Claim::Held(held) => {
                tracing::warn!(activity = task.activity, "a lease cannot be relied on; asking again");
                self.release(held).await;
                self.come_back(delivery, task, Duration::ZERO).await?;
            }
            Claim::Busy(wait) => self.come_back(delivery, task, wait).await?,
            Claim::Unwanted => self.done(delivery).await?,
            Claim::Stored(outcome) => {
                // Said under this task's attempt: the log no longer listens to the one that stored it.
                let outcome = ActivityOutcome { attempt: task.attempt, receive_count: 1, ..outcome };
                self.speak(delivery, task, outcome, None, stop).await?;
            }
            Claim::Canceled(reason) => {
                let result = OutcomeResult::Failed(Fault::Canceled { reason });
                self.finish(delivery, task, result, None, stop).await?;
            }
        }
        Ok(None)
    }

    /// The attempt is over here, but for its end.
    async fn let_go(
        &self,
        delivery: &Delivery,
        task: &Task,
        ended: Ended,
        stop: &Stop,
    ) -> Result<(), TaskError> {
        match ended {
            Ended::With(result, held) => self.finish(delivery, task, result, held, stop).await,
            Ended::Left(held) => {
                if let Some(held) = held {
                    self.insist(delivery, stop, || self.leave(held.clone())).await?;
                }
                self.done(delivery).await
            }
            Ended::GiveBack(Some(held)) if task.options.runs_at_most_once() => {
                let reason = "its worker stopped, and it runs at most once";
                self.bury(delivery, task, held, reason, stop).await
            }
            Ended::GiveBack(held) => {
                if let Some(held) = held {
                    self.release(held).await;
                }
                self.come_back(delivery, task, Duration::ZERO).await
            }
            Ended::LeaseLost => {
                tracing::warn!(activity = task.activity, "the lease was lost; another attempt has it");
                self.done(delivery).await
            }
        }
    }

    /// Whether a lease that was asked for then keeps others out: a crash cannot take the claim back, which would let the next
    /// holder begin under the same epoch, and it does not lapse before its first beat (G11).
    async fn can_rely_on(&self, asked_at: Timestamp) -> bool {
        let is_safe = self.ports.queues.settle().await.is_ok();
        is_safe && self.ports.clock.now().since(asked_at) < self.config.lease / 3
    }

    /// How many workers may vanish with an attempt before it is not run again.
    fn most_vanished(&self, task: &Task) -> u32 {
        if task.options.runs_at_most_once() { 1 } else { self.config.most_vanished.max(1) }
    }

    /// A task that comes again may have been answered already; one that has waited for its time may have been paused, or
    /// overtaken by a retry at once: the log knows.
    pub(super) async fn is_wanted(&self, task: &Task) -> Result<bool, TaskError> {
        let Some(head) = self.reader.head(&task.workflow_id).await? else { return Ok(false) };
        let current = head.header.run_id == task.run_id;
        let waits = |pending: &millrace_format::PendingActivity| {
            pending.activity_id == task.activity_id && pending.attempt == task.attempt && !pending.withheld
        };
        Ok(current && head.header.activities.iter().any(waits))
    }

    /// By when it must have begun. One that comes again has found a worker before.
    pub(super) fn start_by(&self, task: &Task, receive_count: u32) -> Option<Timestamp> {
        let start = task.options.schedule_to_start.filter(|_| receive_count == 1);
        let limits = [
            start.map(|limit| task.available_at.plus(limit)),
            task.options.schedule_to_close.map(|limit| task.scheduled_at.plus(limit)),
        ];
        limits.into_iter().flatten().min()
    }

    pub(super) fn too_late(&self, task: &Task, receive_count: u32) -> Option<Fault> {
        let now = self.ports.clock.now();
        let passed = |since: millrace_core::Timestamp, limit: Option<Duration>| {
            limit.is_some_and(|limit| since.plus(limit) <= now)
        };
        let kind = if passed(task.scheduled_at, task.options.schedule_to_close) {
            TimeoutKind::ScheduleToClose
        } else if receive_count == 1 && passed(task.available_at, task.options.schedule_to_start) {
            // One that comes again has found a worker before.
            TimeoutKind::ScheduleToStart
        } else if !self.code.knows(&task.activity) {
            let names = self.code.names().join(", ");
            let text =
                format!("no activity `{}` is registered at this worker (registered: {names})", task.activity);
            return Some(Fault::Application(ApplicationFailure::new("UnknownActivity", text)));
        } else {
            return None;
        };
        Some(Fault::TimedOut { kind, cause: None })
    }

    /// The attempt has ended with this result.
    async fn finish(
        &self,
        delivery: &Delivery,
        task: &Task,
        result: OutcomeResult,
        held: Option<Held>,
        stop: &Stop,
    ) -> Result<(), TaskError> {
        let (activity_id, attempt) = (task.activity_id, task.attempt);
        let vanished = held.as_ref().map_or(0, |held| held.lease.vanished);
        let receive_count = delivery.receive_count.max(vanished.saturating_add(1));
        let result = bounded(&task.activity, result);
        let outcome = ActivityOutcome { activity_id, attempt, receive_count, result };
        self.speak(delivery, task, outcome, held, stop).await
    }

    /// A leased task that kills every worker never reaches the dead letters: its copies are fresh, so the queue forgets
    /// its receives. Its lease does not. So many workers have vanished, and this one does not follow them: as it follows
    /// nobody if the task runs at most once.
    async fn bury(
        &self,
        delivery: &Delivery,
        task: &Task,
        held: Held,
        reason: &str,
        stop: &Stop,
    ) -> Result<(), TaskError> {
        tracing::error!(workflow_id = %task.workflow_id, run_id = %task.run_id, activity = task.activity, reason, "a task is not run again");
        let outcome = vanished(task, held.lease.vanished, reason);
        self.speak(delivery, task, outcome, Some(held), stop).await
    }

    /// Reports the outcome, then deletes the task. An exclusive activity's outcome is stored in its lease first, so that
    /// whoever claims it later sends the same one.
    async fn speak(
        &self,
        delivery: &Delivery,
        task: &Task,
        outcome: ActivityOutcome,
        held: Option<Held>,
        stop: &Stop,
    ) -> Result<(), TaskError> {
        if let Some(held) = held
            && !Box::pin(self.insist(delivery, stop, || self.conclude(held.clone(), task, &outcome))).await?
        {
            tracing::warn!(activity = task.activity, "the lease was lost at the end; another attempt speaks");
            return self.done(delivery).await;
        }
        self.insist(delivery, stop, || report(&self.ports, task, outcome.clone())).await?;
        self.done(delivery).await
    }

    /// Again and again while the bucket or the queue is unavailable: an activity that has run is not run again because
    /// nobody could be told. Given up when the worker stops, or the task may be somebody else's by now.
    async fn insist<T, E, F>(
        &self,
        delivery: &Delivery,
        stop: &Stop,
        mut act: impl FnMut() -> F,
    ) -> Result<T, TaskError>
    where
        F: Future<Output = Result<T, E>>,
        TaskError: From<E>,
    {
        let mut pause = Duration::from_millis(250);
        let most = self.config.visibility / 3;
        loop {
            let error = match act().await.map_err(TaskError::from) {
                Err(error) if error.is_outage() => error,
                answer => return answer,
            };
            tracing::warn!(queue = %self.queue, message_id = delivery.message_id, %error, "an outcome waits to be reported");
            let extended = self
                .ports
                .queues
                .change_visibility(&self.queue, &delivery.receipt, self.config.visibility)
                .await;
            if let Err(error @ (QueueError::ReceiptVoid | QueueError::Invalid { .. })) = extended {
                return Err(error.into());
            }
            let pausing = self.ports.clock.sleep_until(self.ports.clock.now().plus(pause));
            if let Either::Right(_) = select(pausing, stop.clone()).await {
                return Err(error);
            }
            pause = (pause * 2).min(most);
        }
    }

    /// The same attempt comes again, as a fresh copy: neither an attempt nor a receive is counted, and its time to
    /// start begins anew. For a worker that stops, and for an activity that somebody else is running.
    async fn come_back(&self, delivery: &Delivery, task: &Task, wait: Duration) -> Result<(), TaskError> {
        let delay = wait.min(<dyn crate::ports::Queues>::LONGEST_DELAY);
        let again = Task { available_at: self.ports.clock.now().plus(delay), ..task.clone() };
        self.send_again(delivery, &again, delay).await
    }

    /// A fresh copy of the task in the place of the one that was delivered.
    async fn send_again(&self, delivery: &Delivery, task: &Task, delay: Duration) -> Result<(), TaskError> {
        let again = OutMessage { body: message::write(task), delay, error: None };
        send_one(&self.ports, &self.queue, again).await?;
        self.done(delivery).await
    }

    async fn done(&self, delivery: &Delivery) -> Result<(), TaskError> {
        self.ports.queues.delete(&self.queue, std::slice::from_ref(&delivery.receipt)).await?;
        Ok(())
    }
}
