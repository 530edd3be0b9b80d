//! Activity code, as the worker sees it.

use std::sync::Arc;

use futures::future::BoxFuture;
use millrace_core::{Fault, Payload, Task};

use crate::worker::Limit;

/// What a running attempt can say to its worker, and ask.
pub trait Attempt: Send + Sync {
    /// The task that is being run.
    fn task(&self) -> &Task;

    /// Reports progress. Resets the heartbeat timeout; the details are handed to the next attempt if this one fails.
    /// Returns at once: the lease is written behind it. An error says that the attempt should stop, and why: the
    /// activity was canceled, timed out, or the worker is shutting down.
    fn heartbeat(&self, details: Payload) -> Result<(), Fault>;

    /// What the last attempt reported with its last heartbeat.
    fn progress(&self) -> Option<Payload>;

    /// For an exclusive activity: rises with every holder of the lease; 0 without a lease.
    fn epoch(&self) -> u64;

    /// Says that the attempt ends without an outcome: whoever has its token reports one later. What the code returns then
    /// counts for nothing. `false` if the activity is none that completes later.
    fn leave(&self) -> bool {
        false
    }

    /// Resolves when the attempt should stop (see [`Attempt::heartbeat`]).
    fn stopped(&self) -> BoxFuture<'static, Fault>;
}

/// Activity code by name.
pub trait ActivityCode: Send + Sync {
    /// Whether an activity of this name is registered.
    fn knows(&self, activity: &str) -> bool;

    /// The names that are registered, for messages.
    fn names(&self) -> Vec<String>;

    /// Whether two inputs say the same, however they are written: what is encrypted has other bits each time.
    fn is_same(&self, one: &Payload, other: &Payload) -> bool {
        one == other
    }

    /// How many attempts of it run at a time in this process; no limit if none is given. The same one at every call.
    fn limit(&self, _activity: &str) -> Option<Arc<Limit>> {
        None
    }

    /// Runs one attempt.
    fn run(&self, attempt: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, Fault>>;
}
