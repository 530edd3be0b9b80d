//! The waker of a run's root future.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};

/// Remembers that it was woken; polling is for the turn to decide.
#[derive(Debug, Default)]
pub(crate) struct RootWaker(AtomicBool);

impl RootWaker {
    /// The flag and the waker that sets it.
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (flag.clone(), flag.into())
    }

    /// Whether it was woken since then, without forgetting it.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// Whether it was woken since the last time this was asked.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, SeqCst)
    }
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
