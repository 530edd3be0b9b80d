//! The attributes and derives of `millrace`; their documentation for authors is there, where they are re-exported.
//!
//! Each macro only describes a function or a message: the author's tokens stay as they are inside an inner function,
//! so that rustc's errors point at them. Nothing here decides anything at run time.

mod activity;
mod function;
mod message;
mod options;
mod value;
mod workflow;

use proc_macro::TokenStream;

use crate::message::Kind;

/// Makes an async function an activity: work that runs on a worker, is retried, and may have side effects.
///
/// Options: `name`, `task_queue`, `start_to_close`, `schedule_to_close`, `schedule_to_start`, `heartbeat`,
/// `max_attempts`, `initial_interval`, `maximum_interval`, `backoff_coefficient`, `non_retryable(Type, …)`,
/// `exclusive`, `completes_later`, `max_concurrent` (how many attempts run at a time in one worker process). Durations are texts such as `"500ms"`, `"30s"`, `"10m"`, `"5h"`, `"2d"`.
///
/// Parameters of type `ActivityContext` and `Shared<T>` are provided; the others are the input: none is `()`, one is
/// itself, several are a tuple. Without a body it is a declaration of work that runs elsewhere.
#[proc_macro_attribute]
pub fn activity(options: TokenStream, item: TokenStream) -> TokenStream {
    activity::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an async function a workflow: deterministic code that survives any crash.
///
/// Options: `name`, `accepts(Message, …)`: the signals, updates and queries it takes. The first parameter is the `WorkflowContext`, the others are the input:
/// none is `()`, one is itself, several are a tuple.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    workflow::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a type a signal. Its name on the wire is the type's name in snake case, or `#[signal(name = "…")]`.
#[proc_macro_derive(Signal, attributes(signal))]
pub fn signal(item: TokenStream) -> TokenStream {
    message(Kind::Signal, item)
}

/// Makes a type an update: a request that the workflow answers. `#[update(output = Type)]` says with what; its name on the
/// wire is the type's name in snake case, or `name = "…"`.
#[proc_macro_derive(Update, attributes(update))]
pub fn update(item: TokenStream) -> TokenStream {
    message(Kind::Update, item)
}

/// Makes a type a query: a question that changes nothing. `#[query(output = Type)]` says what the answer is; its name on
/// the wire is the type's name in snake case, or `name = "…"`.
#[proc_macro_derive(Query, attributes(query))]
pub fn query(item: TokenStream) -> TokenStream {
    message(Kind::Query, item)
}

fn message(kind: Kind, item: TokenStream) -> TokenStream {
    message::expand(kind, item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
