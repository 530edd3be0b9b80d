//! Time, chance and threads. They enter here and nowhere else, so that one seed reproduces everything.

use futures::future::BoxFuture;
use millrace_core::Timestamp;

/// A clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Resolves at `time`, or at once if that has passed.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
}

/// Random bits.
pub trait Entropy: Send + Sync {
    /// 128 bits that nobody can guess (in production) or that a seed gives (in tests).
    fn bits(&self) -> u128;
}

/// A place where user code runs, apart from the engine: code that blocks its thread does not block the engine's.
pub trait Spawn: Send + Sync {
    /// Starts the future. Dropping the handle stops it at its next await; a panic resolves the handle with its text.
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle;
}

/// A running piece of user code: resolves when it ends, with the panic's text if it panicked.
pub type SpawnHandle = BoxFuture<'static, Result<(), String>>;
