//! What a workflow may do.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use millrace_core::{RunId, Timestamp, WorkflowId};
use serde::Serialize;
use uuid::Uuid;

use crate::call::{self, ActivityCall, Saga, Signals, Sleep};
use crate::host::Journal;
use crate::{Activity, ActivityRef, Canceled, Signal, StateCell, WorkflowError};

/// A workflow's way to everything outside its own arithmetic. Cheap to clone.
///
/// A context is also a scope for cancellation: when somebody asks the run to stop, every wait made through it returns
/// [`Canceled`], those to come as well, except through a [`shielded`](Self::shielded) one.
#[derive(Clone)]
pub struct WorkflowContext {
    journal: Arc<Journal>,
    shielded: bool,
}

impl WorkflowContext {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, shielded: false }
    }

    /// Calls an activity: runs it on a worker, with retries, and gives its result. `input` is `()`, the one input, or
    /// a tuple.
    ///
    /// The call is a future with setters; it is made when it is first polled, and canceled when it is dropped before
    /// its end.
    pub fn activity<M, F: ActivityRef<M>>(
        &self,
        _activity: F,
        input: <F::Activity as Activity>::Input,
    ) -> ActivityCall<F::Activity> {
        ActivityCall::new(call::Numbered::new(&self.journal, self.shielded), input)
    }

    /// Waits, for as long as years, at no cost. An error says that the run was asked to stop.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        call::sleep(&self.journal, self.shielded, duration)
    }

    /// The signals of one type, beginning with the oldest that nobody has read. The workflow must declare the type:
    /// `#[workflow(accepts(Approve))]`.
    #[track_caller]
    pub fn signals<S: Signal>(&self) -> Signals<S> {
        self.journal.expect_accepted(S::NAME);
        Signals::new(self.journal.clone(), self.shielded)
    }

    /// State that signals change, that the workflow waits on, and that others may see.
    pub fn state<S: Send + 'static>(&self, state: S) -> StateCell<S> {
        StateCell::new(self.journal.clone(), self.shielded, state)
    }

    /// Shows a value to anyone who asks, until another is shown.
    pub fn publish<T: Serialize + ?Sized>(&self, value: &T) {
        self.journal.publish(value);
    }

    /// Runs futures, at most `limit` at a time (at least one), and gives their results in the futures' order. The
    /// iterator is asked for a future only when there is room for it.
    pub async fn join_all_bounded<F: Future>(
        &self,
        limit: usize,
        futures: impl IntoIterator<Item = F>,
    ) -> Vec<F::Output> {
        let numbered = futures.into_iter().enumerate().map(|(i, future)| async move { (i, future.await) });
        let mut results: Vec<_> = stream::iter(numbered).buffer_unordered(limit.max(1)).collect().await;
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Runs `body`; if it fails or is canceled, the calls that it gave to [`Saga::undo`] are made, the last one
    /// first. Their own failures become causes of the error.
    pub async fn saga<T, F>(&self, body: impl FnOnce(Saga) -> F) -> Result<T, WorkflowError>
    where
        F: Future<Output = Result<T, WorkflowError>>,
    {
        let saga = Saga::default();
        let body = body(saga.clone());
        saga.run(body).await
    }

    /// The same context out of reach of cancel requests, for cleaning up.
    #[must_use]
    pub fn shielded(&self) -> Self {
        Self { journal: self.journal.clone(), shielded: true }
    }

    /// The cancel request that has reached this context, for code that computes without waiting.
    pub fn canceled(&self) -> Option<Canceled> {
        self.journal.canceled(self.shielded)
    }

    /// The time, to the millisecond: that of the fact that the code was resumed with, the same in every replay.
    pub fn now(&self) -> Timestamp {
        self.journal.now()
    }

    /// A number that looks random and is the same in every replay. Not for secrets.
    pub fn random(&self) -> u64 {
        self.journal.random()
    }

    /// A UUID (version 4) that looks random and is the same in every replay. Not for secrets.
    pub fn uuid(&self) -> Uuid {
        let bits = u128::from(self.random()) << 64 | u128::from(self.random());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// The user's id of this workflow.
    pub fn workflow_id(&self) -> &WorkflowId {
        &self.journal.info.workflow_id
    }

    /// This execution.
    pub fn run_id(&self) -> RunId {
        self.journal.info.run_id
    }
}

impl std::fmt::Debug for WorkflowContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let info = &self.journal.info;
        f.debug_struct("WorkflowContext").field("info", info).field("shielded", &self.shielded).finish()
    }
}
