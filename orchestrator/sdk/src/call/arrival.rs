//! The wait for a message: what signals and updates have in common.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Sleep;
use crate::Canceled;
use crate::host::{Journal, ScopeId, WaitFor};

/// Waits for the next message of a name. Dropping it loses none.
pub(super) struct Arrival {
    pub(super) journal: Arc<Journal>,
    scope: ScopeId,
    wait: Option<u64>,
    done: bool,
}

/// What there is to read.
pub(super) enum Look<T> {
    /// The next message.
    Found(T),
    /// None yet.
    Nothing,
    /// One that cannot be read: the run is blocked.
    Blocked,
}

impl Arrival {
    pub(super) fn new(journal: Arc<Journal>, scope: ScopeId) -> Self {
        Self { journal, scope, wait: None, done: false }
    }

    pub(super) fn limit(&self, limit: Duration) -> Sleep {
        super::sleep(&self.journal, self.scope, limit)
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn poll<T>(
        &mut self,
        on: WaitFor,
        cx: &Context<'_>,
        look: impl FnOnce(&Arc<Journal>) -> Look<T>,
    ) -> Poll<Result<T, Canceled>> {
        if self.done {
            return Poll::Pending;
        }
        if let Some(canceled) = self.journal.canceled(self.scope) {
            return self.end(Err(canceled));
        }
        match look(&self.journal) {
            Look::Found(message) => return self.end(Ok(message)),
            Look::Nothing => self.wait = Some(self.journal.wait(self.wait, on, self.scope, cx.waker())),
            Look::Blocked => {}
        }
        Poll::Pending
    }

    fn end<T>(&mut self, result: T) -> Poll<T> {
        self.done = true;
        self.stop_waiting();
        Poll::Ready(result)
    }

    fn stop_waiting(&mut self) {
        if let Some(key) = self.wait.take() {
            self.journal.unwait(key);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}
