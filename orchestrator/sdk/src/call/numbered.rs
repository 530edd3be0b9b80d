//! What activities and timers have in common: a number taken at the call, a command at the first poll, an end in the
//! history, and a cancel command if the future is dropped before.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use millrace_core::Command;

use crate::OnCancel;
use crate::host::{Call, Ended, Journal, Kind, ScopeId};

/// A numbered call.
pub(crate) struct Numbered {
    pub(crate) journal: Arc<Journal>,
    pub(crate) how: Call,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Issued,
    Done,
}

impl Numbered {
    pub(crate) fn new(journal: &Arc<Journal>, kind: Kind, scope: ScopeId) -> Self {
        let number = journal.number();
        let how = Call { number, kind, scope, on_cancel: OnCancel::default(), detached: false };
        Self { journal: journal.clone(), how, phase: Phase::New }
    }

    pub(crate) fn number(&self) -> u64 {
        self.how.number
    }

    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Ends the call without the history, before it is issued.
    pub(crate) fn finish(&mut self) {
        self.phase = Phase::Done;
    }

    pub(crate) fn is_new(&self) -> bool {
        self.phase == Phase::New
    }

    /// The first poll: `start` is issued.
    pub(crate) fn start(&mut self, waker: &Waker, start: Command) -> Poll<Ended> {
        if let Some(canceled) = self.journal.canceled(self.how.scope) {
            self.phase = Phase::Done;
            return Poll::Ready(Ended::Canceled(canceled));
        }
        self.journal.issue(self.how, start, waker.clone());
        self.phase = Phase::Issued;
        Poll::Pending
    }

    /// Every later poll.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Ended> {
        if self.phase != Phase::Issued {
            return Poll::Pending;
        }
        match self.journal.ended(self.how.number, cx.waker()) {
            Some(ended) => {
                self.phase = Phase::Done;
                Poll::Ready(ended)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        if self.phase == Phase::Issued {
            self.journal.abandon(self.how.number);
        }
    }
}
