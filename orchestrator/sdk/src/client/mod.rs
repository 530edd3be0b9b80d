//! The client: starts workflows, tells them things, reads what became of them.
//!
//! What holds: once a request's call has returned, the request is not lost any more, whatever is killed. A request
//! carries an id of its own, so it counts once, also if it is sent twice. The same calls work in the process of the
//! engine, over HTTP to one that runs elsewhere, and on a folder without any engine (then requests wait in the inbox).

mod backend;
mod batch;
mod bound;
mod coded;
#[cfg(any(feature = "embedded", feature = "aws"))]
mod direct;
mod error;
mod handle;
#[cfg(feature = "embedded")]
mod remote;
mod start;
mod update;
#[cfg(feature = "embedded")]
mod wire;

use std::sync::Arc;

pub use backend::{Backend, Description, Filter, Sent};
pub use batch::{Batch, BatchReport, BatchSent, Operation};
#[cfg(feature = "embedded")]
pub(crate) use direct::AtWork;
#[cfg(any(feature = "embedded", feature = "aws"))]
pub(crate) use direct::Direct;
pub use error::RunError;
pub use handle::{Handle, InOrder};
use millrace_core::{ApplicationFailure, CompletionToken, WorkflowId};
pub use millrace_core::{BlockedMark, Event, EventKind, IdConflict, IdReuse, PausedMark, Payload, Status};
pub use millrace_engine::{DeadLetter, Letters, Listed, Outcome, RefusedLetter, Treated, Treatment};
use millrace_format::message::{CompleteMessage, FailMessage, Ignored, InboxMessage};
#[cfg(feature = "embedded")]
pub(crate) use remote::Remote;
use serde::Serialize;
pub use start::Start;
#[cfg(feature = "embedded")]
pub(crate) use update::must_be_live;
pub use update::{StartUpdate, UpdateCall};
#[cfg(feature = "embedded")]
pub(crate) use wire::{
    AnswerBody, EngineInfo, ErrorBody, ErrorKind, OutcomeBody, QueryBody, ResultBody, TreatBody, UpdateBody,
};

use coded::Coded;
pub(crate) use coded::unencoded;

use crate::codec::Codec;
use crate::hooks::Hooks;
use crate::intercept::Interceptor;
use crate::{Workflow, WorkflowRef};

/// Starts workflows and finds them again. Cheap to clone.
///
/// ```no_run
/// # use millrace::prelude::*;
/// # #[workflow] async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> { Ok(name) }
/// # async fn example(client: millrace::Client) -> Result<(), millrace::RunError> {
/// let run = client.start(welcome, "ann", "Ann".to_string()).await?;
/// let greeting: String = run.result().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    /// Speaks plain values.
    backend: Arc<dyn Backend>,
    raw: Arc<dyn Backend>,
    hooks: Hooks,
}

impl Client {
    /// A client over any backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::of(backend, Hooks::default())
    }

    /// The same with an app's codecs and interceptors.
    pub(crate) fn of(raw: Arc<dyn Backend>, hooks: Hooks) -> Self {
        Self { backend: Arc::new(Coded::new(raw.clone(), hooks.clone())), raw, hooks }
    }

    /// Encodes and decodes payloads as the app does: see [`codec`](crate::codec). A client of an app's own engine, and one that
    /// was made with the app, has the app's codecs already.
    #[must_use]
    pub fn codec(self, codec: impl Codec) -> Self {
        let mut hooks = self.hooks;
        hooks.codecs.push(codec);
        Self::of(self.raw, hooks)
    }

    /// Asks an interceptor about each start: see [`intercept`](crate::intercept).
    #[must_use]
    pub fn intercept(self, interceptor: impl Interceptor) -> Self {
        let mut hooks = self.hooks;
        hooks.interceptors.push(interceptor);
        Self::of(self.raw, hooks)
    }

    #[cfg(any(feature = "embedded", feature = "test"))]
    pub(crate) fn with_hooks(self, hooks: Hooks) -> Self {
        Self::of(self.raw, hooks)
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// What speaks payloads as they are in the log.
    #[cfg(feature = "embedded")]
    pub(crate) fn raw(&self) -> &Arc<dyn Backend> {
        &self.raw
    }

    /// A client of a deployment on AWS: it sends to the inbox and reads the bucket, so it needs the permissions of the
    /// template's `StarterPolicy` and `ReaderPolicy`, and no engine in its process. Call it within a tokio runtime.
    /// [`Settings::from_env`](crate::lambda::Settings::from_env) reads which deployment. Queries need the workflow's code:
    /// see [`of_deployment_with`](Self::of_deployment_with).
    #[cfg(feature = "aws")]
    pub async fn of_deployment(
        settings: crate::lambda::Settings,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::of_deployment_and(settings, None, Hooks::default()).await
    }

    /// The same, with the app whose workflows answer queries, in this process.
    #[cfg(feature = "aws")]
    pub async fn of_deployment_with(
        settings: crate::lambda::Settings,
        app: &crate::App,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::of_deployment_and(settings, Some(app.workflow_code()), app.hooks().clone()).await
    }

    #[cfg(feature = "aws")]
    pub(crate) async fn of_deployment_and(
        settings: crate::lambda::Settings,
        code: Option<Arc<dyn millrace_core::WorkflowCode>>,
        hooks: Hooks,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let deployment = crate::deployment::Deployment::of(settings).await?;
        deployment.aws.check(&[millrace_engine::ports::QueueName::inbox()]).await?;
        let (ports, keys) = (deployment.ports.clone(), deployment.keys());
        let runtime = tokio::runtime::Handle::current();
        let direct = Direct::new(ports, keys, direct::AtWork::Elsewhere, runtime).with_code(code);
        Ok(Self::of(Arc::new(direct), hooks))
    }

    /// What is behind this client, for requests whose types are known only at run time. Payloads are plain here, whatever
    /// codecs there are; histories are as they are stored.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Asks for a run of a workflow: await it, after setting what the defaults do not fit.
    pub fn start<M, F: WorkflowRef<M>>(
        &self,
        _workflow: F,
        id: impl AsRef<str>,
        input: <F::Workflow as Workflow>::Input,
    ) -> Start<F::Workflow> {
        Start::new(self.backend.clone(), id.as_ref(), &input)
    }

    /// A handle on a workflow that was started elsewhere, or will be. Nothing is checked until it is used, but the id.
    pub fn handle<M, F: WorkflowRef<M>>(
        &self,
        _workflow: F,
        id: impl AsRef<str>,
    ) -> Result<Handle<F::Workflow>, RunError> {
        self.typed_handle(id)
    }

    pub(crate) fn typed_handle<W: Workflow>(&self, id: impl AsRef<str>) -> Result<Handle<W>, RunError> {
        let id = WorkflowId::new(id).map_err(|bad| RunError::Rejected(format!("id: {bad}")))?;
        Ok(Handle::new(self.backend.clone(), id, bound::Bound::default()))
    }

    /// Gives the result of an activity that [completes later](crate::ActivityError::CompletesLater). The token counts once;
    /// one of an activity that has ended by now, or of an attempt that another has followed, changes nothing.
    pub async fn complete<T: Serialize>(&self, token: &str, result: T) -> Result<Sent, RunError> {
        let result = start::payload("result", &result)?;
        let (token, kind) = (completion_token(token)?, Ignored);
        let message = CompleteMessage { kind, v: None, namespace: None, request_id: None, token, result };
        self.backend.enqueue(InboxMessage::Complete(message)).await
    }

    /// Says that such an activity's attempt has failed; the retry policy says what follows.
    pub async fn fail(&self, token: &str, failure: ApplicationFailure) -> Result<Sent, RunError> {
        let (token, kind) = (completion_token(token)?, Ignored);
        let message = FailMessage { kind, v: None, namespace: None, request_id: None, token, failure };
        self.backend.enqueue(InboxMessage::Fail(message)).await
    }

    /// The runs that pass the filter, newest first.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        self.backend.list(filter).await
    }

    /// Up to `limit` messages that nobody could do anything with, of `inbox`, `events` or a task queue. They stay where they
    /// are. What somebody else looks at just now is not seen.
    pub async fn dead_letters(&self, queue: &str, limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        self.backend.dead_letters(queue, limit).await
    }

    /// Sends dead letters back to the queue they come from, if its door takes them now, or throws them away. A request that
    /// is sent again keeps its id, so it counts once.
    pub async fn treat_dead_letters(
        &self,
        queue: &str,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, RunError> {
        self.backend.treat_dead_letters(queue, treatment, letters).await
    }
}

fn completion_token(token: &str) -> Result<CompletionToken, RunError> {
    token.parse().map_err(|bad| RunError::Rejected(format!("token: {bad}")))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("backend", &self.backend.name()).finish()
    }
}
