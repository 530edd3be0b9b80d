//! A running attempt, shared between the user's code and its supervisor.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use millrace_core::{Fault, Payload, Task};

use super::room::Room;
use crate::activity_code::Attempt;

/// What the code says and is told.
pub(super) struct Running {
    task: Task,
    epoch: u64,
    progress: Option<Payload>,
    /// Given to the code, which has it until it really ends.
    room: Mutex<Option<Room>>,
    state: Mutex<State>,
    supervisor: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// Details of heartbeats since the supervisor last looked.
    beat: Option<Payload>,
    stop: Option<Fault>,
    /// The outcome comes later, from somebody else.
    left: bool,
    waiting: Vec<oneshot::Sender<Fault>>,
}

impl Running {
    pub(super) fn new(task: Task, epoch: u64, progress: Option<Payload>, room: Option<Room>) -> Self {
        let (room, state, supervisor) = (Mutex::new(room), Mutex::default(), AtomicWaker::new());
        Self { task, epoch, progress, room, state, supervisor }
    }

    pub(super) fn take_room(&self) -> Option<Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn task_ref(&self) -> &Task {
        &self.task
    }

    /// Tells the code to stop. The first reason stands.
    pub(super) fn stop(&self, fault: Fault) {
        let mut state = self.state();
        let fault = state.stop.get_or_insert(fault).clone();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waiter in waiting {
            let _ = waiter.send(fault.clone());
        }
    }

    /// The latest heartbeat; resolves when there is one.
    pub(super) async fn beat(&self) -> Payload {
        std::future::poll_fn(|context| {
            self.supervisor.register(context.waker());
            match self.take_beat() {
                Some(details) => std::task::Poll::Ready(details),
                None => std::task::Poll::Pending,
            }
        })
        .await
    }

    /// The latest heartbeat, if the supervisor has not seen it.
    pub(super) fn take_beat(&self) -> Option<Payload> {
        self.state().beat.take()
    }

    /// Whether the code has left the outcome to somebody else.
    pub(super) fn is_left(&self) -> bool {
        self.state().left
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt for Running {
    fn task(&self) -> &Task {
        &self.task
    }

    fn heartbeat(&self, details: Payload) -> Result<(), Fault> {
        {
            let mut state = self.state();
            if let Some(fault) = &state.stop {
                return Err(fault.clone());
            }
            state.beat = Some(details);
        }
        self.supervisor.wake();
        Ok(())
    }

    fn progress(&self) -> Option<Payload> {
        self.progress.clone()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn leave(&self) -> bool {
        let may = self.task.token.is_some();
        self.state().left |= may;
        may
    }

    fn stopped(&self) -> BoxFuture<'static, Fault> {
        let mut state = self.state();
        if let Some(fault) = &state.stop {
            return futures::future::ready(fault.clone()).boxed();
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push(sender);
        drop(state);
        async {
            match receiver.await {
                Ok(fault) => fault,
                // The attempt has ended without being asked to: whoever still waits waits for nothing.
                Err(_) => futures::future::pending().await,
            }
        }
        .boxed()
    }
}
