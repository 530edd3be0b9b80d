//! What the SDK's client needs, over simulated ports: it waits for no log, and asks it when it is asked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use millrace::client::{
    Backend, DeadLetter, Description, Event, Filter, Letters, Listed, Outcome, Payload, RunError, Sent,
    Treated, Treatment,
};
use millrace_core::{RequestId, RunId, WorkflowCode, WorkflowId};
use millrace_engine::ports::{Clock, QueueName};
use millrace_engine::{Client, origin};
use millrace_format::message::InboxMessage;

use crate::Outside;

/// A client of a simulated world's, as programs have it.
pub struct Simulated {
    client: Client,
    clock: Arc<dyn Clock>,
    code: Arc<dyn WorkflowCode>,
}

impl Simulated {
    /// What somebody outside can do; queries are answered by this code.
    pub fn client(outside: &Outside, code: Arc<dyn WorkflowCode>) -> millrace::Client {
        let (client, clock) = (outside.client.clone(), outside.clock.clone());
        millrace::Client::new(Arc::new(Self { client, clock, code }))
    }
}

fn queue(name: &str) -> Result<QueueName, RunError> {
    origin(name).map_err(RunError::Rejected)
}

#[async_trait]
impl Backend for Simulated {
    fn name(&self) -> String {
        "the simulated world".into()
    }

    fn is_live(&self) -> bool {
        true
    }

    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.enqueue(message).await
    }

    async fn enqueue(&self, mut message: InboxMessage) -> Result<Sent, RunError> {
        let (_, request_id) = message.to_complete();
        let request_id = request_id.get_or_insert_with(|| self.client.new_request_id()).clone();
        self.client.send(&message).await?;
        Ok(Sent { request_id, run_id: None })
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        let late = self.clock.sleep_until(self.clock.now().plus(wait));
        match select(Box::pin(self.client.absorbed_by(id, request)), late).await {
            Either::Left((run, _)) => Ok(Some(run?)),
            Either::Right(_) => Ok(None),
        }
    }

    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        Ok(self.client.head(id, run).await?.into())
    }

    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        Ok(self.client.history(id, run).await?.1)
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        if let Some(outcome) = self.client.outcome(id, run).await? {
            return Ok(Some(outcome));
        }
        self.clock.sleep_until(self.clock.now().plus(wait)).await;
        Ok(self.client.outcome(id, run).await?)
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        _wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        Ok(Some(self.client.answer(id, run, update).await?))
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        Ok(self.client.query(id, run, (name, input), &*self.code).await?)
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        Ok(self.client.list(&filter.clone().into()).await?)
    }

    async fn dead_letters(&self, name: &str, limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        Ok(self.client.dead_letters(&queue(name)?, limit).await?)
    }

    async fn treat_dead_letters(
        &self,
        name: &str,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, RunError> {
        Ok(self.client.treat_dead_letters(&queue(name)?, treatment, letters).await?)
    }
}
