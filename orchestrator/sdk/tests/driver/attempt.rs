//! An activity attempt without a worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{Fault, Payload, Task};
use millrace_engine::Attempt;

/// The details of the last heartbeat of each activity.
pub type Beats = Arc<Mutex<BTreeMap<u64, Payload>>>;

pub struct Inline {
    task: Task,
    before: Option<Payload>,
    beats: Beats,
}

impl Inline {
    pub fn new(task: Task, beats: &Beats) -> Self {
        let before = beats.lock().unwrap().get(&task.activity_id).cloned();
        Self { task, before, beats: beats.clone() }
    }
}

impl Attempt for Inline {
    fn task(&self) -> &Task {
        &self.task
    }

    fn heartbeat(&self, details: Payload) -> Result<(), Fault> {
        self.beats.lock().unwrap().insert(self.task.activity_id, details);
        Ok(())
    }

    fn progress(&self) -> Option<Payload> {
        self.before.clone()
    }

    fn epoch(&self) -> u64 {
        u64::from(self.task.attempt)
    }

    fn stopped(&self) -> BoxFuture<'static, Fault> {
        std::future::pending().boxed()
    }
}
