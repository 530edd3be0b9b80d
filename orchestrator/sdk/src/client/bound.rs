//! Which run a handle means.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_core::{RequestId, RunId, WorkflowId};

use super::{Backend, RunError, Sent};

/// How long one request to the backend waits; then it is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked for a run that should have begun: for a quarter of an hour.
const MOST_ASKED: u32 = 30;

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
    /// Any run of the id serves as well.
    or_existing: bool,
}

impl Bound {
    pub(super) fn to(run: RunId) -> Self {
        Self { run: Arc::new(run.into()), awaited: None }
    }

    /// To the run that a request has begun, or will begin.
    pub(super) fn by(sent: &Sent, or_existing: bool) -> Self {
        match sent.run_id {
            Some(run) => Self::to(run),
            None => {
                let awaited = Awaited { request: sent.request_id.clone(), or_existing };
                Self { awaited: Some(awaited), ..Self::default() }
            }
        }
    }

    pub(super) fn known(&self) -> Option<RunId> {
        self.run.get().copied()
    }

    /// The run; waits until it has begun, for a quarter of an hour. Where no engine is at work it will not, so there the
    /// current run is meant.
    pub(super) async fn run(
        &self,
        backend: &dyn Backend,
        id: &WorkflowId,
    ) -> Result<Option<RunId>, RunError> {
        let Some(awaited) = self.awaited.as_ref().filter(|_| backend.is_live()) else {
            return Ok(self.known());
        };
        for _ in 0..MOST_ASKED {
            if let known @ Some(_) = self.known() {
                return Ok(known);
            }
            let existing = match awaited.or_existing {
                true => first_run(backend, id, None).await?,
                false => None,
            };
            if let Some(run) = existing {
                return Ok(Some(*self.run.get_or_init(|| run)));
            }
            if let Some(run) = backend.absorbed_by(id, &awaited.request, PATIENCE).await? {
                let first = first_run(backend, id, Some(run)).await?.unwrap_or(run);
                return Ok(Some(*self.run.get_or_init(|| first)));
            }
        }
        Err(RunError::Unavailable(format!(
            "the start of `{id}` has not been taken up for a quarter of an hour: look whether an orchestrator is at work, \
             and whether the start was refused (`dead-letters list inbox`); to wait on, ask again"
        )))
    }
}

/// A run that is there, the current one if none is named: the first of those that continue one another, which means them all.
pub(super) async fn first_run(
    backend: &dyn Backend,
    id: &WorkflowId,
    run: Option<RunId>,
) -> Result<Option<RunId>, RunError> {
    match backend.describe(id, run).await {
        Ok(run) => Ok(Some(run.first_run_id.unwrap_or(run.run_id))),
        Err(RunError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
