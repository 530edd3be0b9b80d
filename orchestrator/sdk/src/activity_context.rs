//! What a running activity knows, and can tell.

use std::sync::Arc;

use millrace_core::{Fault, Headers, Payload, RunId, Task, WorkflowId};
use millrace_engine::Attempt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Stopped;
use crate::codec::Codecs;
use crate::shared::Shares;

/// What a running activity knows of its attempt, and how it reports progress. Cheap to clone.
#[derive(Clone)]
#[non_exhaustive]
pub struct ActivityContext {
    /// Which attempt this is, from 1.
    pub attempt: u32,
    host: Option<Arc<dyn Attempt>>,
    shares: Arc<Shares>,
    codecs: Codecs,
}

impl ActivityContext {
    pub(crate) fn new(host: Arc<dyn Attempt>, shares: Arc<Shares>, codecs: Codecs) -> Self {
        Self { attempt: host.task().attempt, host: Some(host), shares, codecs }
    }

    /// A context without a worker, to call an activity in a unit test: the first attempt, never stopped.
    pub fn test() -> Self {
        Self { attempt: 1, host: None, shares: Arc::default(), codecs: Codecs::default() }
    }

    /// Reports progress: resets the heartbeat timeout, and keeps the details for the next attempt. Does not wait.
    /// An error says that the activity should stop: pass it on with `?`.
    pub fn heartbeat<T: Serialize + ?Sized>(&self, details: &T) -> Result<(), Stopped> {
        let Some(host) = &self.host else { return Ok(()) };
        let details = self.codecs.write(details).unwrap_or_else(|error| {
            tracing::error!("a heartbeat is sent without its details, which it {error}");
            Payload::null()
        });
        host.heartbeat(details).map_err(Stopped)
    }

    /// What the attempt before reported with its last heartbeat; `None` if nothing, or of another shape.
    pub fn progress<T: DeserializeOwned>(&self) -> Option<T> {
        let details = self.host.as_ref()?.progress()?;
        match self.codecs.decode(&details) {
            Ok(details) => details.read().ok(),
            Err(error) => {
                tracing::error!(%error, "the progress of the attempt before cannot be decoded; it is left out");
                None
            }
        }
    }

    /// What the run was started with, such as a `traceparent`; empty in a unit test.
    pub fn headers(&self) -> &Headers {
        static NONE: Headers = Headers::new();
        self.task().map_or(&NONE, |task| &task.headers)
    }

    /// For an exclusive activity: rises with every holder of its lease, so that a store can refuse those who come too
    /// late. 0 without a lease.
    pub fn epoch(&self) -> u64 {
        self.host.as_ref().map_or(0, |host| host.epoch())
    }

    /// Waits until the activity should stop, and says why.
    pub async fn stopped(&self) -> Stopped {
        match &self.host {
            Some(host) => Stopped(host.stopped().await),
            None => std::future::pending().await,
        }
    }

    /// With this, whoever has it may say how the activity ended: see [`ActivityError::CompletesLater`]. A text to be passed
    /// on, and to be kept as a secret. `None` in a unit test, and for activities that are not marked `completes_later`.
    ///
    /// [`ActivityError::CompletesLater`]: crate::ActivityError::CompletesLater
    pub fn token(&self) -> Option<String> {
        self.task()?.token.as_ref().map(ToString::to_string)
    }

    /// Leaves the outcome to somebody else.
    pub(crate) fn leave(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.leave())
    }

    /// The workflow that called; `None` in a unit test.
    pub fn workflow_id(&self) -> Option<&WorkflowId> {
        self.task().map(|task| &task.workflow_id)
    }

    /// The run that called; `None` in a unit test.
    pub fn run_id(&self) -> Option<RunId> {
        self.task().map(|task| task.run_id)
    }

    /// The task that carries this attempt; `None` in a unit test.
    pub fn task(&self) -> Option<&Task> {
        self.host.as_ref().map(|host| host.task())
    }

    pub(crate) fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }
}

impl std::fmt::Debug for ActivityContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityContext").field("task", &self.task()).finish_non_exhaustive()
    }
}

impl From<Stopped> for Fault {
    fn from(stopped: Stopped) -> Self {
        stopped.0
    }
}
