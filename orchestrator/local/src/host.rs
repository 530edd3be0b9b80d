//! The real world behind the ports: the system's clock, the system's random bits, a tokio runtime.
//!
//! This is the one home of `SystemTime::now` and `tokio::time::sleep`.

use std::any::Any;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use futures::future::{AbortHandle, BoxFuture, abortable};
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, Entropy, Spawn, SpawnHandle};

/// The system's clock, held still while the system sets it back. Sleeping needs a tokio runtime with a timer.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_ms: AtomicI64,
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock port's adapter")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.latest_ms.fetch_max(now, Ordering::Relaxed).max(now))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock port's adapter")]
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let remaining = time.since(self.now());
        if remaining.is_zero() {
            return futures::future::ready(()).boxed();
        }
        tokio::time::sleep(remaining).boxed()
    }
}

/// Random bits that nobody can guess.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn bits(&self) -> u128 {
        // A generator of the thread's own that no outsider can guess, seeded by the operating system, and again every 64 KiB:
        // three calls of the system for each turn were a thirtieth of its time. Without a seed the process ends.
        rand::random()
    }
}

/// Runs user code on a tokio runtime, each attempt on a thread of its own from the runtime's pool: code that blocks its
/// thread, for hours or for good, takes no thread from the others.
#[derive(Clone, Debug)]
pub struct TokioSpawn {
    runtime: tokio::runtime::Handle,
}

impl TokioSpawn {
    /// Spawns onto this runtime, whose blocking pool must have room for every slot of every worker.
    pub fn new(runtime: tokio::runtime::Handle) -> Self {
        Self { runtime }
    }
}

impl Spawn for TokioSpawn {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle {
        let (future, abort) = abortable(future);
        let runtime = self.runtime.clone();
        let thread = self.runtime.spawn_blocking(move || runtime.block_on(future));
        let stop_when_dropped = AbortOnDrop(abort);
        async move {
            let _stop_when_dropped = stop_when_dropped;
            match thread.await {
                Ok(_) => Ok(()),
                Err(error) => Err(match error.try_into_panic() {
                    Ok(panic) => panic_text(panic.as_ref()),
                    Err(error) => format!("stopped: {error}"),
                }),
            }
        }
        .boxed()
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}
