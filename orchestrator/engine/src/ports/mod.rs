//! What the engine needs of the world: an object store, queues, a clock, random bits, a place to run user code.
//!
//! No AWS type appears here. An adapter implements these traits; the suite in `millrace-conformance` checks it.

mod bodies;
mod counting;
mod large;
mod queue;
mod runtime;
mod store;

pub use bodies::{Bodies, BodyRead, BodyStore, pointed_to};
pub use counting::{CallCounts, Counting};
pub use large::LargeBodies;
pub use queue::{Delivery, OutMessage, QueueError, QueueName, Queues, Receipt, SendError};
pub use runtime::{Clock, Entropy, Spawn, SpawnHandle};
pub use store::{Condition, DeleteError, ETag, ObjectStore, PutError, StoreError, Stored};

use std::sync::Arc;

/// Everything the engine needs, as it is handed around.
#[derive(Clone)]
pub struct Ports {
    /// Objects: histories, leases, timers, indexes.
    pub store: Arc<dyn ObjectStore>,
    /// Messages.
    pub queues: Arc<dyn Queues>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random bits.
    pub entropy: Arc<dyn Entropy>,
    /// Where activities run.
    pub spawn: Arc<dyn Spawn>,
}
