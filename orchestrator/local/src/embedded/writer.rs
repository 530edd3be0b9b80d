//! The writer thread: takes what is pending, writes it, says that it is durable.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::batch::{Batch, MessageChange};
use super::journal::Journal;
use super::{Inner, MOST_BODY_BYTES, MOST_PENDING_BYTES, Shared};
use crate::state::Released;

/// How long a batch that nobody waits for may gather.
const LAZY: Duration = Duration::from_millis(5);
/// How long to wait before a failed write is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when the store is closed and everything is written, or cannot be.
pub(super) fn start(shared: Arc<Shared>, journal: Journal) -> io::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("millrace-writer".into());
    thread.spawn(move || Writer { shared, journal }.run())
}

struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            while let Err(error) = self.journal.apply(&batch) {
                self.failed(error.to_string());
                if self.gives_up() {
                    let folder = self.shared.dir.display();
                    tracing::error!(%folder, %error, "closed without writing the last changes");
                    return;
                }
            }
            self.written(&batch);
        }
    }

    /// Waits for something to write; `None` when the store is closed and everything is written.
    ///
    /// A batch gathers until somebody waits for it, at most for [`LAZY`]. While it gathers, nothing but urgency wakes the
    /// thread: a step makes several changes, and only the last one is waited for.
    fn next_batch(&self) -> Option<Arc<Batch>> {
        let gather = |inner: &mut Inner| {
            !inner.urgent && !inner.closing && inner.pending.size_bytes <= MOST_PENDING_BYTES / 2
        };
        let rest = |inner: &mut Inner| inner.pending.is_empty() && !inner.closing;
        let mut inner = self.shared.lock();
        loop {
            let gathered = self.shared.work.wait_timeout_while(inner, LAZY, gather);
            inner = gathered.unwrap_or_else(PoisonError::into_inner).0;
            inner.urgent = false;
            if !inner.pending.is_empty() {
                break;
            }
            if inner.closing {
                return None;
            }
            inner.resting = true;
            inner = self.shared.work.wait_while(inner, rest).unwrap_or_else(PoisonError::into_inner);
            inner.resting = false;
        }
        let batch = Arc::new(std::mem::take(&mut inner.pending));
        inner.pending.last_seq = batch.last_seq;
        inner.writing = Some(batch.clone());
        Some(batch)
    }

    fn written(&self, batch: &Batch) {
        let now = self.shared.clock.now();
        let mut inner = self.shared.lock();
        inner.durable_seq = batch.last_seq;
        inner.writing = None;
        let recovered = inner.failure.take().is_some();
        drop_bodies(&mut inner, batch);
        let released = inner.queues.durable(batch.last_seq, now);
        drop(inner);
        for (queue, Released { ready, delayed }) in released {
            if ready {
                self.shared.arrivals.one(&queue);
            }
            if delayed {
                self.shared.arrivals.all(&queue);
            }
        }
        self.shared.progress.notify_waiters();
        if recovered {
            tracing::info!(folder = %self.shared.dir.display(), "the store is written again; nothing was lost");
        }
    }

    fn failed(&self, reason: String) {
        let mut inner = self.shared.lock();
        let first = inner.failure.is_none();
        inner.failure = Some(format!("{reason}: {}", self.shared.dir.display()));
        drop(inner);
        self.shared.progress.notify_waiters();
        if first {
            let folder = self.shared.dir.display();
            tracing::error!(%folder, reason, "the store cannot be written; trying again every second");
        }
    }

    /// Waits a moment; says whether the store is being closed.
    fn gives_up(&self) -> bool {
        let waited = self.shared.work.wait_timeout_while(self.shared.lock(), RETRY, |inner| !inner.closing);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.closing
    }
}

/// Once too many bodies are in memory, those that are on disk now go.
fn drop_bodies(inner: &mut Inner, batch: &Batch) {
    for (seq, change) in &batch.messages {
        if inner.queues.body_bytes() <= MOST_BODY_BYTES {
            return;
        }
        if let MessageChange::Put(queue, _) = change {
            inner.queues.drop_body(queue, *seq);
        }
    }
}
