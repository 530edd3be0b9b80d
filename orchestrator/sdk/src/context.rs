//! What a workflow may do.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use millrace_core::{Command, Headers, RunId, Timestamp, WorkflowId, WorkflowType};
use serde::Serialize;
use uuid::Uuid;

use crate::call::{self, ActivityCall, ChildCall, Numbered, Saga, Signals, Sleep, Task, Updates};
use crate::error::Next;
use crate::host::{Journal, Kind, ROOT, SHIELDED, ScopeId};
use crate::map::MapCall;
use crate::{
    Activity, ActivityRef, Canceled, Page, Signal, StateCell, Update, Workflow, WorkflowError, WorkflowRef,
};

/// A workflow's way to everything outside its own arithmetic. Cheap to clone.
///
/// A context is also a scope for cancellation: when somebody asks the run to stop, every wait made through it returns
/// [`Canceled`], those to come as well, except through a [`shielded`](Self::shielded) one. A [`scope`](Self::scope) within
/// it can be canceled on its own.
#[derive(Clone)]
pub struct WorkflowContext {
    journal: Arc<Journal>,
    scope: ScopeId,
}

impl WorkflowContext {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal, scope: ROOT }
    }

    pub(crate) fn scope_id(&self) -> ScopeId {
        self.scope
    }

    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
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
        ActivityCall::new(Numbered::new(&self.journal, Kind::Activity, self.scope), input)
    }

    /// Calls an activity within this turn, by the process that makes it: no queue, no worker, and one commit for many of
    /// them. For what takes a moment, and does no harm when it is done twice: a turn that is made again, after a crash,
    /// makes its local calls again. Together they have half a minute, on Lambda a quarter of one; what takes longer, is to
    /// be canceled, or needs another machine, is no local call. Task queue and heartbeat mean nothing here.
    pub fn local<M, F: ActivityRef<M>>(
        &self,
        _activity: F,
        input: <F::Activity as Activity>::Input,
    ) -> ActivityCall<F::Activity> {
        ActivityCall::new(Numbered::new(&self.journal, Kind::LocalActivity, self.scope), input)
    }

    /// Calls an activity for each of many items, and gives the results in the items' order. Durable as a whole: ten thousand
    /// items need no turn of this run each.
    ///
    /// ```
    /// # use millrace::prelude::*;
    /// # #[activity]
    /// # async fn resize(key: String) -> Result<u32, ActivityError> { Ok(key.len() as u32) }
    /// # #[workflow]
    /// # async fn album(ctx: WorkflowContext, keys: Vec<String>) -> Result<usize, WorkflowError> {
    /// let resized = ctx.map(resize, keys).concurrency(50).tolerate(3).await?;
    /// let failed = resized.iter().filter(|item| item.is_err()).count();
    /// # Ok(failed)
    /// # }
    /// ```
    pub fn map<M, F: ActivityRef<M>>(
        &self,
        _activity: F,
        items: impl IntoIterator<Item = <F::Activity as Activity>::Input>,
    ) -> MapCall<F::Activity> {
        MapCall::new(self.clone(), items)
    }

    /// The same for items that nobody names: those of the pages that a [paging activity](crate::Page) gives, one after the
    /// other. `spec` is what it is told; the keys of a bucket's prefix and the lines of a file are [built
    /// in](crate::sources). Each page is read and worked on in a run of its own, so a hundred thousand items are neither in
    /// this run's history nor turns of it; only their results are, in the order of the items, unless
    /// [`summary`](MapCall::summary) is enough.
    ///
    /// ```
    /// # use millrace::{sources, prelude::*};
    /// # use millrace::sources::Keys;
    /// # #[activity]
    /// # async fn resize(key: String) -> Result<u32, ActivityError> { Ok(key.len() as u32) }
    /// # #[workflow]
    /// # async fn album(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    /// let photos = Keys::under("s3://photos/2026/");
    /// let resized = ctx.map_pages(resize, sources::keys, photos).tolerate_share(0.01).summary().await?;
    /// tracing::info!(count = resized.count, failed = resized.failed, "resized");
    /// # Ok(resized.count)
    /// # }
    /// ```
    pub fn map_pages<M, F, N, P, S>(&self, _activity: F, _pages: P, spec: S) -> MapCall<F::Activity>
    where
        F: ActivityRef<M>,
        P: ActivityRef<N>,
        P::Activity: Activity<Input = (S, Option<String>), Output = Page<<F::Activity as Activity>::Input>>,
        S: Serialize,
    {
        MapCall::in_pages::<P::Activity>(self.clone(), &spec)
    }

    /// Starts another workflow as a child of this one and waits for its result; or, with [`ChildCall::start`], lets it run
    /// beside.
    pub fn child<M, F: WorkflowRef<M>>(
        &self,
        _workflow: F,
        input: <F::Workflow as Workflow>::Input,
    ) -> ChildCall<F::Workflow> {
        ChildCall::new(Numbered::new(&self.journal, Kind::Child, self.scope), input)
    }

    /// Tells another workflow something. Recorded with this turn, and delivered once it is committed: whether or not
    /// anybody reads it. A workflow that is not there within half a day is not told, and one of an id whose last run has ended not
    /// within half an hour; the signal is a dead letter then.
    pub async fn signal<S: Signal>(&self, id: impl AsRef<str>, signal: S) -> Result<(), WorkflowError> {
        call::tell(&self.journal, self.scope, WorkflowId::new(id)?, &signal)
    }

    /// Asks another workflow to stop. Recorded with this turn, and delivered once it is committed.
    pub async fn request_cancel(
        &self,
        id: impl AsRef<str>,
        reason: impl Into<String>,
    ) -> Result<(), WorkflowError> {
        if let Some(canceled) = self.canceled() {
            return Err(canceled.into());
        }
        let (sent_id, workflow_id, reason) = (self.journal.number(), WorkflowId::new(id)?, reason.into());
        self.journal.say(sent_id, Command::SendCancel { sent_id, workflow_id, reason });
        Ok(())
    }

    /// Ends this run, to go on as a new one with a fresh history: what an entity that lives for ever returns now and then.
    /// Messages that nobody has read go along.
    ///
    /// ```
    /// # use millrace::prelude::*;
    /// #[workflow]
    /// async fn heart(ctx: WorkflowContext, mut beats: u64) -> Result<(), WorkflowError> {
    ///     while !ctx.should_continue_as_new() {
    ///         ctx.sleep(secs(1)).await?;
    ///         beats += 1;
    ///     }
    ///     ctx.continue_as_new(heart, beats)
    /// }
    /// ```
    pub fn continue_as_new<T, M, F: WorkflowRef<M>>(
        &self,
        _workflow: F,
        input: <F::Workflow as Workflow>::Input,
    ) -> Result<T, WorkflowError> {
        let workflow = <F::Workflow as Workflow>::NAME;
        let input = call::input_of::<F::Workflow>(&self.journal, &input)?;
        Err(WorkflowError::ContinueAsNew(Box::new(Next { workflow, input })))
    }

    /// Whether the history has grown so long (4,000 events) that a new run should go on.
    pub fn should_continue_as_new(&self) -> bool {
        self.journal.events() >= self.journal.history_limit()
    }

    /// How many events the history has so far, for those who want to decide that themselves.
    pub fn history_length(&self) -> u64 {
        self.journal.events()
    }

    /// Whether this run takes the new way at a place of the code that was changed: yes if it comes there for the first time,
    /// no if it was there before the change. So runs on their way are not disturbed:
    ///
    /// ```
    /// # use millrace::prelude::*;
    /// # #[workflow]
    /// # async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    /// if ctx.patched("wait first") {
    ///     ctx.sleep(secs(1)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Once no run from before the change is open, take the `if` away and keep the new way: marks that nobody asks for are
    /// passed over.
    pub fn patched(&self, patch: &str) -> bool {
        self.journal.patched(patch)
    }

    /// Runs a future beside this one. It ends with the workflow at the latest.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task::spawn(&self.journal, future)
    }

    /// Waits, for as long as years, at no cost. An error says that the run was asked to stop.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        call::sleep(&self.journal, self.scope, duration)
    }

    /// The signals of one type, beginning with the oldest that nobody has read. The workflow must declare the type:
    /// `#[workflow(accepts(Approve))]`.
    #[track_caller]
    pub fn signals<S: Signal>(&self) -> Signals<S> {
        self.journal.expect_accepted(S::NAME);
        Signals::new(self.journal.clone(), self.scope)
    }

    /// The updates of one type, each with the way to answer it, for workflows that take their time. Those that can be
    /// answered at once: [`StateCell::on_update`].
    #[track_caller]
    pub fn updates<U: Update>(&self) -> Updates<U> {
        self.journal.expect_accepted(U::NAME);
        Updates::new(self.journal.clone(), self.scope)
    }

    /// State that signals change, that the workflow waits on, and that others may see.
    pub fn state<S: Send + 'static>(&self, state: S) -> StateCell<S> {
        StateCell::new(self.journal.clone(), self.scope, state)
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
        Self { journal: self.journal.clone(), scope: SHIELDED }
    }

    /// A scope within this one: what is called through it can be [canceled](Self::cancel) together.
    #[must_use]
    pub fn scope(&self) -> Self {
        Self { journal: self.journal.clone(), scope: self.journal.open_scope(self.scope) }
    }

    /// Cancels everything in this scope, as if somebody had asked the run to stop: on the workflow's own context, the whole
    /// run; on a [`scope`](Self::scope), what was called through it.
    pub fn cancel(&self, reason: impl Into<String>) {
        if self.scope != SHIELDED {
            self.journal.cancel(self.scope, Canceled { reason: reason.into() });
        }
    }

    /// The cancel request that has reached this context, for code that computes without waiting.
    pub fn canceled(&self) -> Option<Canceled> {
        self.journal.canceled(self.scope)
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

    /// The workflow's type.
    pub fn workflow_type(&self) -> &WorkflowType {
        &self.journal.info.workflow
    }

    /// What the run was started with, such as a `traceparent`; a child has what its parent has, a run that continues another
    /// what that has. Activities find it in their own context.
    pub fn headers(&self) -> &Headers {
        self.journal.headers()
    }
}

impl std::fmt::Debug for WorkflowContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let info = &self.journal.info;
        f.debug_struct("WorkflowContext").field("info", info).field("scope", &self.scope).finish()
    }
}
