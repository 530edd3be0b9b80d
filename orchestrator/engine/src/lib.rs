//! The engine: what happens between a message and its effects, over ports.
//!
//! - [`Orchestrator`]: turns (DESIGN §3). [`Worker`]: activity attempts (§6). [`Ticker`]: timers far away (§7).
//!   [`Sweeper`]: what queues forget. [`Purger`]: closed runs whose time is over.
//! - [`Client`]: starts, signals and reads runs.
//! - [`ports`]: what it needs of the world. It spawns nothing and reads no clock of its own, so a simulator can drive
//!   it through every interleaving from one seed.

mod activity_code;
mod bounds;
mod cache;
mod client;
mod dead_letters;
mod dispatch;
mod load;
mod notices;
mod orchestrator;
pub mod ports;
mod retention;
mod sweep;
mod tick;
mod worker;

pub use activity_code::{ActivityCode, Attempt};
pub use client::{
    Client, ClientError, DeadLetter, Letters, ListFilter, Listed, Outcome, RefusedLetter, Treated, Treatment,
    follower_of, is_meant, origin,
};
pub use dead_letters::{Buried, DeadLetters};
pub use dispatch::DispatchError;
pub use load::{LoadError, Reader};
pub use notices::Notices;
pub use orchestrator::{Orchestrator, OrchestratorConfig, Stats};
pub use retention::{BadRetention, PurgeReport, Purger, Retention};
pub use sweep::{SweepReport, Sweeper};
pub use tick::Ticker;
pub(crate) use worker::BAD_TASK;
pub use worker::{Left, Limit, Stop, Worker, WorkerConfig};
