//! The workflows of a test, which tell what they wait for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millrace_core::{Blocked, Coroutine, Payload, RunId, RunInfo, WorkflowCode, WorkflowType};

use crate::App;
use crate::host::Journal;

/// Registered workflows.
#[derive(Default)]
pub(super) struct Code {
    app: App,
    /// 0: what it is by default.
    history_limit: AtomicU64,
    running: Mutex<BTreeMap<RunId, Weak<Journal>>>,
}

impl Code {
    pub(super) fn new(app: App) -> Self {
        Self { app, ..Self::default() }
    }

    /// The same with other registrations.
    pub(super) fn change(&self, change: impl FnOnce(App) -> App) -> Self {
        let code = Self::new(change(self.app.clone()));
        code.set_history_limit(self.history_limit.load(Relaxed));
        code
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    pub(super) fn set_history_limit(&self, events: u64) {
        self.history_limit.store(events, Relaxed);
    }

    /// What a run's code waits for beside its open calls, in words.
    pub(super) fn waits(&self, run_id: RunId) -> Vec<String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&run_id).and_then(Weak::upgrade).map(|journal| journal.waiting()).unwrap_or_default()
    }
}

impl WorkflowCode for Code {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        let host = self.app.host(info)?;
        match self.history_limit.load(Relaxed) {
            0 => {}
            events => host.journal().set_history_limit(events),
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(info.run_id, Arc::downgrade(host.journal()));
        Ok(Box::new(host))
    }

    fn version(&self, workflow: &WorkflowType) -> Option<String> {
        self.app.workflow_code().version(workflow)
    }

    fn refuses(&self, workflow: &WorkflowType, input: &Payload) -> Option<String> {
        self.app.workflow_code().refuses(workflow, input)
    }
}
