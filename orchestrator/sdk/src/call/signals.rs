//! Signals as a stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FusedFuture;
use futures::stream::{FusedStream, Stream};

use super::Within;
use super::arrival::{Arrival, Look};
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
        Recv { arrival: Arrival::new(self.journal.clone(), self.scope), signal: PhantomData }
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
    arrival: Arrival,
    signal: PhantomData<fn() -> S>,
}

impl<S: Signal> Recv<S> {
    /// Waits no longer than this: `Ok(None)` when time is up.
    pub fn within(self, limit: Duration) -> Within<Self> {
        let timer = self.arrival.limit(limit);
        Within::new(self, timer)
    }
}

impl<S: Signal> Future for Recv<S> {
    type Output = Result<S, Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.arrival.poll(WaitFor::Signal(S::NAME), cx, |journal| {
            let Some(input) = journal.take_signal(S::NAME) else { return Look::Nothing };
            match journal.read(&input, || format!("signal `{}`", S::NAME)) {
                Ok(signal) => Look::Found(signal),
                Err(reason) => {
                    journal.block(reason);
                    Look::Blocked
                }
            }
        })
    }
}

impl<S: Signal> FusedFuture for Recv<S> {
    fn is_terminated(&self) -> bool {
        self.arrival.is_done()
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
