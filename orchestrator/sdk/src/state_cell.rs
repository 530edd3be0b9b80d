//! State that signals change, that a workflow waits on, and that others may see.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll};

use futures::future::FusedFuture;
use millrace_core::{Blocked, Payload};
use serde::Serialize;

use crate::codec::{Unread, Unwritten};
use crate::host::{Journal, ScopeId, Unanswered, WaitFor};
use crate::{Canceled, Query, Rejected, Signal, Update};

/// A workflow's state: see [`WorkflowContext::state`](crate::WorkflowContext::state). Cheap to clone; every clone is
/// the same state, reached only through closures that do not wait.
pub struct StateCell<S> {
    journal: Arc<Journal>,
    scope: ScopeId,
    slot: Arc<Slot<S>>,
}

struct Slot<S> {
    id: u64,
    state: Mutex<S>,
}

impl<S> Slot<S> {
    /// The state. Only this run's code can hold it, on this thread, so a lock that is taken is a closure's own.
    #[track_caller]
    fn open(&self) -> MutexGuard<'_, S> {
        match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => already_open(),
        }
    }
}

#[allow(clippy::panic, reason = "a mistake in workflow code; it blocks the run and names the line")]
#[track_caller]
fn already_open() -> ! {
    panic!("a `StateCell` was used inside one of its own closures: use the closure's parameter instead")
}

impl<S: Send + 'static> StateCell<S> {
    pub(crate) fn new(journal: Arc<Journal>, scope: ScopeId, state: S) -> Self {
        let slot = Arc::new(Slot { id: journal.number_cell(), state: Mutex::new(state) });
        Self { journal, scope, slot }
    }

    /// Gives every signal of this type to `change`, those that have already arrived included. They no longer reach
    /// [`signals`](crate::WorkflowContext::signals).
    #[track_caller]
    pub fn on_signal<M: Signal>(self, change: impl Fn(&mut S, M) + Send + Sync + 'static) -> Self {
        self.journal.expect_accepted(M::NAME);
        let (slot, codecs) = (self.slot.clone(), self.journal.codecs.clone());
        let apply = move |input: &Payload| {
            let signal = codecs.read(input, || format!("signal `{}`", M::NAME));
            let signal = signal.map_err(|unread| Blocked::BadInput { message: unread.into_message() })?;
            change(&mut slot.open(), signal);
            Ok(())
        };
        self.journal.on_signal(M::NAME, self.slot.id, Arc::new(apply));
        self
    }

    /// Answers every update of this type by `change`, those that have already arrived included. It works on a copy: one that
    /// is refused leaves the state as it was, and the history too.
    #[track_caller]
    pub fn on_update<U: Update>(
        self,
        change: impl Fn(&mut S, U) -> Result<U::Output, Rejected> + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone,
    {
        self.journal.expect_accepted(U::NAME);
        let (slot, codecs) = (self.slot.clone(), self.journal.codecs.clone());
        let handle = move |input: &Payload| {
            let update = codecs.read(input, || format!("update `{}`", U::NAME))?;
            let mut changed = slot.open().clone();
            let answer =
                change(&mut changed, update).map_err(|rejected| Unanswered::Refused(rejected.reason))?;
            let answer = codecs.write(&answer)?;
            *slot.open() = changed;
            Ok(answer)
        };
        self.journal.on_update(U::NAME, self.slot.id, Arc::new(handle));
        self
    }

    /// Answers every query of this type by `answer`. Nothing is recorded, and nothing may change.
    #[track_caller]
    pub fn on_query<Q: Query>(self, answer: impl Fn(&S, Q) -> Q::Output + Send + Sync + 'static) -> Self {
        self.journal.expect_accepted(Q::NAME);
        let (slot, codecs) = (self.slot.clone(), self.journal.codecs.clone());
        let handle = move |input: &Payload| {
            let query =
                codecs.read(input, || format!("query `{}`", Q::NAME)).map_err(Unread::into_message)?;
            codecs.write(&answer(&slot.open(), query)).map_err(|unwritten| format!("the answer {unwritten}"))
        };
        self.journal.on_query(Q::NAME, Arc::new(handle));
        self
    }

    /// Shows the state to anyone who asks, as it is after each turn. A run shows one cell, or one value.
    pub fn published(self) -> Self
    where
        S: Serialize,
    {
        let slot = self.slot.clone();
        self.journal.publish_cell(self.slot.id, Arc::new(move || Payload::of(&*slot.open())));
        self
    }

    /// A copy of the state.
    #[track_caller]
    pub fn get(&self) -> S
    where
        S: Clone,
    {
        self.slot.open().clone()
    }

    /// Looks at the state.
    #[track_caller]
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.slot.open())
    }

    /// Changes the state.
    #[track_caller]
    pub fn modify<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let result = change(&mut self.slot.open());
        self.journal.changed(self.slot.id);
        result
    }

    /// Waits until the state is as `condition` wants it.
    pub fn until<F: Fn(&S) -> bool + Send + Unpin>(&self, condition: F) -> Until<S, F> {
        Until { cell: self.clone(), condition, wait: None, done: false }
    }
}

/// A request of another shape is refused; one that cannot be decoded here waits for a build that can.
impl From<Unread> for Unanswered {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Shape(reason) => Self::Refused(reason),
            Unread::Codec(message) => Self::Blocked(Blocked::BadInput { message }),
        }
    }
}

impl From<Unwritten> for Unanswered {
    fn from(unwritten: Unwritten) -> Self {
        let text = format!("the answer {unwritten}");
        match unwritten {
            Unwritten::Json(_) => Self::Refused(text),
            Unwritten::Codec(_) => Self::Blocked(Blocked::BadInput { message: text }),
        }
    }
}

impl<S> Clone for StateCell<S> {
    fn clone(&self) -> Self {
        Self { journal: self.journal.clone(), scope: self.scope, slot: self.slot.clone() }
    }
}

/// Waits for a state: see [`StateCell::until`].
#[must_use = "a durable call does nothing until it is awaited"]
pub struct Until<S, F> {
    cell: StateCell<S>,
    condition: F,
    wait: Option<u64>,
    done: bool,
}

impl<S: Send + 'static, F: Fn(&S) -> bool + Send + Unpin> Until<S, F> {
    /// Waits no longer than this: `Ok(None)` when time is up.
    pub fn within(self, limit: std::time::Duration) -> crate::Within<Self> {
        let sleep = crate::call::sleep(&self.cell.journal, self.cell.scope, limit);
        crate::Within::new(self, sleep)
    }
}

impl<S, F> Until<S, F> {
    fn stop_waiting(&mut self) {
        if let Some(key) = self.wait.take() {
            self.cell.journal.unwait(key);
        }
    }
}

impl<S: Send + 'static, F: Fn(&S) -> bool + Send + Unpin> Future for Until<S, F> {
    type Output = Result<(), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.done {
            return Poll::Pending;
        }
        let canceled = self.cell.journal.canceled(self.cell.scope);
        if canceled.is_none() && !(self.condition)(&self.cell.slot.open()) {
            let (journal, on) = (&self.cell.journal, WaitFor::Cell(self.cell.slot.id));
            let wait = journal.wait(self.wait, on, self.cell.scope, cx.waker());
            self.wait = Some(wait);
            return Poll::Pending;
        }
        self.done = true;
        self.stop_waiting();
        Poll::Ready(canceled.map_or(Ok(()), Err))
    }
}

impl<S: Send + 'static, F: Fn(&S) -> bool + Send + Unpin> FusedFuture for Until<S, F> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<S, F> Drop for Until<S, F> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

impl<S> std::fmt::Debug for StateCell<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateCell").field("id", &self.slot.id).finish_non_exhaustive()
    }
}

impl<S, F> std::fmt::Debug for Until<S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").field("cell", &self.cell).finish_non_exhaustive()
    }
}
