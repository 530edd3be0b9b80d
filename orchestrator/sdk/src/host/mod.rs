//! The Rust host: drives a workflow's future over the replay machine's events.
//!
//! - [`coroutine`]: the future and its turns.
//! - [`journal`]: what the contexts and calls of one run share: numbers, commands, waits, signals.
//! - [`sandbox`]: where user code is polled: no tokio drivers, panics caught, silent in replay.
//! - [`foreign`]: finds out what a workflow waits on that is not ours.

mod coroutine;
mod foreign;
mod journal;
mod random;
mod sandbox;
mod signals;
mod waker;

pub(crate) use coroutine::{Code, Host};
pub(crate) use journal::{Ended, Journal, WaitFor};
