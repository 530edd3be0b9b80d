//! A start on its way.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{IdConflict, IdReuse, Payload, RequestId, WithStart, WorkflowId, WorkflowType};
use millrace_format::message::{InboxMessage, StartMessage};
use serde::Serialize;

use super::bound::{Bound, first_run};
use super::update::StartUpdate;
use super::{Backend, Handle, RunError, Sent};
use crate::workflow::AcceptedBy;
use crate::{Signal, Update, Workflow};

/// A start that is sent when it is awaited. Gives a [`Handle`] once the start is durable and, where an engine is at
/// work, the run's log has begun; if that takes longer than half a minute, a handle that waits for it whenever it is used.
#[must_use = "a start is sent when it is awaited"]
pub struct Start<W> {
    backend: Arc<dyn Backend>,
    message: Result<StartMessage, RunError>,
    or_existing: bool,
    workflow: PhantomData<fn() -> W>,
}

impl<W: Workflow> Start<W> {
    pub(super) fn new(backend: Arc<dyn Backend>, id: &str, input: &W::Input) -> Self {
        let message = message(W::NAME, id, input);
        Self { backend, message, or_existing: false, workflow: PhantomData }
    }

    /// Its input comes later, by [`with_input`](Self::with_input).
    pub(crate) fn without_input(backend: Arc<dyn Backend>, id: &str) -> Self {
        let message = message(W::NAME, id, &());
        Self { backend, message, or_existing: false, workflow: PhantomData }
    }

    /// Gives the start its input, or the reason why there is none.
    pub(crate) fn with_input(self, input: Result<W::Input, RunError>) -> Self {
        self.with(|message| {
            message.input = payload("input", &input?)?;
            Ok(())
        })
    }

    /// Delivers a signal together with the start: signal-with-start.
    pub fn signal<S: Signal + AcceptedBy<W>>(self, signal: S) -> Self {
        self.with(|message| {
            message.signal = Some(WithStart { name: S::NAME.into(), input: payload(S::NAME, &signal)? });
            Ok(())
        })
    }

    /// Delivers an update together with the start, and waits for its answer too: update-with-start. It goes by the start's
    /// request id. If a run of the id is open, [`IdConflict::UseExisting`] gives it the update.
    ///
    /// ```no_run
    /// # use millrace::prelude::*;
    /// # #[derive(Update, serde::Serialize, serde::Deserialize)] #[update(output = u32)] struct Add { sku: String }
    /// # #[workflow(accepts(Add))] async fn cart(ctx: WorkflowContext) -> Result<(), WorkflowError> { Ok(()) }
    /// # async fn example(client: millrace::Client) -> Result<(), millrace::RunError> {
    /// let start = client.start(cart, "c-1", ()).id_conflict(millrace::IdConflict::UseExisting);
    /// let (run, lines) = start.update(Add { sku: "tea".into() }).await?;
    /// # Ok(()) }
    /// ```
    pub fn update<U: Update + AcceptedBy<W>>(self, update: U) -> StartUpdate<W, U> {
        StartUpdate::new(self.with(|message| {
            message.update = Some(WithStart { name: U::NAME.into(), input: payload(U::NAME, &update)? });
            Ok(())
        }))
    }

    /// Whether the id of a closed run may be used again; the default is that it may.
    pub fn id_reuse(self, reuse: IdReuse) -> Self {
        self.with(|message| {
            message.id_reuse = reuse;
            Ok(())
        })
    }

    /// What happens if a run of this id is open; the default is that the start is rejected.
    pub fn id_conflict(self, conflict: IdConflict) -> Self {
        self.with(|message| {
            message.id_conflict = conflict;
            Ok(())
        })
    }

    /// How long the workflow may take, the runs that it continues as included.
    pub fn execution_timeout(self, limit: Duration) -> Self {
        self.with(|message| {
            message.execution_timeout_s = Some(limit.as_secs_f64());
            Ok(())
        })
    }

    /// How long the code waits before it begins; the run is open meanwhile. Under a millisecond is no delay.
    pub fn delay(self, delay: Duration) -> Self {
        self.with(|message| {
            message.start_delay_s = Some(delay.as_secs_f64()).filter(|_| delay >= Duration::from_millis(1));
            Ok(())
        })
    }

    /// Notes for people, kept in the history.
    pub fn memo<T: Serialize>(self, memo: T) -> Self {
        self.with(|message| {
            message.memo = Some(payload("memo", &memo)?);
            Ok(())
        })
    }

    /// Values to find the run by, see [`Filter`](super::Filter): texts, numbers and booleans, at most 32 and 4,096 bytes in all.
    pub fn attributes<K: Into<String>, V: Into<serde_json::Value>>(
        self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.with(|message| {
            let all = attributes.into_iter().map(|(name, value)| (name.into(), value.into()));
            message.attributes = Some(payload("attributes", &all.collect::<serde_json::Map<_, _>>())?);
            Ok(())
        })
    }

    /// How long each run may take.
    pub fn run_timeout(self, limit: Duration) -> Self {
        self.with(|message| {
            message.run_timeout_s = Some(limit.as_secs_f64());
            Ok(())
        })
    }

    /// Hands a short text on to everything that comes of this start: the run and those that continue it, its children, every
    /// activity. At most 32 of them with 4 KiB together, in the clear: such as `traceparent`, not the input's business.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|message| {
            message.headers.insert(name.into(), value.into());
            Ok(())
        })
    }

    /// Makes the start count once, however often it is sent; by default it is sent once, under an id of its own.
    pub fn request_id(self, id: impl AsRef<str>) -> Self {
        self.with(|message| {
            message.request_id = Some(request_id(id)?);
            Ok(())
        })
    }

    /// Takes the run of this id as it is, open or closed, and starts one only if there is none: what a program wants
    /// that is run again after it was killed.
    pub fn or_existing(mut self) -> Self {
        self.or_existing = true;
        self.id_reuse(IdReuse::RejectDuplicate).id_conflict(IdConflict::UseExisting)
    }

    fn with(mut self, set: impl FnOnce(&mut StartMessage) -> Result<(), RunError>) -> Self {
        self.message = self.message.and_then(|mut message| set(&mut message).map(|()| message));
        self
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    async fn begin(self) -> Result<Handle<W>, RunError> {
        let or_existing = self.or_existing;
        let (backend, id) =
            (self.backend.clone(), self.message.as_ref().ok().map(|message| message.id.clone()));
        if or_existing
            && let Some(id) = &id
            && let Some(run_id) = first_run(backend.as_ref(), id, None).await?
        {
            return Ok(Handle::new(backend, id.clone(), Bound::to(run_id)));
        }
        match (self.send().await, id) {
            (Ok((run, _)), _) => Ok(run),
            // Somebody else was faster.
            (Err(RunError::Rejected(_)), Some(id)) if or_existing => {
                let run_id = first_run(backend.as_ref(), &id, None).await?;
                Ok(Handle::new(backend, id, run_id.map_or_else(Bound::default, Bound::to)))
            }
            (Err(error), _) => Err(error),
        }
    }

    pub(super) async fn send(self) -> Result<(Handle<W>, Sent), RunError> {
        let message = self.message?;
        let (id, uses) = (message.id.clone(), message.id_conflict == IdConflict::UseExisting);
        let sent = self.backend.send(InboxMessage::Start(message)).await?;
        let bound = match sent.run_id {
            Some(run_id) if uses => {
                let first = first_run(self.backend.as_ref(), &id, Some(run_id)).await?;
                Bound::to(first.unwrap_or(run_id))
            }
            _ => Bound::by(&sent, self.or_existing),
        };
        Ok((Handle::new(self.backend, id, bound), sent))
    }
}

impl<W: Workflow> IntoFuture for Start<W> {
    type Output = Result<Handle<W>, RunError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}

fn message<I: Serialize>(workflow: &str, id: &str, input: &I) -> Result<StartMessage, RunError> {
    let rejected = |field: &str, bad| RunError::Rejected(format!("{field}: {bad}"));
    let id = WorkflowId::new(id).map_err(|bad| rejected("id", bad))?;
    let workflow = WorkflowType::new(workflow).map_err(|bad| rejected("workflow", bad))?;
    Ok(StartMessage::plain(id, workflow, payload("input", input)?))
}

pub(super) fn request_id(id: impl AsRef<str>) -> Result<RequestId, RunError> {
    RequestId::new(id).map_err(|bad| RunError::Rejected(format!("request_id: {bad}")))
}

pub(super) fn payload<T: Serialize>(what: &str, value: &T) -> Result<Payload, RunError> {
    Payload::of(value).map_err(|error| RunError::Rejected(format!("{what}: has no JSON form: {error}")))
}
