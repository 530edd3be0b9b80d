//! Undoing what was done when what follows fails.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_core::{ActivityFailure, Fault};

use super::ActivityCall;
use crate::{Activity, WorkflowError};

type Undo = Pin<Box<dyn Future<Output = Result<(), ActivityFailure>> + Send>>;

/// What is to be undone if a saga fails: see [`WorkflowContext::saga`](crate::WorkflowContext::saga).
#[derive(Clone, Default)]
pub struct Saga(Arc<Mutex<Vec<Undo>>>);

impl Saga {
    /// Keeps a call that undoes what was just done. It is made only if the saga fails, after all that were added later,
    /// and out of reach of cancel requests.
    pub fn undo<A: Activity>(&self, call: ActivityCall<A>) {
        let call = call.shielded();
        let undo = Box::pin(async move { call.await.map(drop) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(undo);
    }

    fn last(&self) -> Option<Undo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Runs the saga's body, and undoes on an error. Failures to undo become causes of the error.
    pub(crate) async fn run<T>(
        self,
        body: impl Future<Output = Result<T, WorkflowError>>,
    ) -> Result<T, WorkflowError> {
        let mut fault = match body.await {
            Err(WorkflowError::Failed(fault)) => fault,
            done => return done,
        };
        while let Some(undo) = self.last() {
            if let Err(failure) = undo.await {
                add_cause(&mut fault, format!("and could not be undone: {failure}"));
            }
        }
        Err(WorkflowError::Failed(fault))
    }
}

fn add_cause(fault: &mut Fault, cause: String) {
    match fault {
        Fault::Application(failure) | Fault::TimedOut { cause: Some(failure), .. } => {
            failure.causes.push(cause)
        }
        Fault::Canceled { reason } | Fault::Terminated { reason } => {
            reason.push_str("; ");
            reason.push_str(&cause);
        }
        Fault::TimedOut { cause: none @ None, .. } => {
            *none = Some(millrace_core::ApplicationFailure::new("NotUndone", cause));
        }
    }
}

impl std::fmt::Debug for Saga {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saga").finish_non_exhaustive()
    }
}
