//! The orchestrator: messages in, turns, acknowledgements out. Stateless but for its cache.

mod commit;
mod locals;
mod settle;
mod stats;
mod turn;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use millrace_core::{Incoming, Namespace, Runaway, WorkflowCode, WorkflowId};
use millrace_format::Keys;
use millrace_format::history::SEAL_AT;
use millrace_format::message::{self, Addressed};

use crate::Notices;
use crate::activity_code::ActivityCode;
use crate::cache::RunCache;
use crate::dispatch::{Dispatcher, dead_letter};
use crate::load::Reader;
use crate::ports::{Delivery, Ports, QueueError, QueueName};

pub use stats::Stats;

/// How long an internal message of another namespace is left to its own orchestrator.
const NOT_OURS: Duration = Duration::from_secs(30);

/// How an orchestrator is set up.
#[derive(Clone, Debug)]
pub struct OrchestratorConfig {
    /// Which workflows it serves.
    pub namespace: Namespace,
    /// Names the code it runs, in histories and block marks.
    pub build: String,
    /// How long a received message is hidden: longer than any turn takes, short enough for a quick repair.
    pub visibility: Duration,
    /// How long the local activities of one turn may take together: the commit needs its share of the visibility, and of
    /// the time that a function has.
    pub locals_within: Duration,
    /// How long one receive waits for a first message.
    pub poll: Duration,
    /// How many live runs are kept between turns.
    pub cached_runs: NonZeroUsize,
    /// Payloads larger than this are objects of their own; the history's text refers to them.
    ///
    /// The default is the length at which a tail is sealed: there it costs nothing. Inline, such a payload has the tail sealed
    /// by the next turn, which is one PUT, and a cold turn reads the part, one GET; on its own it is one PUT and one GET as
    /// well, and whoever reads only the history does not read it. Smaller ones share a part, and would cost a PUT each.
    pub offload_above_bytes: usize,
    /// How many turns a run may make without input from outside before it is blocked (G9). `None`, the default, is no
    /// limit: right where turns are not billed.
    pub runaway: Option<Runaway>,
}

impl Default for OrchestratorConfig {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            build: "unknown".into(),
            visibility: Duration::from_secs(60),
            locals_within: Duration::from_secs(30),
            poll: Duration::from_secs(20),
            cached_runs: NonZeroUsize::MIN.saturating_add(511),
            offload_above_bytes: SEAL_AT,
            runaway: None,
        }
    }
}

/// Runs turns.
pub struct Orchestrator {
    pub(crate) ports: Ports,
    pub(crate) code: Arc<dyn WorkflowCode>,
    local_activities: Option<Arc<dyn ActivityCode>>,
    pub(crate) reader: Reader,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) notices: Arc<Notices>,
    cache: RunCache,
    counters: stats::Counters,
    config: OrchestratorConfig,
}

/// A message that was understood, with what acknowledges it.
#[derive(Clone, Debug)]
struct Received {
    incoming: Incoming,
    queue: QueueName,
    delivery: Delivery,
}

impl Orchestrator {
    /// An orchestrator over ports, for the workflows that `code` knows.
    pub fn new(ports: Ports, code: Arc<dyn WorkflowCode>, config: OrchestratorConfig) -> Self {
        let keys = Keys::new(config.namespace.clone());
        Self {
            reader: Reader::new(ports.store.clone(), keys.clone()),
            dispatcher: Dispatcher { ports: ports.clone(), keys },
            notices: Arc::new(Notices::default()),
            cache: RunCache::new(config.cached_runs),
            counters: stats::Counters::default(),
            ports,
            code,
            local_activities: None,
            config,
        }
    }

    /// The code of local activities, which run within turns.
    #[must_use]
    pub fn with_local_activities(self, code: Arc<dyn ActivityCode>) -> Self {
        Self { local_activities: Some(code), ..self }
    }

    /// What it tells clients in its own process.
    pub fn notices(&self) -> Arc<Notices> {
        self.notices.clone()
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Receives one batch from `queue` and handles it. Returns how many messages there were.
    pub async fn poll(&self, queue: &QueueName) -> Result<usize, QueueError> {
        let max = self.ports.queues.batch_limit();
        let batch = self.ports.queues.receive(queue, max, self.config.poll, self.config.visibility).await?;
        let received = batch.len();
        self.handle(queue, batch).await;
        Ok(received)
    }

    /// Handles a batch: each message is acknowledged, given back or dead-lettered, each workflow in a turn of its own.
    /// Turns of different workflows run side by side, and one that fails does not touch the others.
    pub async fn handle(&self, queue: &QueueName, batch: Vec<Delivery>) {
        let mut by_workflow: BTreeMap<WorkflowId, Vec<Received>> = BTreeMap::new();
        for delivery in batch {
            match self.understand(queue, &delivery) {
                Ok(None) => self.not_ours(queue, &delivery).await,
                Ok(Some((id, incoming))) => {
                    by_workflow.entry(id).or_default().push(Received {
                        incoming,
                        queue: queue.clone(),
                        delivery,
                    });
                }
                Err(reason) => {
                    if let Err(error) = self.dead_letter(None, (queue, &delivery), &reason).await {
                        tracing::warn!(%queue, %error, "a bad message could not be dead-lettered yet");
                    }
                }
            }
        }
        // A turn's future is large, and a set moves what it is given several times over.
        let turns: FuturesUnordered<_> =
            by_workflow.into_iter().map(|(id, batch)| Box::pin(self.turns(id, batch))).collect();
        turns.collect::<()>().await;
    }

    async fn dead_letter(
        &self,
        id: Option<&WorkflowId>,
        (queue, delivery): (&QueueName, &Delivery),
        reason: &str,
    ) -> Result<(), QueueError> {
        let (workflow_id, message_id) = (id.map(tracing::field::display), &delivery.message_id);
        tracing::error!(workflow_id, %queue, message_id, reason, "message rejected");
        dead_letter(&self.ports, queue, delivery, reason).await?;
        self.counters.dead_lettered.add(1);
        self.counters.messages.add(1);
        Ok(())
    }

    /// A message of a namespace that shares the queues: whoever serves it will take it. Never to be decided on here, where
    /// its run cannot be seen.
    async fn not_ours(&self, queue: &QueueName, delivery: &Delivery) {
        tracing::warn!(%queue, message_id = delivery.message_id, "a message of another namespace is left to its own");
        self.counters.given_back.add(1);
        if let Err(error) = self.ports.queues.change_visibility(queue, &delivery.receipt, NOT_OURS).await {
            tracing::debug!(%error, "a message could not be given back");
        }
    }

    /// The workflow and the message; `None` if it is another namespace's.
    fn understand(
        &self,
        queue: &QueueName,
        delivery: &Delivery,
    ) -> Result<Option<(WorkflowId, Incoming)>, String> {
        let read = if *queue == QueueName::inbox() {
            message::read_inbox(&delivery.body, &delivery.message_id)
        } else {
            message::read_event(&delivery.body)
        };
        let Addressed { namespace, workflow_id, run_id, message } = read.map_err(|bad| bad.to_string())?;
        let own = &self.config.namespace;
        if namespace != *own {
            if *queue == QueueName::inbox() {
                return Err(format!("namespace: `{namespace}` is not served here; this is `{own}`"));
            }
            return Ok(None);
        }
        let (sent_at, receive_count) = (delivery.sent_at, delivery.receive_count);
        Ok(Some((workflow_id, Incoming { message, run_id, sent_at, receive_count })))
    }
}
