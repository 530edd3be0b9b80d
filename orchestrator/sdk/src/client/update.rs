//! An update on its way.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{RequestId, RunId, WorkflowId};
use millrace_format::message::{InboxMessage, SignalMessage};
use serde::de::DeserializeOwned;

use super::bound::{Bound, PATIENCE};
use super::start::{Start, request_id};
use super::{Backend, Handle, RunError};
use crate::{Update, Workflow};

/// An update that is sent when it is awaited. Gives the answer; [`RunError::Rejected`] says why the workflow refused it, and
/// [`RunError::Blocked`] that the workflow has it and cannot answer now.
#[must_use = "an update is sent when it is awaited"]
pub struct UpdateCall<U> {
    backend: Arc<dyn Backend>,
    bound: Bound,
    message: Result<SignalMessage, RunError>,
    update: PhantomData<fn() -> U>,
}

impl<U: Update> UpdateCall<U> {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        bound: Bound,
        message: Result<SignalMessage, RunError>,
    ) -> Self {
        Self { backend, bound, message, update: PhantomData }
    }

    /// Makes the update count once, however often it is sent: sent again, it gives the same answer. By default it is sent
    /// once, under an id of its own.
    pub fn request_id(mut self, id: impl AsRef<str>) -> Self {
        self.message = self.message.and_then(|mut message| {
            message.request_id = Some(request_id(id)?);
            Ok(message)
        });
        self
    }

    async fn send(self) -> Result<U::Output, RunError> {
        let message = self.message?;
        let (id, backend) = (message.id.clone(), self.backend.as_ref());
        must_be_live(backend)?;
        let run_id = self.bound.run(backend, &id).await?;
        let sent = backend.send(InboxMessage::Update(message.of_run(run_id))).await?;
        answer(backend, &id, sent.run_id.or(run_id), &sent.request_id).await
    }
}

impl<U: Update> IntoFuture for UpdateCall<U> {
    type Output = Result<U::Output, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

/// A start with an update on its way: update-with-start. Gives the handle and the answer.
#[must_use = "a start is sent when it is awaited"]
pub struct StartUpdate<W, U> {
    start: Start<W>,
    update: PhantomData<fn() -> U>,
}

impl<W: Workflow, U: Update> StartUpdate<W, U> {
    pub(super) fn new(start: Start<W>) -> Self {
        Self { start, update: PhantomData }
    }

    async fn send(self) -> Result<(Handle<W>, U::Output), RunError> {
        let backend = self.start.backend().clone();
        must_be_live(backend.as_ref())?;
        let (run, sent) = self.start.send().await?;
        let run_id = run.bound().await?;
        let answer = answer(backend.as_ref(), run.id(), run_id, &sent.request_id).await?;
        Ok((run, answer))
    }
}

impl<W: Workflow, U: Update> IntoFuture for StartUpdate<W, U> {
    type Output = Result<(Handle<W>, U::Output), RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

impl<U> std::fmt::Debug for UpdateCall<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpdateCall").field("message", &self.message).finish_non_exhaustive()
    }
}

impl<W, U> std::fmt::Debug for StartUpdate<W, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartUpdate").finish_non_exhaustive()
    }
}

/// An update that waited in a folder would be answered when nobody listens any more.
pub(crate) fn must_be_live(backend: &dyn Backend) -> Result<(), RunError> {
    if backend.is_live() {
        return Ok(());
    }
    let text =
        "an update waits for its answer, and no engine is at work on this folder; start one with `dev`";
    Err(RunError::Unavailable(text.into()))
}

/// Waits for the answer to an update that was sent, as long as it takes.
async fn answer<T: DeserializeOwned>(
    backend: &dyn Backend,
    id: &WorkflowId,
    run: Option<RunId>,
    update: &RequestId,
) -> Result<T, RunError> {
    loop {
        if let Some(answer) = backend.answer(id, run, update, PATIENCE).await? {
            return super::handle::read(&answer, "answer");
        }
    }
}
