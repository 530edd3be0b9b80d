//! How workflows end. A run that continues as new has not ended its workflow: it is followed.

use millrace_core::{BlockedMark, Event, EventKind, Payload, RunId, Status, WorkflowFailure, WorkflowId};
use millrace_format::Head;

use super::{Client, ClientError};

/// How a workflow ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a result.
    Completed(Payload),
    /// Without.
    Failed(WorkflowFailure),
    /// It has not: its code cannot go on.
    Blocked(Box<BlockedMark>),
}

impl Client {
    /// How the workflow ended, if it has; or that it is blocked.
    pub async fn outcome(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Option<Outcome>, ClientError> {
        let Some(head) = self.last_head(id, run).await? else { return Ok(None) };
        let last = if head.header.status.is_open() { None } else { self.reader.last(&head).await? };
        Ok(stands(&head, last.as_ref()))
    }

    /// Waits until the workflow has ended or is blocked.
    pub async fn result(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Outcome, ClientError> {
        loop {
            let at_rest = self.at_rest(id);
            if let Some(outcome) = self.outcome(id, run).await? {
                return Ok(outcome);
            }
            at_rest.await;
        }
    }

    /// The head of the last of the runs that continue the one wanted; nothing while that one has yet to begin.
    pub(super) async fn last_head(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
    ) -> Result<Option<Head>, ClientError> {
        let mut head = match (self.head(id, None).await, run) {
            (Ok(head), Some(run))
                if ![Some(head.header.run_id), head.header.first_run_id].contains(&Some(run)) =>
            {
                self.head(id, Some(run)).await?
            }
            (Err(ClientError::NotFound(_)), Some(run)) => self.head(id, Some(run)).await?,
            (head, _) => head?,
        };
        while let Some(next) = follower_of(&head) {
            head = match self.head(id, Some(next)).await {
                Err(ClientError::NotFound(_)) => return Ok(None),
                head => head?,
            };
        }
        Ok(Some(head))
    }
}

/// Whether the run has ended or is blocked, by its last event.
pub(super) fn stands(head: &Head, last: Option<&Event>) -> Option<Outcome> {
    if let (Status::Running, Some(mark)) = (head.header.status, &head.header.blocked) {
        return Some(Outcome::Blocked(Box::new(mark.clone())));
    }
    let outcome = last?.kind.outcome()?;
    let workflow = head.header.workflow.to_string();
    Some(
        outcome.map_or_else(|fault| Outcome::Failed(WorkflowFailure { workflow, fault }), Outcome::Completed),
    )
}

/// The run that follows one which continues as new.
pub fn follower_of(head: &Head) -> Option<RunId> {
    match &head.last.as_ref()?.outline().kind {
        EventKind::RunContinuedAsNew(e) => Some(e.new_run_id),
        _ => None,
    }
}
