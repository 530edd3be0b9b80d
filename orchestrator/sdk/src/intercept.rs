//! Interceptors: what an app does around every activity attempt, every workflow and every start.
//!
//! ```
//! use millrace::intercept::{Attempt, Interceptor, Next};
//! use millrace::client::Payload;
//! use millrace::prelude::*;
//! use tracing::Instrument as _;
//!
//! /// A span for each attempt, within the trace that the starter began.
//! struct Traced;
//!
//! #[millrace::async_trait]
//! impl Interceptor for Traced {
//!     async fn activity(&self, attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
//!         let traceparent = attempt.context.headers().get("traceparent").map(String::as_str);
//!         let (activity, number) = (attempt.name(), attempt.context.attempt);
//!         let span = tracing::info_span!("activity", activity, attempt = number, traceparent);
//!         next.run(attempt).instrument(span).await
//!     }
//!
//!     fn start(&self, _workflow: &str, _id: &str, headers: &mut millrace::Headers) {
//!         // Where an OpenTelemetry propagator would inject the current context:
//!         headers.entry("traceparent".into()).or_insert_with(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
//!     }
//! }
//!
//! # #[workflow] async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> { Ok(name) }
//! let app = App::new().workflow(welcome).intercept(Traced);
//! ```
//!
//! Several interceptors nest in the order in which they were added: the first is the outermost. They see plain values, whatever
//! codecs there are.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use millrace_core::{Headers, Payload};

use crate::{ActivityContext, ActivityError, WorkflowContext, WorkflowError};

/// A workflow's code on its way: gives its result as JSON.
pub type WorkflowRun = BoxFuture<'static, Result<Payload, WorkflowError>>;

/// What is done around the app's work; each method does nothing unless it is written.
#[async_trait]
pub trait Interceptor: Send + Sync + 'static {
    /// Around an attempt of an activity, also a local one: `next.run(attempt)` runs what is within, once. What it gives is the
    /// attempt's result, or its failure, which the retry policy judges like any other. An error of its own, in the place of
    /// the run, fails the attempt.
    async fn activity(&self, attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
        next.run(attempt).await
    }

    /// Around a workflow's code: gives the future that is polled in its place. It is part of the code: it must be as
    /// deterministic, asks for everything through the context, and a change of what it asks for is a change of every workflow
    /// (see [`WorkflowContext::patched`]). It is called again in every replay, where log lines and spans are silent.
    fn workflow(&self, context: &WorkflowContext, run: WorkflowRun) -> WorkflowRun {
        let _ = context;
        run
    }

    /// Before a start is sent by a client of this app: may add headers. Not asked for children, which have their parent's.
    fn start(&self, workflow: &str, id: &str, headers: &mut Headers) {
        let _ = (workflow, id, headers);
    }
}

/// An attempt of an activity that is about to run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// What the activity is given: which attempt this is, its task, the headers.
    pub context: ActivityContext,
    /// Its input, decoded; what is put here is what the activity is given. One that cannot be decoded is here as it is, and the
    /// attempt fails.
    pub input: Payload,
}

impl Attempt {
    pub(crate) fn new(context: ActivityContext, input: Payload) -> Self {
        Self { context, input }
    }

    /// The activity's name.
    pub fn name(&self) -> &str {
        self.context.task().map(|task| task.activity.as_str()).unwrap_or_default()
    }
}

/// The activity's code, without its types.
pub(crate) type ActivityFn =
    Box<dyn FnOnce(ActivityContext, Payload) -> BoxFuture<'static, Result<Payload, ActivityError>> + Send>;

/// What is within an interceptor: the next one, or the activity.
#[must_use = "the activity is not run unless this is"]
pub struct Next<'a> {
    within: &'a [Arc<dyn Interceptor>],
    code: ActivityFn,
}

impl Next<'_> {
    /// Runs it.
    pub async fn run(self, attempt: Attempt) -> Result<Payload, ActivityError> {
        match self.within.split_first() {
            Some((next, within)) => next.activity(attempt, Next { within, code: self.code }).await,
            None => (self.code)(attempt.context, attempt.input).await,
        }
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("interceptors", &self.within.len()).finish_non_exhaustive()
    }
}

/// All of an app's, the outermost first. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Interceptors(Arc<Vec<Arc<dyn Interceptor>>>);

impl Interceptors {
    pub(crate) fn push(&mut self, interceptor: impl Interceptor) {
        Arc::make_mut(&mut self.0).push(Arc::new(interceptor));
    }

    #[cfg(any(feature = "embedded", feature = "test"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) async fn activity(
        &self,
        attempt: Attempt,
        code: ActivityFn,
    ) -> Result<Payload, ActivityError> {
        Next { within: &self.0, code }.run(attempt).await
    }

    pub(crate) fn workflow(&self, context: &WorkflowContext, run: WorkflowRun) -> WorkflowRun {
        self.0.iter().rev().fold(run, |run, interceptor| interceptor.workflow(context, run))
    }

    pub(crate) fn start(&self, workflow: &str, id: &str, headers: &mut Headers) {
        self.0.iter().for_each(|interceptor| interceptor.start(workflow, id, headers));
    }
}

impl std::fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Interceptors").field(&self.0.len()).finish()
    }
}
