//! Durable workflows as ordinary async Rust: kill anything at any moment, and the run goes on where it stopped.
//!
//! ```
//! use millrace::prelude::*;
//!
//! #[activity(start_to_close = "5m")]
//! async fn greet(name: String) -> Result<String, ActivityError> {
//!     Ok(format!("hello {name}")) // runs on a worker; is tried again if it fails
//! }
//!
//! #[workflow]
//! async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
//!     let greeting = ctx.activity(greet, name).await?; // recorded: never asked for twice
//!     ctx.sleep(days(30)).await?;                      // costs nothing while it waits
//!     Ok(greeting)
//! }
//!
//! let app = App::new().workflow(welcome).activity(greet);
//! assert_eq!(app.check(), Ok(()));
//! ```
//!
//! Where to start reading:
//! - [`macro@workflow`], [`macro@activity`], [`macro@Signal`]: functions and types become workflows, activities and messages.
//! - [`WorkflowContext`]: everything a workflow may do that is not its own arithmetic.
//! - [`ActivityContext`], [`Shared`]: what an activity is given.
//! - [`App`]: what a process can run.
//! - `TestEnv` (feature `test`): unit tests in virtual time; see docs/testing.md.
//!
//! What holds:
//! - A workflow sees the same history in the same order whenever it is replayed: it is resumed after every single
//!   fact, and what it asks for is ordered by the calls' numbers. So ordinary `futures` combinators are deterministic,
//!   except those that draw lots: use [`select!`], which is biased, instead of `futures::select!`.
//! - Dropping an unfinished call cancels it.
//! - A workflow that waits on anything but its context, panics, or cannot read its input is *blocked* with a reason,
//!   and goes on when code that can comes along.
//!
//! Errors: any error passes `?` in workflows and activities; [`ActivityError`] and [`WorkflowError`] say what becomes
//! of it. Why not an error trait of our own: standard errors, `anyhow` and texts should need no wrapping.

extern crate self as millrace;

mod activity;
mod activity_context;
mod app;
mod call;
pub mod client;
pub mod codec;
mod context;
#[cfg(feature = "aws")]
mod deployment;
#[cfg(feature = "embedded")]
pub mod dev;
mod duration;
mod error;
#[cfg(feature = "aws")]
pub mod fleet;
mod function;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
mod host;
#[cfg(feature = "embedded")]
mod http;
pub mod intercept;
#[cfg(feature = "aws")]
pub mod lambda;
mod map;
mod recorded;
mod retry;
mod schedule;
mod shared;
pub mod sources;
mod standalone;
mod state_cell;
#[cfg(feature = "test")]
mod test_env;
#[cfg(feature = "embedded")]
pub mod verbs;
mod workflow;
mod workflows;

pub use activity::{Activity, ActivityBody, ActivityRef};
pub use activity_context::ActivityContext;
pub use app::App;
/// What an [`Interceptor`]'s `impl` is marked with, that its `async fn` works.
pub use async_trait::async_trait;
pub use call::{
    ActivityCall, ChildCall, ChildHandle, ChildResult, OnCancel, Recv, RecvUpdate, Reply, Saga, Signals,
    Sleep, Task, Updates, Within,
};
pub use client::{Client, Handle, IdConflict, IdReuse, InOrder, RunError};
pub use context::WorkflowContext;
#[cfg(feature = "embedded")]
pub use dev::Dev;
pub use duration::{days, hours, millis, minutes, secs};
pub use error::{ActivityError, Canceled, Next, Rejected, Stopped, WorkflowError, reject};
pub use futures::{join, select_biased as select, try_join};
pub use intercept::Interceptor;
pub use map::{FailedItem, MapCall, MapSummary, Page};
pub use millrace_core::{
    ActivityFailure, ActivityOptions, ApplicationFailure, Blocked, Fault, Headers, ParentClose, RetryPolicy,
    RunId, TaskQueue, TimeoutKind, Timestamp, WorkflowFailure, WorkflowId,
};
pub use millrace_format::{AttributeCondition, AttributeValue, Attributes, Recording};
pub use millrace_macros::{Query, Signal, Update, activity, workflow};
pub use retry::Retry;
pub use schedule::{
    Action, ActionOutcome, Backfill, Backfilled, Change, Overlap, Pause, Schedule, ScheduleHandle,
    ScheduleState, ScheduleWorkflow, Trigger, Triggered, Unpause,
};
pub use shared::Shared;
pub use standalone::{ActivityRun, RunActivity};
pub use state_cell::{StateCell, Until};
#[cfg(feature = "test")]
pub use test_env::TestEnv;
#[cfg(feature = "embedded")]
pub use verbs::{Job, Main};
pub use workflow::{AcceptedBy, Message, Query, Signal, Update, Workflow, WorkflowRef};

/// What a file with workflows and activities imports.
pub mod prelude {
    pub use crate::{
        ActivityContext, ActivityError, ActivityFailure, App, ApplicationFailure, Canceled, Query, Retry,
        Shared, Signal, StateCell, Update, WorkflowContext, WorkflowError, activity, days, hours, join,
        millis, minutes, reject, secs, select, try_join, workflow,
    };
}

/// What the macros' code refers to; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::activity::{Running, no_body};
    pub use crate::function::{Returned, Tagged};
    pub use crate::shared::{Injected, Needs};
    pub use crate::workflow::Run;
}
