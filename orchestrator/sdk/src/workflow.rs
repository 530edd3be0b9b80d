//! What workflows and their messages are to the rest of the crate.

use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::function::for_functions;
use crate::{WorkflowContext, WorkflowError};

/// A workflow on its way.
pub type Run<T> = Pin<Box<dyn Future<Output = Result<T, WorkflowError>> + Send>>;

/// A workflow's type: what it takes and gives. Made by [`macro@crate::workflow`].
pub trait Workflow: Send + 'static {
    /// Its input: `()`, the one input, or a tuple.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// Its result.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Its name in the history.
    const NAME: &'static str;
    /// The version that new runs of it are pinned to, if they are: see [`App::pinned`](crate::App::pinned).
    const VERSION: Option<&'static str> = None;
    /// The names of the messages it accepts.
    const ACCEPTS: &'static [&'static str];
    /// The engine's own: what goes in and out is no user's value, though users' payloads may lie in it, encoded already.
    #[doc(hidden)]
    const IS_BUILT_IN: bool = false;

    /// Begins it.
    fn run(context: WorkflowContext, input: Self::Input) -> Run<Self::Output>;
}

/// The name of a function marked `#[workflow]`; `M` is for type inference only.
#[diagnostic::on_unimplemented(
    message = "this is not a workflow",
    label = "expected the name of a function marked `#[workflow]`",
    note = "found `{Self}`"
)]
pub trait WorkflowRef<M> {
    /// The workflow.
    type Workflow: Workflow;
}

for_functions!(WorkflowRef, Workflow, Workflow);

/// What can be sent to a workflow.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// Its name on the wire.
    const NAME: &'static str;
}

/// A message that tells a workflow something. Made by `#[derive(Signal)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a signal",
    label = "expected a type with `#[derive(Signal, Serialize, Deserialize)]`"
)]
pub trait Signal: Message {}

/// A message that asks a workflow for a change and is answered. Made by `#[derive(Update)]` with
/// `#[update(output = Type)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an update",
    label = "expected a type with `#[derive(Update, Serialize, Deserialize)]`"
)]
pub trait Update: Message {
    /// The answer.
    type Output: Serialize + DeserializeOwned + Send + 'static;
}

/// A question that a workflow answers without changing. Made by `#[derive(Query)]` with `#[query(output = Type)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query",
    label = "expected a type with `#[derive(Query, Serialize, Deserialize)]`"
)]
pub trait Query: Message {
    /// The answer.
    type Output: Serialize + DeserializeOwned + Send + 'static;
}

/// A message that the workflow `W` accepts, by its `#[workflow(accepts(..))]`.
#[diagnostic::on_unimplemented(
    message = "`{W}` does not accept the message `{Self}`",
    label = "not among the messages this workflow accepts",
    note = "declare it where the workflow is defined: `#[workflow(accepts({Self}))]`"
)]
pub trait AcceptedBy<W: Workflow> {}
