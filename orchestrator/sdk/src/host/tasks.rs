//! Futures that run beside the workflow's own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::journal::Journal;

/// A future that somebody spawned.
pub(crate) type Spawned = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Journal {
    /// Runs a future beside the workflow's own, from the next time that is polled.
    pub(crate) fn spawn(&self, task: Spawned) {
        self.lock().spawned.push(task);
    }

    pub(super) fn take_spawned(&self) -> Vec<Spawned> {
        std::mem::take(&mut self.lock().spawned)
    }
}

/// The workflow's own future and those that it has spawned. Ends with the first.
pub(super) struct Together<F> {
    root: F,
    spawned: FuturesUnordered<Spawned>,
    journal: Arc<Journal>,
}

impl<F> Together<F> {
    pub(super) fn new(root: F, journal: Arc<Journal>) -> Self {
        Self { root, spawned: FuturesUnordered::new(), journal }
    }
}

impl<F: Future + Unpin> Future for Together<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = Pin::new(&mut self.root).poll(cx) {
            return Poll::Ready(ended);
        }
        loop {
            let fresh = self.journal.take_spawned();
            let is_fresh = !fresh.is_empty();
            self.spawned.extend(fresh);
            // One at a time: an ended task may have spawned the next.
            let ended = self.spawned.poll_next_unpin(cx);
            if !is_fresh && !matches!(ended, Poll::Ready(Some(()))) {
                return Poll::Pending;
            }
        }
    }
}
