//! Waiting for what other processes do: look, look again, give up at a deadline.

#![allow(clippy::disallowed_methods, reason = "tests of other processes wait in real time, and only in here")]

use std::time::{Duration, Instant};

/// How often to look.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A time at which a test gives up. Far beyond what is expected: a slow machine is no failure.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant, Duration);

impl Deadline {
    /// So many seconds from now.
    pub fn in_secs(seconds: u64) -> Self {
        let time = Duration::from_secs(seconds);
        Self(Instant::now() + time, time)
    }

    /// Whether it is time to give up.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.0
    }

    /// Waits a moment before the next look; fails with `what` when the time is up.
    pub fn pause(&self, what: impl FnOnce() -> String) {
        assert!(!self.has_passed(), "after {:?}: {}", self.1, what());
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Lets some time pass, in milliseconds.
pub fn wait(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// The same without holding up a thread.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Looks until there is something to see.
pub fn eventually<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::in_secs(seconds);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        deadline.pause(|| format!("still waiting for {what}"));
    }
}

/// How long something took, for reports.
pub struct Watch(Instant);

impl Watch {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
