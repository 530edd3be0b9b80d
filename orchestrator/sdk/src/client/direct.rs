//! The backend over ports in this process: the engine's own, a folder's without an engine, or a deployment's on AWS.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use millrace_core::{
    Blocked, Event, IdConflict, Payload, RequestId, Run, RunId, Status, WorkflowCode, WorkflowId,
};
use millrace_engine::ports::{Clock, Ports, QueueError, Queues};
use millrace_engine::{
    Client as Engine, ClientError, DeadLetter, Letters, ListFilter, Listed, Notices, Outcome, Treated,
    Treatment, is_meant, origin,
};
use millrace_format::Keys;
use millrace_format::message::{self, InboxMessage, PauseMessage, StartMessage, UnpauseMessage};
use tokio::runtime::Handle;

use super::backend::{Backend, Description, Filter, Sent};
use super::error::RunError;

/// How long a start, cancel, terminate or resume waits for the log.
const ABSORBED_WITHIN: Duration = Duration::from_secs(30);
/// How long a signal waits for a workflow that does not exist yet.
const SIGNAL_WITHIN: Duration = Duration::from_secs(5);
/// How often a request is looked for in the log although nothing was heard of it.
const LOOK_ALL_THE_SAME: Duration = Duration::from_secs(5);

/// A client of ports in this process. Its work runs on the runtime it is given, so it can be awaited from anywhere.
#[derive(Clone)]
pub(crate) struct Direct {
    engine: Engine,
    clock: Arc<dyn Clock>,
    queues: Arc<dyn Queues>,
    keys: Keys,
    runtime: Handle,
    at_work: AtWork,
    code: Option<Arc<dyn WorkflowCode>>,
}

/// Where an engine works on what is sent.
#[derive(Clone)]
pub(crate) enum AtWork {
    /// In this process, and it tells what it did.
    #[cfg_attr(not(feature = "embedded"), allow(dead_code, reason = "only the embedded engine is here"))]
    Here(Arc<Notices>),
    /// In other processes: the log has to be asked.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only a deployment is elsewhere"))]
    Elsewhere,
    /// Nowhere: requests wait.
    #[cfg_attr(not(feature = "embedded"), allow(dead_code, reason = "only a folder may lie idle"))]
    Nowhere,
}

impl Direct {
    pub(crate) fn new(ports: Ports, keys: Keys, at_work: AtWork, runtime: Handle) -> Self {
        let (clock, queues) = (ports.clock.clone(), ports.queues.clone());
        let notices = if let AtWork::Here(notices) = &at_work { Some(notices.clone()) } else { None };
        let engine = Engine::new(ports, keys.clone(), notices);
        Self { engine, clock, queues, keys, runtime, at_work, code: None }
    }

    /// With the code that answers queries.
    #[must_use]
    pub(crate) fn with_code(self, code: Option<Arc<dyn WorkflowCode>>) -> Self {
        Self { code, ..self }
    }

    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RunError>> + Send + 'static,
    ) -> Result<T, RunError> {
        let task = AbortOnDrop(self.runtime.spawn(work));
        task.await.unwrap_or_else(|_| Err(RunError::Unavailable("the engine is shutting down".into())))
    }

    /// Completes the request, by an id and by our own namespace if it names none, and checks it as the door will:
    /// nothing that is refused there is queued.
    fn prepare(&self, request: &mut InboxMessage) -> Result<RequestId, RunError> {
        let own = self.keys.namespace();
        let (namespace, request_id) = request.to_complete();
        namespace.get_or_insert_with(|| own.clone());
        let request_id = request_id.get_or_insert_with(|| self.engine.new_request_id()).clone();
        let addressed = message::read_inbox(&message::write(request), "unused")
            .map_err(|bad| RunError::Rejected(bad.to_string()))?;
        if let (InboxMessage::Start(start), Some(code)) = (&*request, &self.code)
            && let Some(reason) = code.refuses(&start.workflow, &start.input)
        {
            return Err(RunError::Rejected(reason));
        }
        if addressed.namespace == *own {
            return Ok(request_id);
        }
        Err(RunError::Rejected(format!(
            "namespace: `{}` is not served here; this is `{own}`",
            addressed.namespace
        )))
    }

    async fn put(self, mut request: InboxMessage) -> Result<Sent, RunError> {
        let request_id = self.prepare(&mut request)?;
        self.engine.send(&request).await?;
        Ok(Sent { request_id, run_id: None })
    }

    async fn deliver(self, mut request: InboxMessage) -> Result<Sent, RunError> {
        if !self.is_live() {
            return self.put(request).await;
        }
        let request_id = self.prepare(&mut request)?;
        if let Some(sent) = self.done_already(&request, &request_id).await? {
            return Ok(sent);
        }
        self.engine.send(&request).await?;
        let limit = if matches!(request, InboxMessage::Signal(_)) { SIGNAL_WITHIN } else { ABSORBED_WITHIN };
        let absorbed = async {
            match &self.at_work {
                AtWork::Here(notices) => self.absorbed(&request, &request_id, notices).await,
                AtWork::Elsewhere | AtWork::Nowhere => Ok(self.engine.absorbed(&request).await?),
            }
        };
        let run_id = self.within(limit, absorbed).await?;
        Ok(Sent { request_id, run_id })
    }

    /// What comes of it within that time; `None` if it takes longer.
    async fn within<T, E: Into<RunError>>(
        &self,
        time: Duration,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Option<T>, RunError> {
        let late = self.clock.sleep_until(self.clock.now().plus(time));
        match select(Box::pin(work), late).await {
            Either::Left((done, _)) => done.map(Some).map_err(Into::into),
            Either::Right(_) => Ok(None),
        }
    }

    /// What needs no message: using a run that is open already, stopping what does not exist.
    async fn done_already(
        &self,
        request: &InboxMessage,
        request_id: &RequestId,
    ) -> Result<Option<Sent>, RunError> {
        match request {
            InboxMessage::Start(start) if only_uses(start) => match self.engine.head(&start.id, None).await {
                Ok(head) if head.header.status.is_open() => {
                    let run_id = Some(head.header.run_id);
                    Ok(Some(Sent { request_id: request_id.clone(), run_id }))
                }
                Ok(_) | Err(ClientError::NotFound(_)) => Ok(None),
                Err(error) => Err(error.into()),
            },
            InboxMessage::Start(start)
                if start.id_conflict == IdConflict::Fail && matches!(self.at_work, AtWork::Elsewhere) =>
            {
                self.started_already(&start.id, request_id).await
            }
            InboxMessage::Fork(fork) => {
                self.engine.head(&fork.from, fork.from_run_id).await?;
                Ok(None)
            }
            InboxMessage::Start(_)
            | InboxMessage::Signal(_)
            | InboxMessage::Complete(_)
            | InboxMessage::Fail(_) => Ok(None),
            // Of an update somebody waits for the answer: better none than one to a request that nobody remembers.
            InboxMessage::Update(_)
            | InboxMessage::Cancel(_)
            | InboxMessage::Terminate(_)
            | InboxMessage::Resume(_)
            | InboxMessage::Pause(_)
            | InboxMessage::Unpause(_)
            | InboxMessage::Retry(_)
            | InboxMessage::Reset(_) => {
                self.engine.head(request.workflow_id(), request.run_id()).await?;
                Ok(None)
            }
        }
    }

    /// A start that finds an open run is refused by the engine, too, but a client elsewhere would never hear of that.
    async fn started_already(
        &self,
        id: &WorkflowId,
        request_id: &RequestId,
    ) -> Result<Option<Sent>, RunError> {
        let (head, events) = match self.engine.history(id, None).await {
            Ok(read) => read,
            Err(ClientError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (run, run_id) = (head.header.restore(&events), head.header.run_id);
        // The same start, sent again: perhaps an earlier run absorbed it.
        if let absorbed @ Some(_) = run.absorbed_request(request_id) {
            return Ok(Some(Sent { request_id: request_id.clone(), run_id: absorbed }));
        }
        if !run.status.is_open() {
            return Ok(None);
        }
        let advice = "signal it, take another id, or say with id_conflict what to do";
        Err(RunError::Rejected(format!("id: run {run_id} of `{id}` is open; {advice}")))
    }

    /// Waits until the log has the request, or it is clear that it never will. The history is read only where the
    /// notices cannot tell: they do not reach back for ever, and say nothing of what a request found.
    async fn absorbed(
        &self,
        request: &InboxMessage,
        request_id: &RequestId,
        notices: &Notices,
    ) -> Result<RunId, RunError> {
        let id = request.workflow_id();
        let mut look = true;
        loop {
            let changed = notices.changed(id);
            if let Some(reason) = notices.rejection(request_id) {
                return Err(RunError::Rejected(reason));
            }
            if let Some(run_id) = notices.absorbed(request_id) {
                self.queues.settle().await.map_err(ClientError::from)?;
                return Ok(run_id);
            }
            if (look || notices.is_settled(request_id))
                && let Some(run_id) = self.look_for(request, request_id).await?
            {
                return Ok(run_id);
            }
            let late = self.clock.sleep_until(self.clock.now().plus(LOOK_ALL_THE_SAME));
            look = matches!(select(changed, late).await, Either::Right(_));
        }
    }

    /// The run that has absorbed the request, or that makes it superfluous, as its history tells.
    async fn look_for(
        &self,
        request: &InboxMessage,
        request_id: &RequestId,
    ) -> Result<Option<RunId>, RunError> {
        match self.engine.history(request.workflow_id(), None).await {
            Ok((head, events)) => {
                let run = head.header.restore(&events);
                if let Some(reason) = run.rejection(request_id) {
                    return Err(RunError::Rejected(reason.to_owned()));
                }
                run.absorbed_request(request_id).map_or_else(|| superfluous(request, &run), |id| Ok(Some(id)))
            }
            Err(ClientError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_for_outcome(
        self,
        id: WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        if wait.is_zero() || !self.is_live() {
            return Ok(self.engine.outcome(&id, run).await?);
        }
        self.within(wait, self.ended(&id, run)).await
    }

    /// A run that is only suspect, after crashes, is tried again in a second: nobody needs to hear of it.
    async fn ended(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Outcome, RunError> {
        loop {
            let at_rest = self.engine.at_rest(id);
            match self.engine.outcome(id, run).await? {
                Some(Outcome::Blocked(mark)) if matches!(mark.reason, Blocked::Suspect { .. }) => {}
                Some(outcome) => return Ok(outcome),
                None => {}
            }
            at_rest.await;
        }
    }

    async fn ask(
        self,
        (id, run): (WorkflowId, Option<RunId>),
        (name, input): (String, Payload),
    ) -> Result<Payload, RunError> {
        let Some(code) = &self.code else {
            let text = "a query is answered by the workflow's code, and this program has none: ask with the \
                        program that registers the workflow";
            return Err(RunError::Rejected(text.into()));
        };
        Ok(self.engine.query(&id, run, (&name, &input), code.as_ref()).await?)
    }
}

/// Whether a start has nothing to say to a run that is open.
fn only_uses(start: &StartMessage) -> bool {
    start.id_conflict == IdConflict::UseExisting && start.signal.is_none() && start.update.is_none()
}

/// A request that the engine drops because it changes nothing leaves no trace in the log; the run tells.
fn superfluous(request: &InboxMessage, run: &Run) -> Result<Option<RunId>, RunError> {
    let (id, run_id) = (&run.info.workflow_id, run.info.run_id);
    match request {
        // The run that follows is about to begin, and is told.
        _ if run.status == Status::ContinuedAsNew => Ok(None),
        InboxMessage::Start(start) => Ok(Some(run_id).filter(|_| only_uses(start) && run.status.is_open())),
        InboxMessage::Signal(_)
        | InboxMessage::Update(_)
        | InboxMessage::Reset(_)
        | InboxMessage::Fork(_)
        | InboxMessage::Complete(_)
        | InboxMessage::Fail(_) => Ok(None),
        InboxMessage::Pause(_) | InboxMessage::Unpause(_) | InboxMessage::Retry(_)
            if is_meant(run, request.run_id()) =>
        {
            if !run.status.is_open() {
                return Err(RunError::Rejected(format!("run {run_id} of `{id}` is {} already", run.status)));
            }
            let (what, is_paused) = match request {
                InboxMessage::Pause(PauseMessage { activity_id: Some(activity), .. })
                | InboxMessage::Unpause(UnpauseMessage { activity_id: Some(activity), .. }) => {
                    let state = run.activities.get(activity);
                    (format!("activity {activity} of `{id}`"), state.is_some_and(|state| state.paused))
                }
                _ => (format!("run {run_id} of `{id}`"), run.paused.is_some()),
            };
            match request {
                InboxMessage::Pause(_) if is_paused => {
                    Err(RunError::Rejected(format!("{what} is paused already")))
                }
                InboxMessage::Unpause(_) if !is_paused => {
                    Err(RunError::Rejected(format!("{what} is not paused")))
                }
                _ => Ok(None),
            }
        }
        InboxMessage::Cancel(stop) | InboxMessage::Terminate(stop) if is_meant(run, stop.run_id) => {
            if run.status == Status::Running {
                return Ok(None);
            }
            Err(RunError::Rejected(format!("run {run_id} of `{id}` is {} already", run.status)))
        }
        InboxMessage::Resume(resume) if is_meant(run, resume.run_id) => {
            if run.blocked.is_some() {
                return Ok(None);
            }
            let stands = if run.status.is_open() { "is not blocked" } else { "is closed" };
            Err(RunError::Rejected(format!("run {run_id} of `{id}` {stands}: there is nothing to resume")))
        }
        _ => Err(RunError::Rejected(format!("run_id: `{id}` has gone on to run {run_id}"))),
    }
}

#[async_trait]
impl Backend for Direct {
    fn name(&self) -> String {
        let name = match self.at_work {
            AtWork::Here(_) => "the engine in this process",
            AtWork::Elsewhere => "the deployment",
            AtWork::Nowhere => "the data folder",
        };
        name.into()
    }

    fn is_live(&self) -> bool {
        !matches!(self.at_work, AtWork::Nowhere)
    }

    async fn send(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.on_runtime(self.clone().deliver(message)).await
    }

    async fn enqueue(&self, message: InboxMessage) -> Result<Sent, RunError> {
        self.on_runtime(self.clone().put(message)).await
    }

    async fn absorbed_by(
        &self,
        id: &WorkflowId,
        request: &RequestId,
        wait: Duration,
    ) -> Result<Option<RunId>, RunError> {
        let wait = if self.is_live() { wait } else { Duration::ZERO };
        let (this, id, request) = (self.clone(), id.clone(), request.clone());
        self.on_runtime(async move { this.within(wait, this.engine.absorbed_by(&id, &request)).await }).await
    }

    async fn describe(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Description, RunError> {
        let (engine, id) = (self.engine.clone(), id.clone());
        self.on_runtime(async move { Ok(engine.head(&id, run).await?.into()) }).await
    }

    async fn history(&self, id: &WorkflowId, run: Option<RunId>) -> Result<Vec<Event>, RunError> {
        let (engine, id) = (self.engine.clone(), id.clone());
        self.on_runtime(async move { Ok(engine.history(&id, run).await?.1) }).await
    }

    async fn outcome(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        wait: Duration,
    ) -> Result<Option<Outcome>, RunError> {
        self.on_runtime(self.clone().wait_for_outcome(id.clone(), run, wait)).await
    }

    async fn answer(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        update: &RequestId,
        wait: Duration,
    ) -> Result<Option<Payload>, RunError> {
        let wait = if self.is_live() { wait } else { Duration::ZERO };
        let (this, id, update) = (self.clone(), id.clone(), update.clone());
        self.on_runtime(async move { this.within(wait, this.engine.answer(&id, run, &update)).await }).await
    }

    async fn query(
        &self,
        id: &WorkflowId,
        run: Option<RunId>,
        name: &str,
        input: &Payload,
    ) -> Result<Payload, RunError> {
        self.on_runtime(self.clone().ask((id.clone(), run), (name.to_owned(), input.clone()))).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Listed>, RunError> {
        let (engine, filter) = (self.engine.clone(), ListFilter::from(filter.clone()));
        self.on_runtime(async move { Ok(engine.list(&filter).await?) }).await
    }

    async fn dead_letters(&self, queue: &str, limit: usize) -> Result<Vec<DeadLetter>, RunError> {
        let (engine, queue) = (self.engine.clone(), origin(queue).map_err(RunError::Rejected)?);
        self.on_runtime(async move { Ok(engine.dead_letters(&queue, limit).await?) }).await
    }

    async fn treat_dead_letters(
        &self,
        queue: &str,
        treatment: Treatment,
        letters: &Letters,
    ) -> Result<Treated, RunError> {
        let (engine, queue) = (self.engine.clone(), origin(queue).map_err(RunError::Rejected)?);
        let letters = letters.clone();
        self.on_runtime(async move { Ok(engine.treat_dead_letters(&queue, treatment, &letters).await?) })
            .await
    }
}

impl From<ClientError> for RunError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotFound(_) => Self::NotFound(error.to_string()),
            ClientError::Rejected(reason) => Self::Rejected(reason),
            ClientError::Blocked(reason) => Self::Blocked(reason),
            ClientError::Queue(QueueError::Invalid { reason, .. }) => Self::Rejected(reason),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// A caller that no longer waits ends the work.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}
