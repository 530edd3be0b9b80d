//! What a workflow waits for. Every call is a future with setters: nothing happens until it is awaited, and dropping
//! it unfinished cancels it.

mod activity;
mod arrival;
mod child;
mod numbered;
mod saga;
mod signals;
mod sleep;
mod task;
mod updates;
mod within;

pub use activity::ActivityCall;
pub(crate) use child::Untyped;
pub use child::{ChildCall, ChildHandle, ChildResult};
pub use saga::Saga;
pub use signals::{Recv, Signals};
pub use sleep::Sleep;
pub use task::Task;
pub use updates::{RecvUpdate, Reply, Updates};
pub use within::Within;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::{ApplicationFailure, Command, Payload, WorkflowId};
use serde::Serialize;

use crate::host::{Journal, Kind, ScopeId};
use crate::{Signal, Workflow, WorkflowError};
pub(crate) use numbered::Numbered;

/// What fails a call that was asked for something that cannot be.
pub(crate) fn invalid(error: impl std::fmt::Display) -> ApplicationFailure {
    ApplicationFailure::new("InvalidOption", error).non_retryable()
}

/// A value as JSON; `of` says whose it is.
pub(crate) fn plain<T: Serialize + ?Sized>(value: &T, of: &str) -> Result<Payload, ApplicationFailure> {
    Payload::of(value).map_err(|error| {
        let message = format!("a value of `{of}` has no JSON form: {error}");
        ApplicationFailure::new("NotJson", message).non_retryable()
    })
}

/// The input of another workflow.
pub(crate) fn input_of<W: Workflow>(
    journal: &Journal,
    input: &W::Input,
) -> Result<Payload, ApplicationFailure> {
    if W::IS_BUILT_IN { plain(input, W::NAME) } else { journal.write(input, W::NAME) }
}

/// A timer that begins when it is first polled; its number is taken now.
pub(crate) fn sleep(journal: &Arc<Journal>, scope: ScopeId, duration: Duration) -> Sleep {
    Sleep::new(Numbered::new(journal, Kind::Timer, scope), duration)
}

/// Tells another workflow something: recorded now, delivered once the turn is committed.
pub(crate) fn tell<S: Signal>(
    journal: &Journal,
    scope: ScopeId,
    workflow_id: WorkflowId,
    signal: &S,
) -> Result<(), WorkflowError> {
    if let Some(canceled) = journal.canceled(scope) {
        return Err(canceled.into());
    }
    let (sent_id, name, input) = (journal.number(), S::NAME.to_owned(), journal.write(signal, S::NAME)?);
    journal.say(sent_id, Command::SendSignal { sent_id, workflow_id, name, input });
    Ok(())
}

/// What becomes of a call when its scope is canceled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCancel {
    /// It is asked to stop, and nobody waits for that.
    #[default]
    Try,
    /// It is asked to stop, and how it ends is waited for: the call gives what it gives in the end.
    Wait,
    /// It goes on, and nobody hears of its end.
    Abandon,
}
