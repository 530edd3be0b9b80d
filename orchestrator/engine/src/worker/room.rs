//! Activities of which only so many attempts run at a time in one process.
//!
//! A task that finds no room waits in its worker, in the order of coming: it keeps its slot, and its message stays hidden, so
//! that waiting costs neither a receive nor an attempt.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::FutureExt;
use futures::select_biased;
use millrace_core::{ActivityOptions, Fault, Task, Timestamp};

use super::supervise::FOR_THE_REPORT;
use super::task::TaskError;
use super::{Stop, Worker};
use crate::ports::{Delivery, QueueError};

/// SQS hides a message for twelve hours in all. A task whose attempt may take most of that waits at least so long.
const LEAST_PATIENCE: Duration = Duration::from_secs(3_600);
/// A function has no time to wait in: the task comes again after this.
const PUT_OFF: Duration = Duration::from_secs(15);

/// How many attempts of one activity run at a time. Shared by all workers of a process.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Room>>,
}

impl Limit {
    /// So many, at least one.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), state: Mutex::default() })
    }

    /// How many.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Room for one attempt, or who will hand it over.
    fn ask(self: &Arc<Self>) -> Result<Room, oneshot::Receiver<Room>> {
        let mut state = self.state();
        if state.taken < self.most {
            state.taken += 1;
            return Ok(Room(Some(self.clone())));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Err(receiver)
    }

    /// The next one that still waits; without one, the room is free.
    fn pass_on(&self) -> Option<oneshot::Sender<Room>> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.taken -= 1;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one attempt; whoever waits longest has it next.
#[derive(Debug)]
pub(super) struct Room(Option<Arc<Limit>>);

impl Drop for Room {
    fn drop(&mut self) {
        let Some(limit) = self.0.take() else { return };
        while let Some(next) = limit.pass_on() {
            match next.send(Room(Some(limit.clone()))) {
                Ok(()) => return,
                Err(mut refused) => refused.0 = None, // It no longer waits.
            }
        }
    }
}

/// What waiting for room came to.
pub(super) enum Waited {
    /// There is room, or none is needed.
    Room(Option<Room>),
    /// The task goes back, to come again after this.
    Back(Duration),
    /// Its time to start is over.
    TooLate(Fault),
    /// Nobody waits for the activity any more.
    Unwanted,
}

impl Worker {
    /// Waits until there is room for the task's activity.
    pub(super) async fn room(
        &self,
        delivery: &Delivery,
        task: &Task,
        stop: &Stop,
        until: Option<Timestamp>,
    ) -> Result<Waited, TaskError> {
        let Some(limit) = self.code.limit(&task.activity) else { return Ok(Waited::Room(None)) };
        match limit.ask() {
            Ok(room) => Ok(Waited::Room(Some(room))),
            Err(next) => {
                tracing::debug!(activity = task.activity, most = limit.most(), "a task waits for room");
                Box::pin(self.wait_for_room(delivery, task, next, stop, until)).await
            }
        }
    }

    async fn wait_for_room(
        &self,
        delivery: &Delivery,
        task: &Task,
        next: oneshot::Receiver<Room>,
        stop: &Stop,
        until: Option<Timestamp>,
    ) -> Result<Waited, TaskError> {
        let mut next = next.fuse();
        let clock = &self.ports.clock;
        let mut stop = stop.clone().fuse();
        let give_up_at =
            clock.now().plus(patience(&task.options, until.map(|until| until.since(clock.now()))));
        let mut extend_at = until.is_none().then(|| clock.now().plus(self.config.visibility * 2 / 3));
        loop {
            let deadlines = [extend_at, self.start_by(task, delivery.receive_count)];
            let alarm_at = deadlines.into_iter().flatten().fold(give_up_at, Timestamp::min);
            let mut alarm = clock.sleep_until(alarm_at).fuse();
            select_biased! {
                () = stop => return Ok(Waited::Back(Duration::ZERO)),
                room = next => {
                    let Ok(room) = room else { return Ok(Waited::Back(Duration::ZERO)) };
                    // It may have waited for hours: the log knows whether anybody still does.
                    if matches!(self.is_wanted(task).await, Ok(false)) {
                        return Ok(Waited::Unwanted);
                    }
                    if until.is_none() {
                        // The attempt counts on a whole visibility from its beginning.
                        self.stay_hidden(delivery).await?;
                    }
                    return Ok(Waited::Room(Some(room)));
                }
                () = alarm => {}
            }
            let now = clock.now();
            if let Some(fault) = self.too_late(task, delivery.receive_count) {
                return Ok(Waited::TooLate(fault));
            }
            if now >= give_up_at {
                return Ok(Waited::Back(if until.is_some() { PUT_OFF } else { Duration::ZERO }));
            }
            if extend_at.is_some_and(|at| at <= now) {
                extend_at = Some(now.plus(self.stay_hidden(delivery).await?));
            }
        }
    }

    /// Extends the message's visibility; gives the time until it is to be extended again.
    async fn stay_hidden(&self, delivery: &Delivery) -> Result<Duration, TaskError> {
        let visibility = self.config.visibility;
        match self.ports.queues.change_visibility(&self.queue, &delivery.receipt, visibility).await {
            Ok(()) => Ok(visibility * 2 / 3),
            Err(error @ (QueueError::ReceiptVoid | QueueError::Invalid { .. })) => Err(error.into()),
            Err(error) => {
                tracing::warn!(queue = %self.queue, %error, "visibility of a waiting task not extended");
                Ok(visibility / 6)
            }
        }
    }
}

/// How long a task waits at most. In a function, which has `left`, only while there is time for an attempt after it.
fn patience(options: &ActivityOptions, left: Option<Duration>) -> Duration {
    match left {
        Some(left) => left.saturating_sub(options.start_to_close + FOR_THE_REPORT),
        None => {
            ActivityOptions::LONGEST_WITHOUT_LEASE.saturating_sub(options.start_to_close).max(LEAST_PATIENCE)
        }
    }
}
