//! One request to each of many runs.

use std::collections::VecDeque;
use std::sync::Arc;

use millrace_core::{Payload, RequestId, RunId};
use millrace_engine::Listed;
use millrace_format::message::{
    InboxMessage, PauseMessage, ResumeMessage, SignalMessage, StopMessage, UnpauseMessage,
};

use super::{Backend, Client, Filter, RunError, Status};

/// What is asked of each run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Ask it to stop.
    Cancel {
        /// Who wants that, and why.
        reason: String,
    },
    /// End it by force.
    Terminate {
        /// Who wants that, and why.
        reason: String,
    },
    /// Tell it something.
    Signal {
        /// The signal's name.
        name: String,
        /// What it carries.
        input: Payload,
    },
    /// Try it again now, if it is blocked.
    Resume,
    /// Hold back its code.
    Pause {
        /// Who wants that, and why.
        reason: String,
    },
    /// Let its code go on.
    Unpause,
}

impl Operation {
    /// The request to one run: another operation is a line here.
    fn message(&self, run: &Listed, request_id: RequestId) -> InboxMessage {
        let (id, run_id, request_id) =
            (run.entry.workflow_id.clone(), Some(run.entry.run_id), Some(request_id));
        macro_rules! request {
            ($message:expr) => {{
                let mut message = $message.of_run(run_id);
                message.request_id = request_id;
                message
            }};
        }
        match self {
            Self::Cancel { reason } => InboxMessage::Cancel(request!(StopMessage::new(id, reason.clone()))),
            Self::Terminate { reason } => {
                InboxMessage::Terminate(request!(StopMessage::new(id, reason.clone())))
            }
            Self::Signal { name, input } => {
                InboxMessage::Signal(request!(SignalMessage::new(id, name.clone(), input.clone(), None)))
            }
            Self::Resume => InboxMessage::Resume(request!(ResumeMessage::new(id))),
            Self::Pause { reason } => {
                InboxMessage::Pause(request!(PauseMessage::new(id, None, reason.clone())))
            }
            Self::Unpause => InboxMessage::Unpause(request!(UnpauseMessage::new(id, None))),
        }
    }
}

/// Requests to the open runs that a filter found, each sent when it is asked for: the pace is the caller's. The request ids
/// are the batch's with each run's behind it, so a batch that was interrupted can be begun again under its id: what was
/// sent before counts once.
///
/// ```no_run
/// # use millrace::client::{Filter, Operation};
/// # async fn example(client: millrace::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let filter = Filter { attributes: vec!["customer=ann".parse()?], limit: usize::MAX, ..Filter::default() };
/// let cancel = Operation::Cancel { reason: "the contract has ended".into() };
/// let report = client.batch("ann-leaves", &filter, cancel).await?.send_all().await;
/// assert!(report.failed.is_empty(), "{report:?}");
/// # Ok(()) }
/// ```
pub struct Batch {
    backend: Arc<dyn Backend>,
    id: String,
    operation: Operation,
    left: VecDeque<Listed>,
}

/// What became of one request of a batch.
#[derive(Debug)]
pub struct BatchSent {
    /// The run.
    pub run: Listed,
    /// `Ok` once the request is durable.
    pub sent: Result<RequestId, RunError>,
}

/// What became of a whole batch.
#[derive(Debug, Default)]
pub struct BatchReport {
    /// How many requests are on their way.
    pub sent: usize,
    /// The runs whose request could not be sent, and why.
    pub failed: Vec<(Listed, RunError)>,
}

impl BatchReport {
    /// Counts one request.
    pub fn add(&mut self, BatchSent { run, sent }: BatchSent) {
        match sent {
            Ok(_) => self.sent += 1,
            Err(error) => self.failed.push((run, error)),
        }
    }
}

impl Batch {
    /// The runs that are yet to be told, newest first.
    pub fn runs(&self) -> impl Iterator<Item = &Listed> {
        self.left.iter()
    }

    /// Sends the next request. It is not waited for that the run has absorbed it.
    pub async fn send_next(&mut self) -> Option<BatchSent> {
        let run = self.left.pop_front()?;
        let sent = match request_id(&self.id, run.entry.run_id) {
            Ok(request_id) => {
                let message = self.operation.message(&run, request_id);
                self.backend.enqueue(message).await.map(|sent| sent.request_id)
            }
            Err(bad) => Err(bad),
        };
        Some(BatchSent { run, sent })
    }

    /// Sends all of them, one after the other.
    pub async fn send_all(mut self) -> BatchReport {
        let mut report = BatchReport::default();
        while let Some(sent) = self.send_next().await {
            report.add(sent);
        }
        report
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.left.len();
        f.debug_struct("Batch")
            .field("id", &self.id)
            .field("operation", &self.operation)
            .field("runs", &runs)
            .finish()
    }
}

fn request_id(batch: &str, run: RunId) -> Result<RequestId, RunError> {
    RequestId::new(format!("{batch}:{run}")).map_err(|bad| RunError::Rejected(format!("request_id: {bad}")))
}

impl Client {
    /// Finds the open runs that pass the filter, to ask the same of each. Nothing is sent yet. `id` names the batch: under
    /// the same one, each run is asked once, however often the batch is sent.
    pub async fn batch(
        &self,
        id: impl Into<String>,
        filter: &Filter,
        operation: Operation,
    ) -> Result<Batch, RunError> {
        let id = id.into();
        if id.starts_with('~') {
            return Err(RunError::Rejected("request_id: `~` begins the engine's own".into()));
        }
        request_id(&id, RunId::from_random(0))?;
        if filter.status.is_some_and(|status| !status.is_open()) {
            return Err(RunError::Rejected("status: closed runs take no requests; use running".into()));
        }
        let filter = Filter { status: Some(Status::Running), ..filter.clone() };
        let left = self.backend.list(&filter).await?.into();
        Ok(Batch { backend: self.backend.clone(), id, operation, left })
    }
}
