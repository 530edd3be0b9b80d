//! The Rust host: drives a workflow's future over the replay machine's events.
//!
//! - [`coroutine`]: the future and its turns.
//! - [`journal`]: what the contexts and calls of one run share; [`calls`]: those that have a number; [`signals`].
//! - [`sandbox`]: where user code is polled: no tokio drivers, panics caught, silent in replay.
//! - [`foreign`]: finds out what a workflow waits on that is not ours.

mod calls;
mod coroutine;
mod foreign;
mod journal;
mod random;
mod sandbox;
mod signals;
mod waker;

pub(crate) use calls::Ended;
pub(crate) use coroutine::{Code, Host};
pub(crate) use journal::{Journal, WaitFor};
