//! What every client needs of whatever holds the runs.

use std::time::Duration;

use async_trait::async_trait;
use millrace_core::{
    BlockedMark, Event, PausedMark, Payload, RequestId, RunId, Status, Timestamp, WorkflowId, WorkflowType,
};
use millrace_engine::{DeadLetter, Letters, ListFilter, Listed, Outcome, Treated, Treatment, follower_of};
use millrace_format::message::InboxMessage;
use millrace_format::{AttributeCondition, Head, PendingActivity, PendingChild};
use serde::{Deserialize, Serialize};

use super::RunError;

/// Where a client's requests go and its answers come from: the engine in this process, one behind HTTP, or a folder.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What this is, for messages to people.
    fn name(&self) -> String;

    /// Whether an engine works on what is sent; otherwise it waits until one does.
    fn is_live(&self) -> bool;

    /// Makes a request durable. If an engine is at work, waits until the log has absorbed it, or it was rejected, for
    /// some seconds: a signal may be ahead of its workflow's start.
    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError>;

    /// Makes a request durable and does not wait for the log.
    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError>;

    /// The run whose log has absorbed a request that was sent; waits for it up to `wait`, then answers `None`. The workflow may
    /// not exist yet. A start that was refused is [`RunError::Rejected`], where that can be known: a client of a deployment
    /// waits for it in vain.
    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError>;

    /// Where a run stands; the current one if none is named.
    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError>;

    /// All events of a run.
    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError>;

    /// How a workflow ended, or that it is blocked; waits for that up to `wait`, then answers `None`. A run that continues
    /// as new is followed, here and below.
    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError>;

    /// The answer to an update that was sent, by its request; waits for it up to `wait`, then answers `None`. One that was
    /// refused is [`RunError::Rejected`].
    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError>;

    /// Asks a run's code something that changes nothing. Whoever has the code answers, from the history.
    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError>;

    /// The runs that pass the filter, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError>;

    /// Up to `limit` dead letters of a queue; not every backend has queues.
    async fn dead_letters(&self, _queue: &str, _limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        Err(RunError::Unavailable(format!("{} has no dead letters to show", self.name())))
    }

    /// Sends dead letters again, or throws them away.
    async fn treat_dead_letters(
        &self,
        _queue: &str,
        _treatment: Treatment,
        _letters: &Letters,
    ) -> Result<Treated, RunError> {
        Err(RunError::Unavailable(format!("{} has no dead letters", self.name())))
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The request's id: sent again under it, the request still counts once.
    pub request_id: RequestId,
    /// The run whose log has absorbed it; absent while it waits in the inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The user's id.
    pub workflow_id: WorkflowId,
    /// Which run.
    pub run_id: RunId,
    /// The first of the runs that continue one another, if this is a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_run_id: Option<RunId>,
    /// The run that continues this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued_as: Option<RunId>,
    /// The workflow's type.
    pub workflow: WorkflowType,
    /// Where the run stands.
    pub status: Status,
    /// When it began.
    pub started_at: Timestamp,
    /// When it closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// How many events its history has.
    pub events: u64,
    /// The build that made its last turn.
    pub build: String,
    /// What its code publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Payload>,
    /// Its activities without an end.
    #[serde(default)]
    pub activities: Vec<PendingActivity>,
    /// Its child workflows without an end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<PendingChild>,
    /// Set while its code cannot go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<BlockedMark>,
    /// Set while somebody holds back its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedMark>,
}

impl From<Head> for Description {
    fn from(head: Head) -> Self {
        let continued_as = follower_of(&head);
        let header = head.header;
        let closed = head.last.filter(|_| !header.status.is_open());
        Self {
            closed_at: closed.map(|line| line.outline().t),
            workflow_id: header.workflow_id,
            run_id: header.run_id,
            first_run_id: header.first_run_id,
            continued_as,
            workflow: header.workflow,
            status: header.status,
            started_at: header.started_at,
            events: header.last,
            build: header.build,
            state: header.published,
            activities: header.activities,
            children: header.children,
            blocked: header.blocked,
            paused: header.paused,
        }
    }
}

/// Which runs to list. The same names serve as the query of `GET /v1/workflows`.
///
/// ```
/// # use millrace::client::{Filter, Status};
/// # fn example() -> Result<Filter, String> {
/// let urgent = Filter {
///     status: Some(Status::Running),
///     attributes: vec!["customer=ann".parse()?, "priority>=3".parse()?],
///     ..Filter::default()
/// };
/// # Ok(urgent) }
/// # assert!(example().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only runs that stand there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only runs whose code cannot go on.
    pub blocked: bool,
    /// Only runs whose code somebody holds back.
    pub paused: bool,
    /// Only runs of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowType>,
    /// Only runs whose workflow id begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<String>,
    /// Only runs that began then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only runs that began earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only runs whose attributes are all so: `customer=ann`, `priority>=3`. In a query `attribute`, once for each.
    #[serde(rename = "attribute")]
    pub attributes: Vec<AttributeCondition>,
    /// At most this many.
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        let (status, workflow, id_prefix, since, until) = Default::default();
        let attributes = Vec::new();
        Self {
            status,
            blocked: false,
            paused: false,
            workflow,
            id_prefix,
            since,
            until,
            attributes,
            limit: 100,
        }
    }
}

impl From<Filter> for ListFilter {
    fn from(filter: Filter) -> Self {
        let Filter { status, blocked, paused, workflow, id_prefix, since, until, attributes, limit } = filter;
        Self { status, blocked, paused, workflow, id_prefix, since, until, attributes, limit }
    }
}
