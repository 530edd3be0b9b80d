//! What a client does with every request and answer, whatever is behind it: encodes what goes out, decodes what comes in,
//! and asks the interceptors about starts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::{
    ApplicationFailure, Event, Payload, RequestId, RunId, WithStart, WorkflowFailure, WorkflowId,
};
use millrace_engine::{DeadLetter, Letters, Listed, Outcome, Treated, Treatment};
use millrace_format::message::{InboxMessage, STANDALONE_ACTIVITY, StartMessage};

use super::backend::{Backend, Description, Filter, Sent};
use super::error::RunError;
use crate::Workflow as _;
use crate::codec::CodecError;
use crate::hooks::Hooks;
use crate::schedule::ScheduleWorkflow;
use crate::standalone::encoded_request;

/// What a request says that cannot be encoded.
pub(crate) fn unencoded(field: &str, error: &CodecError) -> RunError {
    RunError::Rejected(format!("{field}: cannot be encoded: {error}"))
}

/// A backend that speaks plain values.
pub(crate) struct Coded {
    raw: Arc<dyn Backend>,
    hooks: Hooks,
}

impl Coded {
    pub(crate) fn new(raw: Arc<dyn Backend>, hooks: Hooks) -> Self {
        Self { raw, hooks }
    }

    fn encode(&self, field: &str, payload: &mut Payload) -> Result<(), RunError> {
        let encoded = self.hooks.codecs.encode(std::mem::take(payload));
        *payload = encoded.map_err(|error| unencoded(field, &error))?;
        Ok(())
    }

    fn decode(&self, what: &str, payload: &Payload) -> Result<Payload, RunError> {
        let failed =
            |error: CodecError| RunError::BadOutput(format!("the {what} cannot be decoded: {error}"));
        self.hooks.codecs.decode(payload).map_err(failed)
    }

    fn outgoing(&self, mut message: InboxMessage) -> Result<InboxMessage, RunError> {
        match &mut message {
            InboxMessage::Start(start) => self.start(start)?,
            InboxMessage::Signal(message) | InboxMessage::Update(message) => {
                self.encode("input", &mut message.input)?;
            }
            InboxMessage::Complete(complete) => self.encode("result", &mut complete.result)?,
            InboxMessage::Fail(fail) => self.fail(&mut fail.failure)?,
            InboxMessage::Cancel(_)
            | InboxMessage::Terminate(_)
            | InboxMessage::Resume(_)
            | InboxMessage::Pause(_)
            | InboxMessage::Unpause(_)
            | InboxMessage::Retry(_)
            | InboxMessage::Reset(_)
            | InboxMessage::Fork(_) => {}
        }
        Ok(message)
    }

    fn start(&self, start: &mut StartMessage) -> Result<(), RunError> {
        self.hooks.interceptors.start(start.workflow.as_str(), start.id.as_str(), &mut start.headers);
        match start.workflow.as_str() {
            // In what a schedule is given, the input of the workflow that it starts is encoded already.
            ScheduleWorkflow::NAME => {}
            STANDALONE_ACTIVITY => {
                start.input = encoded_request(std::mem::take(&mut start.input), &self.hooks.codecs)?;
            }
            _ => self.encode("input", &mut start.input)?,
        }
        if let Some(memo) = &mut start.memo {
            self.encode("memo", memo)?;
        }
        for WithStart { name, input } in [&mut start.signal, &mut start.update].into_iter().flatten() {
            self.encode(name, input)?;
        }
        Ok(())
    }

    fn fail(&self, failure: &mut ApplicationFailure) -> Result<(), RunError> {
        match &mut failure.details {
            Some(details) => self.encode("failure.details", details),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for Coded {
    fn name(&self) -> String {
        self.raw.name()
    }

    fn is_live(&self) -> bool {
        self.raw.is_live()
    }

    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.raw.send(self.outgoing(message)?).await
    }

    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.raw.enqueue(self.outgoing(message)?).await
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        self.raw.absorbed_by(id, request, wait).await
    }

    /// What cannot be decoded is shown as it is: the rest is worth knowing all the same.
    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        Ok(self.hooks.codecs.show(self.raw.describe(id, run).await?))
    }

    /// The log as it is: that is what can be replayed.
    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        self.raw.history(id, run).await
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        Ok(match self.raw.outcome(id, run, wait).await? {
            Some(Outcome::Completed(result)) => Some(Outcome::Completed(self.decode("result", &result)?)),
            Some(Outcome::Failed(WorkflowFailure { workflow, fault })) => {
                // Why it failed matters more than details that cannot be decoded.
                let fault = self.hooks.codecs.open(fault.clone()).unwrap_or(fault);
                Some(Outcome::Failed(WorkflowFailure { workflow, fault }))
            }
            other => other,
        })
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        let answer = self.raw.answer(id, run, update, wait).await?;
        answer.map(|answer| self.decode("answer", &answer)).transpose()
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        let mut input = input.clone();
        self.encode("input", &mut input)?;
        self.decode("answer", &self.raw.query(id, run, name, &input).await?)
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        self.raw.list(filter).await
    }

    async fn dead_letters(&self, queue: &str, limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        self.raw.dead_letters(queue, limit).await
    }

    async fn treat_dead_letters(
        &self,
        queue: &str,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, RunError> {
        self.raw.treat_dead_letters(queue, treatment, letters).await
    }
}
