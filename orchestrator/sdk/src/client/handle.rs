//! A handle on one workflow.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::{Event, Payload, RunId, Status, WorkflowId};
use millrace_engine::Outcome;
use millrace_format::message::{Ignored, InboxMessage, ResumeMessage, SignalMessage, StopMessage};
use serde::de::DeserializeOwned;

use super::start::payload;
use super::update::UpdateCall;
use super::{Backend, Description, RunError, Sent};
use crate::workflow::{AcceptedBy, Message};
use crate::{Query, Signal, Update, Workflow};

/// How long one request for the outcome waits; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A workflow, by its id. From a start it is bound to the run that was started, and to those that it continues as; from
/// [`Client::handle`](super::Client::handle) it means the current run, whichever that is at the time.
pub struct Handle<W> {
    backend: Arc<dyn Backend>,
    id: WorkflowId,
    run_id: Option<RunId>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Handle<W> {
    pub(super) fn new(backend: Arc<dyn Backend>, id: WorkflowId, run_id: Option<RunId>) -> Self {
        Self { backend, id, run_id, workflow: PhantomData }
    }

    /// The workflow's id.
    pub fn id(&self) -> &WorkflowId {
        &self.id
    }

    /// The run this handle is bound to, if it is bound to one.
    pub fn run_id(&self) -> Option<RunId> {
        self.run_id
    }

    /// What is behind this handle.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Waits for the result. A run that ended without one is an error, and so is one that is blocked.
    pub async fn result(&self) -> Result<W::Output, RunError> {
        loop {
            match self.backend.outcome(&self.id, self.run_id, PATIENCE).await {
                Ok(None) if self.backend.is_live() => {}
                Ok(None) => {
                    let text = "no engine is at work on this folder; start one with `dev`";
                    return Err(RunError::Unavailable(text.into()));
                }
                Ok(Some(outcome)) => return result(outcome),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the workflow something. Returns when its log has it, or says that it does not yet (`run_id` is absent): the
    /// workflow may not exist yet, and the signal waits for it for a minute; or no engine is at work.
    pub async fn signal<S: Signal + AcceptedBy<W>>(&self, signal: S) -> Result<Sent, RunError> {
        self.backend.send(InboxMessage::Signal(self.message(&signal)?)).await
    }

    /// Asks the workflow for a change, and waits for its answer: await it, after setting what the defaults do not fit.
    ///
    /// ```no_run
    /// # use millrace::prelude::*;
    /// # #[derive(Update, serde::Serialize, serde::Deserialize)] #[update(output = u32)] struct Add { sku: String }
    /// # #[workflow(accepts(Add))] async fn cart(ctx: WorkflowContext) -> Result<(), WorkflowError> { Ok(()) }
    /// # async fn example(client: millrace::Client) -> Result<(), millrace::RunError> {
    /// let lines: u32 = client.handle(cart, "c-1")?.update(Add { sku: "tea".into() }).request_id("add-1").await?;
    /// # Ok(()) }
    /// ```
    pub fn update<U: Update + AcceptedBy<W>>(&self, update: U) -> UpdateCall<U> {
        UpdateCall::new(self.backend.clone(), self.message(&update))
    }

    /// Asks the workflow something that changes nothing. Answered from the history by whoever has the code: the engine,
    /// or this program itself, so no engine need be at work. A workflow that has ended answers as it was at its end.
    pub async fn query<Q: Query + AcceptedBy<W>>(&self, query: Q) -> Result<Q::Output, RunError> {
        let input = payload(Q::NAME, &query)?;
        let answer = self.backend.query(&self.id, self.run_id, Q::NAME, &input).await?;
        read(&answer, "answer")
    }

    fn message<M: Message>(&self, message: &M) -> Result<SignalMessage, RunError> {
        Ok(SignalMessage {
            kind: Ignored,
            v: None,
            id: self.id.clone(),
            run_id: self.run_id,
            namespace: None,
            request_id: None,
            name: M::NAME.into(),
            input: payload(M::NAME, message)?,
        })
    }

    /// Asks the run to stop. It decides itself when and how.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        self.backend.send(InboxMessage::Cancel(self.stop(reason.into()))).await
    }

    /// Ends the run by force; its code is not asked.
    pub async fn terminate(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        self.backend.send(InboxMessage::Terminate(self.stop(reason.into()))).await
    }

    /// Tries a blocked run again now.
    pub async fn resume(&self) -> Result<Sent, RunError> {
        let message = ResumeMessage {
            kind: Ignored,
            v: None,
            id: self.id.clone(),
            run_id: self.run_id,
            namespace: None,
            request_id: None,
        };
        self.backend.send(InboxMessage::Resume(message)).await
    }

    fn stop(&self, reason: String) -> StopMessage {
        StopMessage {
            kind: Ignored,
            v: None,
            id: self.id.clone(),
            run_id: self.run_id,
            namespace: None,
            request_id: None,
            reason,
        }
    }

    /// The state that the workflow publishes; `None` if it publishes none.
    pub async fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, RunError> {
        let Some(state) = self.describe().await?.state else { return Ok(None) };
        let bad =
            |error| RunError::BadOutput(format!("the state of `{}` has another shape: {error}", self.id));
        state.read().map(Some).map_err(bad)
    }

    /// Where the workflow stands: its last run, if it continued as new.
    pub async fn describe(&self) -> Result<Description, RunError> {
        let Some(bound) = self.run_id else { return self.backend.describe(&self.id, None).await };
        let current = self.backend.describe(&self.id, None).await?;
        if current.run_id == bound || current.first_run_id == Some(bound) {
            return Ok(current);
        }
        let mut run = self.backend.describe(&self.id, Some(bound)).await?;
        while let (Status::ContinuedAsNew, Some(next)) = (run.status, run.continued_as) {
            run = match self.backend.describe(&self.id, Some(next)).await {
                // It is about to begin.
                Err(RunError::NotFound(_)) => break,
                next => next?,
            };
        }
        Ok(run)
    }

    /// All events of the run; of the last one, if the workflow continued as new.
    pub async fn history(&self) -> Result<Vec<Event>, RunError> {
        let run = self.describe().await?.run_id;
        self.backend.history(&self.id, Some(run)).await
    }
}

impl<W> Clone for Handle<W> {
    fn clone(&self) -> Self {
        let (backend, id) = (self.backend.clone(), self.id.clone());
        Self { backend, id, run_id: self.run_id, workflow: PhantomData }
    }
}

impl<W> std::fmt::Debug for Handle<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).field("run_id", &self.run_id).finish()
    }
}

pub(super) fn read<T: DeserializeOwned>(value: &Payload, what: &str) -> Result<T, RunError> {
    value.read().map_err(|error| {
        RunError::BadOutput(format!("the {what} is not a `{}`: {error}", std::any::type_name::<T>()))
    })
}

fn result<T: DeserializeOwned>(outcome: Outcome) -> Result<T, RunError> {
    match outcome {
        Outcome::Completed(result) => read(&result, "result"),
        Outcome::Failed(failure) => Err(RunError::Failed(failure)),
        Outcome::Blocked(mark) => Err(RunError::Blocked(mark.reason)),
    }
}
