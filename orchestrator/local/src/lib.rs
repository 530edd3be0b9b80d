//! The object store and the queues without a cloud: in memory for tests, in one folder for the embedded mode.
//!
//! | | for | survives |
//! |---|---|---|
//! | [`Memory`] | tests, the deterministic simulation | nothing |
//! | [`Embedded`] | one process without a cloud | `kill -9`, power cuts, a full disk |
//!
//! Both run the same queue state machine, which knows neither time nor disk. [`SystemClock`], [`OsEntropy`] and
//! [`TokioSpawn`] are the remaining ports for a real process.

mod arrivals;
#[cfg(feature = "embedded")]
mod embedded;
mod host;
mod memory;
#[cfg_attr(not(feature = "embedded"), allow(dead_code, reason = "only the journal asks for some of it"))]
mod state;

#[cfg(feature = "embedded")]
pub use embedded::{Embedded, OpenError};
pub use host::{OsEntropy, SystemClock, TokioSpawn};
pub use memory::Memory;
pub use state::QueueConfig;
