//! Signals as a stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use futures::stream::{FusedStream, Stream};

use super::Within;
use crate::host::{Journal, ScopeId, WaitFor};
use crate::{Canceled, Signal};

/// The signals of one type, in the order in which they arrived, from the run's start: see
/// [`WorkflowContext::signals`](crate::WorkflowContext::signals). As a stream it ends after a cancellation.
pub struct Signals<S> {
    journal: Arc<Journal>,
    scope: ScopeId,
    /// The wait of the stream.
    next: Option<Recv<S>>,
    ended: bool,
}

impl<S: Signal> Signals<S> {
    pub(crate) fn new(journal: Arc<Journal>, scope: ScopeId) -> Self {
        Self { journal, scope, next: None, ended: false }
    }

    /// The next one.
    pub fn recv(&self) -> Recv<S> {
        Recv {
            journal: self.journal.clone(),
            scope: self.scope,
            wait: None,
            done: false,
            signal: PhantomData,
        }
    }
}

impl<S: Signal> Stream for Signals<S> {
    type Item = Result<S, Canceled>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut next = self.next.take().unwrap_or_else(|| self.recv());
        match Pin::new(&mut next).poll(cx) {
            Poll::Ready(item) => {
                self.ended = item.is_err();
                Poll::Ready(Some(item))
            }
            Poll::Pending => {
                self.next = Some(next);
                Poll::Pending
            }
        }
    }
}

impl<S: Signal> FusedStream for Signals<S> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

/// The next signal of a type. Dropping it loses no signal.
#[must_use = "a durable call does nothing until it is awaited"]
pub struct Recv<S> {
    journal: Arc<Journal>,
    scope: ScopeId,
    wait: Option<u64>,
    done: bool,
    signal: PhantomData<fn() -> S>,
}

impl<S: Signal> Recv<S> {
    /// Waits no longer than this: `Ok(None)` when time is up.
    pub fn within(self, limit: Duration) -> Within<Self> {
        let timer = super::sleep(&self.journal, self.scope, limit);
        Within::new(self, timer)
    }

    fn end<T>(&mut self, result: T) -> Poll<T> {
        self.done = true;
        self.stop_waiting();
        Poll::Ready(result)
    }
}

impl<S> Recv<S> {
    fn stop_waiting(&mut self) {
        if let Some(key) = self.wait.take() {
            self.journal.unwait(key);
        }
    }
}

impl<S: Signal> Future for Recv<S> {
    type Output = Result<S, Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done {
            return Poll::Pending;
        }
        if let Some(canceled) = self.journal.canceled(self.scope) {
            return self.end(Err(canceled));
        }
        match self.journal.take_signal(S::NAME) {
            Some(input) => match self.journal.read(&input, || format!("signal `{}`", S::NAME)) {
                Ok(signal) => return self.end(Ok(signal)),
                Err(reason) => self.journal.block(reason),
            },
            None => {
                let wait = self.journal.wait(self.wait, WaitFor::Signal(S::NAME), self.scope, cx.waker());
                self.wait = Some(wait);
            }
        }
        Poll::Pending
    }
}

impl<S: Signal> FusedFuture for Recv<S> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<S> Drop for Recv<S> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<S: Signal> std::fmt::Debug for Signals<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").field("name", &S::NAME).finish_non_exhaustive()
    }
}

impl<S: Signal> std::fmt::Debug for Recv<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recv").field("name", &S::NAME).finish_non_exhaustive()
    }
}
