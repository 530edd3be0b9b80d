//! The engine: what happens between a message and its effects, over ports.
//!
//! - [`Orchestrator`]: turns (DESIGN §3). [`Worker`]: activity attempts (§6). [`Ticker`]: timers far away (§7).
//! - [`Client`]: starts, signals and reads runs.
//! - [`ports`]: what it needs of the world. It spawns nothing and reads no clock of its own, so a simulator can drive
//!   it through every interleaving from one seed.

mod activity_code;
mod cache;
mod dispatch;
mod load;
mod notices;
mod orchestrator;
pub mod ports;

pub use activity_code::{ActivityCode, Attempt};
pub use dispatch::DispatchError;
pub use load::{LoadError, Reader};
pub use notices::Notices;
pub use orchestrator::{Orchestrator, OrchestratorConfig};
