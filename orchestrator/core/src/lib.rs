//! The deterministic heart of Millrace: facts and messages in, events and effects out.
//!
//! Nothing here waits, reads a clock, draws a random number or knows what S3 is. The same history and the same
//! messages give the same decision on every machine (guarantee G8), which is what lets a stateless orchestrator
//! rebuild a run from its log and go on.
//!
//! Where to start reading:
//! - [`Event`]: what the log can say. [`Command`]: what workflow code can ask for.
//! - [`Run`]: the state that the events add up to.
//! - [`Replay`]: drives workflow code over a history and compares its commands with it.
//! - [`decide()`]: one turn: absorb messages, resume the code, collect events and effects.

mod activity;
mod blocked;
mod child;
mod command;
pub mod decide;
mod effect;
mod event;
mod failure;
mod headers;
mod id;
mod message;
mod pace;
mod payload;
mod replay;
mod retry;
mod run;
mod time;

pub use activity::{ActivityOptions, ActivityOutcome, CompletionToken, LocalActivity, OutcomeResult, Task};
pub use blocked::Blocked;
pub use child::{ChildOptions, Parent, ParentClose, StopChild};
pub use command::Command;
pub use decide::{Decision, Live, Turn, Verdict, decide, end_local};
pub use effect::{Effect, EffectKey, PendingEffect};
pub use event::*;
pub use failure::{ActivityFailure, ApplicationFailure, Fault, TimeoutKind, WorkflowFailure};
pub use headers::{Headers, MOST_HEADER_BYTES, MOST_HEADERS, check_headers};
pub use id::{
    ActivityId, ChildId, Identity, InvalidId, Namespace, RequestId, RunId, SentId, TaskQueue, TimerId,
    WorkflowId, WorkflowType,
};
pub use message::{Fork, IdConflict, IdReuse, Incoming, Message, SourceLog, Start, Stop, WithStart};
pub use pace::{Pace, Runaway};
pub use payload::Payload;
pub use replay::{Coroutine, Offered, Replay, RunInfo, WorkflowCode};
pub use retry::RetryPolicy;
pub use run::{ActivityState, BlockedMark, CarriedRequest, PausedMark, RejectedUpdate, Run, Status, Wake};
pub use time::Timestamp;
