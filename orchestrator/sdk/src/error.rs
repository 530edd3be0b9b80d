//! The errors that authors return and meet, and how any error becomes one of them.

use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::ops::Deref;

use millrace_core::{ActivityFailure, ApplicationFailure, Fault, Payload, WorkflowFailure};

/// The longest chain of causes that a failure keeps.
const MOST_CAUSES: usize = 16;

type AnyError = Box<dyn Error + Send + Sync>;

/// The wait was canceled: somebody asked the run to stop. `?` carries it to the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canceled {
    /// Who wanted that, and why.
    pub reason: String,
}

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() { f.write_str("canceled") } else { write!(f, "canceled: {}", self.reason) }
    }
}

impl Error for Canceled {}

/// A running activity should stop, and why: it was canceled, it took too long, or the worker is shutting down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped(pub(crate) Fault);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the activity should stop: {}", self.0)
    }
}

impl Error for Stopped {}

impl Deref for Stopped {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        &self.0
    }
}

/// What an activity returns when it has no result. Any error becomes one by `?`.
///
/// An error's type is the short name of its Rust type ("Error" where there is none), its causes are the messages of
/// the errors underneath. [`ApplicationFailure`], [`Canceled`] and [`Stopped`] keep their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivityError {
    /// It failed; the retry policy says what follows.
    Failed(Fault),
    /// It was asked to stop and did.
    Canceled(Canceled),
    /// It has not ended: somebody with its [token](crate::ActivityContext::token) says later how it did. Only for activities
    /// marked `completes_later`; the worker goes on to other work, and schedule-to-close is the time limit that remains.
    CompletesLater,
}

/// What a workflow returns when it has no result: the run ends as failed, or as canceled if it was asked to stop.
///
/// Any error becomes one by `?`, as with [`ActivityError`]; an [`ActivityFailure`] passes on its fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkflowError {
    /// It failed.
    Failed(Fault),
    /// It has not failed: it goes on as a new run. See
    /// [`WorkflowContext::continue_as_new`](crate::WorkflowContext::continue_as_new).
    ContinueAsNew(Box<Next>),
}

/// The run that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    pub(crate) workflow: &'static str,
    pub(crate) input: Payload,
}

/// Why an update is refused. See [`reject`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// For whoever asked.
    pub reason: String,
}

/// Refuses an update: what a handler returns.
pub fn reject<T>(reason: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected { reason: reason.into() })
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for Rejected {}

impl ActivityError {
    /// What the worker reports.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Failed(fault) => fault,
            Self::Canceled(Canceled { reason }) => Fault::Canceled { reason },
            Self::CompletesLater => {
                let text = "the activity returned `CompletesLater`; mark it `#[activity(completes_later)]`";
                Fault::Application(ApplicationFailure::new("CompletesLater", text).non_retryable())
            }
        }
    }
}

impl WorkflowError {
    /// Why the run fails, if it does.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Failed(fault) => Some(fault),
            Self::ContinueAsNew(_) => None,
        }
    }

    /// Whether this carries a cancellation.
    pub fn is_canceled(&self) -> bool {
        self.fault().is_some_and(Fault::is_canceled)
    }
}

impl fmt::Display for ActivityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(fault) => fault.fmt(f),
            Self::Canceled(canceled) => canceled.fmt(f),
            Self::CompletesLater => f.write_str("completes later"),
        }
    }
}

impl fmt::Display for WorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(fault) => fault.fmt(f),
            Self::ContinueAsNew(next) => write!(f, "goes on as a new run of `{}`", next.workflow),
        }
    }
}

impl<E: Into<AnyError> + 'static> From<E> for ActivityError {
    fn from(error: E) -> Self {
        match fault_of(error) {
            Fault::Canceled { reason } => Self::Canceled(Canceled { reason }),
            fault => Self::Failed(fault),
        }
    }
}

impl<E: Into<AnyError> + 'static> From<E> for WorkflowError {
    fn from(error: E) -> Self {
        Self::Failed(fault_of(error))
    }
}

fn fault_of<E: Into<AnyError> + 'static>(error: E) -> Fault {
    let name = short_name(type_name::<E>());
    let mut slot = Some(error);
    // anyhow hides the types below it from `downcast` once it is boxed, so it is asked first.
    if let Some(error) =
        (&mut slot as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>().and_then(Option::take)
    {
        let ours = error.chain().find_map(ours);
        return ours.unwrap_or_else(|| application(name, error.as_ref()));
    }
    let Some(error) = slot else { return application(name, &fmt::Error) };
    let error: AnyError = error.into();
    let canceled = || sources(&*error).filter_map(ours).find(Fault::is_canceled);
    ours(&*error).or_else(canceled).unwrap_or_else(|| application(name, &*error))
}

/// The meaning of our own types. Under an error of the author's own only a cancellation keeps its meaning.
fn ours(error: &(dyn Error + 'static)) -> Option<Fault> {
    if let Some(failure) = error.downcast_ref::<ApplicationFailure>() {
        return Some(Fault::Application(failure.clone()));
    }
    if let Some(Canceled { reason }) = error.downcast_ref() {
        return Some(Fault::Canceled { reason: reason.clone() });
    }
    let activity = error.downcast_ref::<ActivityFailure>().map(|failure| &failure.fault);
    let workflow = || error.downcast_ref::<WorkflowFailure>().map(|failure| &failure.fault);
    let stopped = || error.downcast_ref::<Stopped>().map(|stopped| &stopped.0);
    activity.or_else(workflow).or_else(stopped).cloned()
}

/// The errors underneath, outermost first.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

fn application(name: &str, error: &(dyn Error + 'static)) -> Fault {
    let mut failure = ApplicationFailure::new(name, error);
    failure.causes = sources(error).take(MOST_CAUSES).map(ToString::to_string).collect();
    Fault::Application(failure)
}

/// `io::Error` of `std::io::Error`; "Error" for texts and boxes, whose types say nothing.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    match path.rsplit("::").next().unwrap_or(path) {
        "&str" | "String" | "Box" | "Cow" => "Error",
        name => name,
    }
}

#[cfg(test)]
mod tests;
