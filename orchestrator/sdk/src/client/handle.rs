//! A handle on one workflow.

use std::marker::PhantomData;
use std::sync::Arc;

use millrace_core::{ActivityId, Event, Payload, RequestId, RunId, Status, WorkflowId};
use millrace_engine::Outcome;
use millrace_format::message::{
    ForkMessage, InboxMessage, PauseMessage, ResetMessage, ResumeMessage, RetryMessage, SignalMessage,
    StopMessage, UnpauseMessage,
};
use serde::de::DeserializeOwned;

use super::bound::{Bound, PATIENCE};
use super::start::payload;
use super::update::UpdateCall;
use super::{Backend, Description, RunError, Sent};
use crate::codec::Codecs;
use crate::workflow::{AcceptedBy, Message};
use crate::{Query, Signal, Update, Workflow};

/// A workflow, by its id. From a start it is bound to the run that was started, and to those that it continues as; from
/// [`Client::handle`](super::Client::handle) it means the current run, whichever that is at the time, and if there is none, that
/// is [`RunError::NotFound`].
///
/// A start that was accepted may have to wait for its engine. Whatever is asked of its handle then waits for the run to begin,
/// a signal or cancel before it is sent, too; after a quarter of an hour that is [`RunError::Unavailable`], and may be asked again.
/// On a deployment, where nobody tells who refused the start, this is also how a refused one looks. In a folder on which no
/// engine is at work nothing waits: the run is not found.
pub struct Handle<W> {
    backend: Arc<dyn Backend>,
    id: WorkflowId,
    bound: Bound,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Handle<W> {
    pub(super) fn new(backend: Arc<dyn Backend>, id: WorkflowId, bound: Bound) -> Self {
        Self { backend, id, bound, workflow: PhantomData }
    }

    /// The workflow's id.
    pub fn id(&self) -> &WorkflowId {
        &self.id
    }

    /// The run this handle is bound to, if it is bound to one and knows it by now.
    pub fn run_id(&self) -> Option<RunId> {
        self.bound.known()
    }

    /// The same, once the run has begun.
    pub(crate) async fn bound(&self) -> Result<Option<RunId>, RunError> {
        self.bound.run(self.backend.as_ref(), &self.id).await
    }

    /// What is behind this handle.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// Waits for the result. A run that ended without one is an error, and so is one that is blocked.
    pub async fn result(&self) -> Result<W::Output, RunError> {
        let run_id = self.bound().await?;
        loop {
            match self.backend.outcome(&self.id, run_id, PATIENCE).await {
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
    /// workflow may not exist yet, and the signal waits for it for a minute and ten receives; or no engine is at work.
    pub async fn signal<S: Signal + AcceptedBy<W>>(&self, signal: S) -> Result<Sent, RunError> {
        let message = self.message(&signal)?.of_run(self.bound().await?);
        self.backend.send(InboxMessage::Signal(message)).await
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
        UpdateCall::new(self.backend.clone(), self.bound.clone(), self.message(&update))
    }

    /// Asks the workflow something that changes nothing. Answered from the history by whoever has the code: the engine,
    /// or this program itself, so no engine need be at work. A workflow that has ended answers as it was at its end.
    pub async fn query<Q: Query + AcceptedBy<W>>(&self, query: Q) -> Result<Q::Output, RunError> {
        let input = payload(Q::NAME, &query)?;
        let answer = self.backend.query(&self.id, self.bound().await?, Q::NAME, &input).await?;
        read(&answer, "answer")
    }

    fn message<M: Message>(&self, message: &M) -> Result<SignalMessage, RunError> {
        let input = payload(M::NAME, message)?;
        Ok(SignalMessage::new(self.id.clone(), M::NAME.into(), input, None))
    }

    /// Asks the run to stop. It decides itself when and how.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        self.backend.send(InboxMessage::Cancel(self.stop(reason.into()).await?)).await
    }

    /// Ends the run by force; its code is not asked.
    pub async fn terminate(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        self.backend.send(InboxMessage::Terminate(self.stop(reason.into()).await?)).await
    }

    /// Tries a blocked run again now.
    pub async fn resume(&self) -> Result<Sent, RunError> {
        let message = ResumeMessage::new(self.id.clone()).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Resume(message)).await
    }

    /// Holds back the run's code until [`unpause`](Self::unpause): what the workflow is told meanwhile is recorded and waits,
    /// activities that it has called go on.
    pub async fn pause(&self, reason: impl Into<String>) -> Result<Sent, RunError> {
        let message = PauseMessage::new(self.id.clone(), None, reason.into()).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Pause(message)).await
    }

    /// Lets the code go on.
    pub async fn unpause(&self) -> Result<Sent, RunError> {
        let message = UnpauseMessage::new(self.id.clone(), None).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Unpause(message)).await
    }

    /// Holds back one activity: the attempt that is under way goes on, but no other follows it until
    /// [`unpause_activity`](Self::unpause_activity). The number is that of the call; `show` prints it, and
    /// [`describe`](Self::describe) lists the open ones.
    pub async fn pause_activity(
        &self,
        activity: ActivityId,
        reason: impl Into<String>,
    ) -> Result<Sent, RunError> {
        let message =
            PauseMessage::new(self.id.clone(), Some(activity), reason.into()).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Pause(message)).await
    }

    /// Lets the activity's attempts go on: one that came due meanwhile is made at once.
    pub async fn unpause_activity(&self, activity: ActivityId) -> Result<Sent, RunError> {
        let message = UnpauseMessage::new(self.id.clone(), Some(activity)).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Unpause(message)).await
    }

    /// Makes the attempt that an activity waits for now. Its retry policy counts on from there.
    pub async fn retry_activity(&self, activity: ActivityId) -> Result<Sent, RunError> {
        let message = RetryMessage::new(self.id.clone(), activity).of_run(self.bound().await?);
        self.backend.send(InboxMessage::Retry(message)).await
    }

    /// Replaces the run by a new one that begins with its events up to and including `event`, and is told the signals that
    /// came after. What was asked for until there and had no end is done again. An open run is terminated. The events are
    /// those that [`history`](Self::history) shows. This handle means the run that it meant before.
    pub async fn reset(&self, event: u64, reason: impl Into<String>) -> Result<Self, RunError> {
        let run = self.describe().await?.run_id;
        let message = ResetMessage::new(self.id.clone(), event, reason.into(), true).of_run(Some(run));
        self.begun(self.id.clone(), InboxMessage::Reset(message)).await
    }

    /// Begins a run of its own id with the events of this one, up to and including `event`; this one is left alone.
    pub async fn fork(
        &self,
        id: impl Into<String>,
        event: u64,
        reason: impl Into<String>,
    ) -> Result<Self, RunError> {
        let id = WorkflowId::new(id.into()).map_err(|error| RunError::Rejected(format!("id: {error}")))?;
        let (from, run) = (self.id.clone(), self.describe().await?.run_id);
        let message = ForkMessage::new(id.clone(), from, Some(run), event, reason.into(), true);
        self.begun(id, InboxMessage::Fork(message)).await
    }

    async fn begun(&self, id: WorkflowId, message: InboxMessage) -> Result<Self, RunError> {
        let sent = self.backend.send(message).await?;
        Ok(Self::new(self.backend.clone(), id, Bound::by(&sent, false)))
    }

    /// A sender of signals that are absorbed in the order in which it sends them.
    pub fn in_order(&self) -> InOrder<W> {
        InOrder { handle: self.clone(), last: None }
    }

    async fn stop(&self, reason: String) -> Result<StopMessage, RunError> {
        Ok(StopMessage::new(self.id.clone(), reason).of_run(self.bound().await?))
    }

    /// The state that the workflow publishes; `None` if it publishes none.
    pub async fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, RunError> {
        let Some(state) = self.describe().await?.state else { return Ok(None) };
        // Whoever has the key has decoded it by now.
        let read = Codecs::default().read(&state, || format!("the state of `{}`", self.id));
        read.map(Some).map_err(|unread| RunError::BadOutput(unread.into_message()))
    }

    /// Where the workflow stands: its last run, if it continued as new.
    pub async fn describe(&self) -> Result<Description, RunError> {
        let Some(bound) = self.bound().await? else { return self.backend.describe(&self.id, None).await };
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

    /// All events of the run, as they are stored; of the last one, if the workflow continued as new.
    pub async fn history(&self) -> Result<Vec<Event>, RunError> {
        let run = self.describe().await?.run_id;
        self.backend.history(&self.id, Some(run)).await
    }
}

/// Sends signals to one workflow, each of which names the one before it: queues do not keep the order, so a signal that comes
/// early waits in its queue for the other. From [`Handle::in_order`].
///
/// ```no_run
/// # use millrace::prelude::*;
/// # #[derive(Signal, serde::Serialize, serde::Deserialize)] struct Chunk { text: String }
/// # #[workflow(accepts(Chunk))] async fn transcript(ctx: WorkflowContext) -> Result<(), WorkflowError> { Ok(()) }
/// # async fn example(client: millrace::Client, parts: Vec<String>) -> Result<(), millrace::RunError> {
/// let mut chunks = client.handle(transcript, "call-7")?.in_order();
/// for text in parts {
///     chunks.signal(Chunk { text }).await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct InOrder<W> {
    handle: Handle<W>,
    last: Option<RequestId>,
}

impl<W: Workflow> InOrder<W> {
    /// Goes on after a signal that was sent earlier, perhaps by another process.
    #[must_use]
    pub fn after(self, last: RequestId) -> Self {
        Self { last: Some(last), ..self }
    }

    /// Tells the workflow something, after all that this sender has told it.
    pub async fn signal<S: Signal + AcceptedBy<W>>(&mut self, signal: S) -> Result<Sent, RunError> {
        let message = SignalMessage { after: self.last.clone(), ..self.handle.message(&signal)? };
        let message = message.of_run(self.handle.bound().await?);
        let sent = self.handle.backend.send(InboxMessage::Signal(message)).await?;
        self.last = Some(sent.request_id.clone());
        Ok(sent)
    }
}

impl<W> Clone for Handle<W> {
    fn clone(&self) -> Self {
        let (backend, id) = (self.backend.clone(), self.id.clone());
        Self { backend, id, bound: self.bound.clone(), workflow: PhantomData }
    }
}

impl<W> std::fmt::Debug for Handle<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).field("run_id", &self.bound.known()).finish()
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
