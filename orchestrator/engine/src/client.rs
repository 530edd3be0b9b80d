//! What a client does: sends requests to the inbox and reads histories. It needs no orchestrator in its process, only
//! the bucket and the inbox.

mod answers;
mod dead_letters;
mod list;
mod results;

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use millrace_core::{Blocked, Event, RequestId, Run, RunId, Status, WorkflowId};
use millrace_format::message::{self, InboxMessage};
use millrace_format::{Head, Keys};

pub(crate) use dead_letters::with_request_id;
pub use dead_letters::{DeadLetter, Letters, RefusedLetter, Treated, Treatment, origin};
pub use list::{ListFilter, Listed};
pub use results::{Outcome, follower_of};

use crate::dispatch::send_one;
use crate::load::{LoadError, Reader};
use crate::ports::{OutMessage, Ports, QueueError, QueueName, StoreError};
use crate::{DispatchError, Notices};

/// How often a client elsewhere looks at the bucket while it waits.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often a client in the engine's process looks although it has not been told of anything.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(5);

/// A request that did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no such workflow, or no such run of it.
    #[error("there is no workflow `{0}`")]
    NotFound(String),
    /// The engine refused the request.
    #[error("{0}")]
    Rejected(String),
    /// The inbox did not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The history could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The bucket did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run's code cannot go on, so it cannot answer.
    #[error("the run is blocked: {0}")]
    Blocked(Blocked),
}

impl From<DispatchError> for ClientError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::Store(error) => Self::Store(error),
            DispatchError::Queue(error) => Self::Queue(error),
        }
    }
}

/// Sends requests and reads runs.
#[derive(Clone)]
pub struct Client {
    ports: Ports,
    reader: Reader,
    notices: Option<Arc<Notices>>,
}

impl Client {
    /// A client of one namespace. With the notices of an orchestrator in the same process it need not poll.
    pub fn new(ports: Ports, keys: Keys, notices: Option<Arc<Notices>>) -> Self {
        Self { reader: Reader::new(ports.store.clone(), keys), ports, notices }
    }

    /// A request id that nobody else has.
    pub fn new_request_id(&self) -> RequestId {
        // A UUID is always a valid request id.
        let uuid = RunId::from_random(self.ports.entropy.bits()).to_string();
        RequestId::new(&uuid).unwrap_or_else(|_| unreachable!("a UUID is a valid request id"))
    }

    /// Sends a request to the inbox. Once this returns, the request is not lost any more.
    pub async fn send(&self, message: &InboxMessage) -> Result<(), ClientError> {
        self.send_raw(message::write(message)).await
    }

    /// Sends any text to the inbox, as a service without our client would.
    pub async fn send_raw(&self, body: String) -> Result<(), ClientError> {
        send_one(&self.ports, &QueueName::inbox(), OutMessage::now(body)).await?;
        Ok(self.ports.queues.settle().await?)
    }

    /// Waits until the engine has dealt with a request that was sent, and says which run absorbed it; or fails with the
    /// reason why it was rejected. A request that changes nothing leaves no trace in the log: then the run's head tells.
    /// Of a start that is rejected a client in another process hears nothing; let it wait no longer than it wants to.
    pub async fn absorbed(&self, request: &InboxMessage) -> Result<RunId, ClientError> {
        let (id, run_id) = (request.workflow_id(), request.run_id().filter(|_| !request.begins_run()));
        let request_id =
            request.request_id().ok_or_else(|| ClientError::Rejected("request_id: is missing".into()))?;
        self.absorbed_or(id, request_id, |run| without_trace(request, run_id, run)).await
    }

    /// The same of a request of which only the id is known. For one that leaves no trace in the log it waits in vain.
    pub async fn absorbed_by(&self, id: &WorkflowId, request: &RequestId) -> Result<RunId, ClientError> {
        self.absorbed_or(id, request, |_| None).await
    }

    async fn absorbed_or(
        &self,
        id: &WorkflowId,
        request_id: &RequestId,
        without_trace: impl Fn(&Run) -> Option<Result<RunId, String>>,
    ) -> Result<RunId, ClientError> {
        let mut seen = None;
        loop {
            let changed = self.changed(id);
            if let Some(reason) = self.rejection(request_id) {
                return Err(ClientError::Rejected(reason));
            }
            if let Some(run_id) = self.notices.as_ref().and_then(|notices| notices.absorbed(request_id)) {
                self.ports.queues.settle().await?;
                return Ok(run_id);
            }
            let is_settled = self.notices.as_ref().is_none_or(|notices| notices.is_settled(request_id));
            if let Some((run, version)) = self.reader.outline_unless(id, seen.as_ref()).await? {
                // What notices tell changes what a log means that has not changed.
                seen = Some(version).filter(|_| self.notices.is_none());
                if let Some(reason) = run.rejection(request_id) {
                    return Err(ClientError::Rejected(reason.to_owned()));
                }
                if let Some(run_id) = run.absorbed_request(request_id) {
                    self.ports.queues.settle().await?;
                    return Ok(run_id);
                }
                if is_settled && let Some(end) = without_trace(&run) {
                    return end.map_err(ClientError::Rejected);
                }
            }
            changed.await;
        }
    }

    /// Why the request was rejected, if an orchestrator in this process did.
    pub fn rejection(&self, request_id: &RequestId) -> Option<String> {
        self.notices.as_ref().and_then(|notices| notices.rejection(request_id))
    }

    /// Resolves when the workflow may have changed: at its next commit in this process, or after a moment.
    pub fn changed(&self, id: &WorkflowId) -> impl Future<Output = ()> + Send + use<> {
        self.noticed(self.notices.as_ref().map(|notices| notices.changed(id)))
    }

    /// Resolves when the workflow's run may have ended or be blocked.
    pub fn at_rest(&self, id: &WorkflowId) -> impl Future<Output = ()> + Send + use<> {
        self.noticed(self.notices.as_ref().map(|notices| notices.at_rest(id)))
    }

    fn noticed(&self, notice: Option<oneshot::Receiver<()>>) -> impl Future<Output = ()> + Send + use<> {
        let pause = if notice.is_some() { LOOK_ALL_THE_SAME } else { LOOK_AGAIN };
        let later = self.ports.clock.sleep_until(self.ports.clock.now().plus(pause));
        async move {
            match notice {
                Some(notice) => {
                    futures::future::select(notice, later).await;
                }
                None => later.await,
            }
        }
    }

    /// The run's head: the current one, or the run named.
    pub async fn head(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Head, ClientError> {
        let head = match run {
            None => self.reader.head(id).await?,
            Some(run) => self.reader.head_of(id, run).await?,
        };
        self.ports.queues.settle().await?;
        head.ok_or_else(|| {
            ClientError::NotFound(
                run.map_or_else(|| id.to_string(), |run| format!("{id}` with a run `{run}")),
            )
        })
    }

    /// All events of a run, whole.
    pub async fn history(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
    ) -> Result<(Head, Vec<Event>), ClientError> {
        let head = self.head(id, run).await?;
        match self.reader.events(&head).await {
            // A part may be missing because the run has been purged since its head was read: then there is none.
            Err(error @ LoadError::Corrupt(_)) => {
                self.head(id, Some(head.header.run_id)).await?;
                Err(error.into())
            }
            events => Ok((head, events?)),
        }
    }
}

/// What becomes of a request that this run has not absorbed, if that can be said: a closed run takes nothing but a
/// start, and one that is not blocked goes on without being resumed.
fn without_trace(request: &InboxMessage, wanted: Option<RunId>, run: &Run) -> Option<Result<RunId, String>> {
    // A run that continues as new is closed, but what its id is told is for the run that is about to follow.
    if request.begins_run() || (run.status == Status::ContinuedAsNew && is_meant(run, wanted)) {
        return None;
    }
    if !run.status.is_open() || !is_meant(run, wanted) {
        return Some(Err("the run is closed".into()));
    }
    let activity_id = match request {
        InboxMessage::Pause(m) => m.activity_id,
        InboxMessage::Unpause(m) => m.activity_id,
        InboxMessage::Retry(m) => Some(m.activity_id),
        _ => None,
    };
    let activity = activity_id.map(|id| run.activities.get(&id));
    if let (Some(id), Some(None)) = (activity_id, activity) {
        return Some(Err(format!("activity_id: the run has no open activity {id}")));
    }
    let is_paused = activity.flatten().map_or(run.paused.is_some(), |activity| activity.paused);
    match request {
        InboxMessage::Resume(_) if run.blocked.is_none() => Some(Ok(run.info.run_id)),
        InboxMessage::Pause(_) if is_paused => Some(Err("it is paused already".into())),
        InboxMessage::Unpause(_) if !is_paused => Some(Err("it is not paused".into())),
        _ => None,
    }
}

/// Whether a request that names `wanted` is for this run: the first of the runs that continue one another means the last.
pub fn is_meant(run: &Run, wanted: Option<RunId>) -> bool {
    let first = run.started.as_ref().and_then(|started| started.first_run_id);
    wanted.is_none_or(|wanted| wanted == run.info.run_id || Some(wanted) == first)
}

#[cfg(test)]
mod tests {
    use millrace_core::{EventKind, Payload, RunContinuedAsNew, RunInfo, Timestamp, Unread};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_first_run_of_a_chain_is_told_waits_for_the_one_that_is_about_to_begin() {
        let (first, next) = (RunId::from_random(1), RunId::from_random(2));
        let began = Timestamp::from_millis(0);
        let mut run = Run::new(RunInfo::new("a".parse().unwrap(), first, "w".parse().unwrap(), began));
        let continued = RunContinuedAsNew {
            new_run_id: next,
            workflow: "w".parse().unwrap(),
            input: Payload::null(),
            unread: Unread::default(),
        };
        run.apply(&Event { n: 1, t: began, kind: EventKind::RunContinuedAsNew(continued) });
        let signal = json!({"id": "a", "name": "note", "request_id": "r"});
        let signal = InboxMessage::Signal(serde_json::from_value(signal).unwrap());
        assert_eq!(without_trace(&signal, Some(first), &run), None);
        assert_eq!(without_trace(&signal, None, &run), None);
        let elsewhere = without_trace(&signal, Some(RunId::from_random(3)), &run);
        assert_eq!(elsewhere, Some(Err("the run is closed".into())));
    }
}
