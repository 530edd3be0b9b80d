//! Which run a handle means.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_core::{RequestId, RunId, WorkflowId};

use super::{Backend, RunError, Sent};

/// How long one request to the backend waits; then it is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The run that a handle is bound to, if it is bound to one. Clones are bound together.
#[derive(Clone, Default)]
pub(super) struct Bound {
    run: Arc<OnceLock<RunId>>,
    awaited: Option<Awaited>,
}

/// A request that is durable, and that begins the run once it is absorbed.
#[derive(Clone)]
struct Awaited {
    request: RequestId,
    /// Which run serves as well.
    existing: Existing,
}

/// Which run of its id a start takes, instead of beginning one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    None,
    Open,
    Any,
}

impl Bound {
    pub(super) fn to(run: RunId) -> Self {
        Self { run: Arc::new(run.into()), awaited: None }
    }

    /// To the run that a request has begun, or will begin.
    pub(super) fn by(sent: &Sent, existing: Existing) -> Self {
        match sent.run_id {
            Some(run) => Self::to(run),
            None => Self {
                awaited: Some(Awaited { request: sent.request_id.clone(), existing }),
                ..Self::default()
            },
        }
    }

    pub(super) fn known(&self) -> Option<RunId> {
        self.run.get().copied()
    }

    /// The run; waits until it has begun, as long as that takes. Where no engine is at work it will not, so there the current
    /// run is meant.
    pub(super) async fn run(
        &self,
        backend: &dyn Backend,
        id: &WorkflowId,
    ) -> Result<Option<RunId>, RunError> {
        let Some(awaited) = self.awaited.as_ref().filter(|_| backend.is_live()) else {
            return Ok(self.known());
        };
        while self.known().is_none() {
            let run = match awaited.existing.run(backend, id, None).await? {
                None => backend.absorbed_by(id, &awaited.request, PATIENCE).await?,
                run => run,
            };
            if let Some(run) = run {
                let _ = self.run.set(run);
            }
        }
        Ok(self.known())
    }
}

impl Existing {
    /// The run that is there, the current one if none is named; the first of those that continue one another, which means
    /// them all.
    pub(super) async fn run(
        self,
        backend: &dyn Backend,
        id: &WorkflowId,
        run: Option<RunId>,
    ) -> Result<Option<RunId>, RunError> {
        if self == Self::None {
            return Ok(None);
        }
        match backend.describe(id, run).await {
            Ok(run) if self == Self::Open && !run.status.is_open() => Ok(None),
            Ok(run) => Ok(Some(run.first_run_id.unwrap_or(run.run_id))),
            Err(RunError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
