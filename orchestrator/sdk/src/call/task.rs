//! Futures that run beside the workflow's own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::FusedFuture;

use crate::host::Journal;

/// What a spawned future gives: see [`WorkflowContext::spawn`](crate::WorkflowContext::spawn). Letting go of it changes
/// nothing for the future.
#[must_use = "a task runs whether or not it is awaited; `drop` it to say that its result is not wanted"]
pub struct Task<T> {
    slot: Arc<Mutex<Slot<T>>>,
    done: bool,
}

enum Slot<T> {
    Running(Option<Waker>),
    Ended(T),
    Taken,
}

fn open<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(journal: &Journal, future: impl Future<Output = T> + Send + 'static) -> Self {
        let slot = Arc::new(Mutex::new(Slot::Running(None)));
        let result = slot.clone();
        journal.spawn(Box::pin(async move {
            let ended = Slot::Ended(future.await);
            let was = std::mem::replace(&mut *open(&result), ended);
            if let Slot::Running(Some(waker)) = was {
                waker.wake();
            }
        }));
        Self { slot, done: false }
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut slot = open(&self.slot);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Ended(result) => {
                drop(slot);
                self.done = true;
                Poll::Ready(result)
            }
            Slot::Running(_) => {
                *slot = Slot::Running(Some(cx.waker().clone()));
                Poll::Pending
            }
            Slot::Taken => Poll::Pending,
        }
    }
}

impl<T> FusedFuture for Task<T> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("done", &self.done).finish_non_exhaustive()
    }
}
