//! An activity attempt without a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{Fault, Payload, RunId, Task};
use millrace_engine::Attempt;

/// What an activity keeps over its attempts: in the engine, its lease.
#[derive(Clone, Debug, Default)]
struct Lease {
    details: Option<Payload>,
    cancel: Option<String>,
}

/// The leases of all activities.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Arc<Mutex<BTreeMap<(RunId, u64), Lease>>>);

impl Leases {
    fn open(&self) -> MutexGuard<'_, BTreeMap<(RunId, u64), Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an activity should stop, if it was asked to.
    pub(super) fn canceled(&self, task: &Task) -> Option<Fault> {
        let reason = self.open().get(&(task.run_id, task.activity_id))?.cancel.clone()?;
        Some(Fault::Canceled { reason })
    }

    /// Asks an activity to stop.
    pub(super) fn cancel(&self, run_id: RunId, activity_id: u64, reason: &str) {
        self.open().entry((run_id, activity_id)).or_default().cancel = Some(reason.to_owned());
    }
}

/// One attempt.
pub(super) struct Inline {
    task: Task,
    before: Option<Payload>,
    leases: Leases,
    left: Arc<AtomicBool>,
}

impl Inline {
    pub(super) fn new(task: Task, leases: Leases, left: Arc<AtomicBool>) -> Self {
        let before =
            leases.open().get(&(task.run_id, task.activity_id)).and_then(|lease| lease.details.clone());
        Self { task, before, leases, left }
    }

    fn key(&self) -> (RunId, u64) {
        (self.task.run_id, self.task.activity_id)
    }

    fn canceled(&self) -> Option<Fault> {
        self.leases.canceled(&self.task)
    }
}

impl Attempt for Inline {
    fn task(&self) -> &Task {
        &self.task
    }

    fn heartbeat(&self, details: Payload) -> Result<(), Fault> {
        self.leases.open().entry(self.key()).or_default().details = Some(details);
        self.canceled().map_or(Ok(()), Err)
    }

    fn progress(&self) -> Option<Payload> {
        self.before.clone()
    }

    fn epoch(&self) -> u64 {
        if self.task.options.exclusive { u64::from(self.task.attempt) } else { 0 }
    }

    fn leave(&self) -> bool {
        let may = self.task.token.is_some();
        self.left.store(may, SeqCst);
        may
    }

    /// An activity takes no time here: what asks it to stop has come before it, or comes too late.
    fn stopped(&self) -> BoxFuture<'static, Fault> {
        match self.canceled() {
            Some(fault) => std::future::ready(fault).boxed(),
            None => std::future::pending().boxed(),
        }
    }
}
