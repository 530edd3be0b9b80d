//! The Rust host: drives a workflow's future over the replay machine's events.
//!
//! - [`coroutine`]: the future and its turns.
//! - [`journal`]: what the contexts and calls of one run share. [`calls`]: those that have a number. [`messages`]: what
//!   the run is told and asked. [`scopes`]: what a cancellation reaches. [`tasks`]: what runs beside. [`patches`].
//! - [`sandbox`]: where user code is polled: no tokio drivers, panics caught, silent in replay.
//! - [`foreign`]: finds out what a workflow waits on that is not ours.

mod calls;
mod coroutine;
mod foreign;
mod journal;
mod messages;
mod patches;
mod random;
mod sandbox;
mod scopes;
mod tasks;
mod waker;

pub(crate) use calls::{Call, Ended, Kind};
pub(crate) use coroutine::{Code, Host};
pub(crate) use journal::{Journal, WaitFor};
pub(crate) use messages::Unanswered;
pub(crate) use scopes::{ROOT, SHIELDED, ScopeId};
