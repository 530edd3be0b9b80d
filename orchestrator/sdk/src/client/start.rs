//! A start on its way.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{IdConflict, IdReuse, Payload, RequestId, StartSignal, WorkflowId, WorkflowType};
use millrace_format::message::{Ignored, InboxMessage, StartMessage};
use serde::Serialize;

use super::{Backend, Handle, RunError};
use crate::workflow::AcceptedBy;
use crate::{Signal, Workflow};

/// A start that is sent when it is awaited. Gives a [`Handle`] once the start is durable and, where an engine is at
/// work, the run's log has begun.
#[must_use = "a start is sent when it is awaited"]
pub struct Start<W> {
    backend: Arc<dyn Backend>,
    message: Result<StartMessage, RunError>,
    or_existing: bool,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Start<W> {
    pub(super) fn new(backend: Arc<dyn Backend>, id: &str, input: &W::Input) -> Self {
        let message = message(W::NAME, id, input);
        Self { backend, message, or_existing: false, workflow: PhantomData }
    }

    /// Delivers a signal together with the start: signal-with-start.
    pub fn signal<S: Signal + AcceptedBy<W>>(self, signal: S) -> Self {
        self.with(|message| {
            message.signal = Some(StartSignal { name: S::NAME.into(), input: payload(S::NAME, &signal)? });
            Ok(())
        })
    }

    /// Whether the id of a closed run may be used again; the default is that it may.
    pub fn id_reuse(self, reuse: IdReuse) -> Self {
        self.with(|message| {
            message.id_reuse = reuse;
            Ok(())
        })
    }

    /// What happens if a run of this id is open; the default is that the start is rejected.
    pub fn id_conflict(self, conflict: IdConflict) -> Self {
        self.with(|message| {
            message.id_conflict = conflict;
            Ok(())
        })
    }

    /// How long the run may take.
    pub fn run_timeout(self, limit: Duration) -> Self {
        self.with(|message| {
            message.run_timeout_s = Some(limit.as_secs_f64());
            Ok(())
        })
    }

    /// Makes the start count once, however often it is sent; by default it is sent once, under an id of its own.
    pub fn request_id(self, id: impl AsRef<str>) -> Self {
        self.with(|message| {
            let id = RequestId::new(id).map_err(|bad| RunError::Rejected(format!("request_id: {bad}")))?;
            message.request_id = Some(id);
            Ok(())
        })
    }

    /// Takes the run of this id as it is, open or closed, and starts one only if there is none: what a program wants
    /// that is run again after it was killed.
    pub fn or_existing(mut self) -> Self {
        self.or_existing = true;
        self.id_reuse(IdReuse::RejectDuplicate).id_conflict(IdConflict::UseExisting)
    }

    fn with(mut self, set: impl FnOnce(&mut StartMessage) -> Result<(), RunError>) -> Self {
        self.message = self.message.and_then(|mut message| set(&mut message).map(|()| message));
        self
    }

    async fn send(self) -> Result<Handle<W>, RunError> {
        let message = self.message?;
        let id = message.id.clone();
        if self.or_existing
            && let Some(run_id) = existing(self.backend.as_ref(), &id).await?
        {
            return Ok(Handle::new(self.backend, id, Some(run_id)));
        }
        let run_id = match self.backend.send(InboxMessage::Start(message)).await {
            Ok(sent) => sent.run_id,
            // Somebody else was faster.
            Err(RunError::Rejected(_)) if self.or_existing => existing(self.backend.as_ref(), &id).await?,
            Err(error) => return Err(error),
        };
        Ok(Handle::new(self.backend, id, run_id))
    }
}

impl<W: Workflow> IntoFuture for Start<W> {
    type Output = Result<Handle<W>, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

async fn existing(backend: &dyn Backend, id: &WorkflowId) -> Result<Option<millrace_core::RunId>, RunError> {
    match backend.describe(id, None).await {
        Ok(description) => Ok(Some(description.run_id)),
        Err(RunError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn message<I: Serialize>(workflow: &str, id: &str, input: &I) -> Result<StartMessage, RunError> {
    let rejected = |field: &str, bad| RunError::Rejected(format!("{field}: {bad}"));
    Ok(StartMessage {
        kind: Ignored,
        v: None,
        id: WorkflowId::new(id).map_err(|bad| rejected("id", bad))?,
        run_id: None,
        namespace: None,
        request_id: None,
        workflow: WorkflowType::new(workflow).map_err(|bad| rejected("workflow", bad))?,
        input: payload("input", input)?,
        id_reuse: IdReuse::default(),
        id_conflict: IdConflict::default(),
        execution_timeout_s: None,
        run_timeout_s: None,
        memo: None,
        attributes: None,
        signal: None,
    })
}

pub(super) fn payload<T: Serialize>(what: &str, value: &T) -> Result<Payload, RunError> {
    Payload::of(value).map_err(|error| RunError::Rejected(format!("{what}: has no JSON form: {error}")))
}
