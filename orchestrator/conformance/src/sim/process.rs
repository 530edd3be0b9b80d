//! A simulated process: tasks that die together.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use millrace_engine::ports::{Spawn, SpawnHandle};

use super::{Sim, Task};

/// How long a killed process stays away, at most.
const LONGEST_RESTART_MS: u64 = 10_000;

/// A process. Clones are the same process; dropping them does not end it.
#[derive(Clone)]
pub struct Process {
    sim: Sim,
    id: u64,
    name: Arc<str>,
}

impl Process {
    pub(super) fn new(sim: Sim, id: u64, name: &str) -> Self {
        Self { sim, id, name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The world it is in.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Whether it has not been killed.
    pub fn is_alive(&self) -> bool {
        self.sim.world.lock().processes.contains_key(&self.id)
    }

    /// Starts a task. A panic in it goes through to whoever runs the world. In a dead process nothing starts.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.start(future.boxed());
    }

    /// The port: user code of this process.
    pub fn spawner(&self) -> Arc<dyn Spawn> {
        Arc::new(self.clone())
    }

    /// Stands still for so long: none of its tasks runs, and what it waits for goes on without it. Await it where it should
    /// stop.
    pub async fn freeze(&self, time: Duration) {
        {
            let mut inner = self.sim.world.lock();
            *inner.freezes.entry(self.id).or_default() += 1;
            inner.frozen.entry(self.id).or_default();
        }
        self.sim.note(format_args!("{} is frozen", self.name));
        let (process, clock) = (self.clone(), self.sim.clock());
        self.sim.process("supervisor").spawn(async move {
            clock.sleep_until(clock.now().plus(time)).await;
            process.thaw();
        });
        let mut has_stopped = false;
        poll_fn(|context| match std::mem::replace(&mut has_stopped, true) {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }

    fn thaw(&self) {
        let mut inner = self.sim.world.lock();
        let held = inner.frozen.remove(&self.id).unwrap_or_default();
        drop(inner);
        self.sim.note(format_args!("{} wakes", self.name));
        self.sim.world.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
    }

    /// How often it has stood still.
    pub fn freezes(&self) -> u64 {
        self.sim.world.lock().freezes.get(&self.id).copied().unwrap_or(0)
    }

    /// Ends it: none of its tasks runs again, and all they hold is dropped. A supervised process comes back.
    pub fn kill(&self) {
        let mut inner = self.sim.world.lock();
        if inner.processes.remove(&self.id).is_none() {
            return;
        }
        inner.frozen.remove(&self.id);
        let mut dead = Vec::new();
        let ids: Vec<u64> =
            inner.tasks.iter().filter(|(_, task)| task.process == self.id).map(|(id, _)| *id).collect();
        for id in ids {
            dead.extend(inner.tasks.remove(&id));
        }
        let restart = inner.supervised.get(&*self.name).cloned();
        let after = Duration::from_millis(inner.restarts.below(LONGEST_RESTART_MS));
        drop(inner);
        // What the tasks hold may lock the world when it is dropped.
        drop(dead);
        self.sim.note(format_args!("{} is killed", self.name));
        if let Some(start) = restart {
            let (sim, name) = (self.sim.clone(), self.name.clone());
            self.sim.process("supervisor").spawn(async move {
                let clock = sim.clock();
                clock.sleep_until(clock.now().plus(after)).await;
                sim.note(format_args!("{name} starts again"));
                start(sim.process(&name));
            });
        }
    }

    fn start(&self, future: BoxFuture<'static, ()>) -> Option<u64> {
        let mut inner = self.sim.world.lock();
        if !inner.processes.contains_key(&self.id) {
            drop(inner);
            return None;
        }
        let id = inner.next_id();
        inner.tasks.insert(id, Task { process: self.id, future: Some(future) });
        drop(inner);
        self.sim.world.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Some(id)
    }

    fn stop(&self, id: u64) {
        let dead = self.sim.world.lock().tasks.remove(&id);
        drop(dead);
    }
}

impl Spawn for Process {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle {
        let (ended, end) = oneshot::channel();
        let task = self.start(
            async move {
                let result = AssertUnwindSafe(future).catch_unwind().await;
                // Nobody listens any more when the handle is gone.
                let _ = ended.send(result.map_err(|panic| panic_text(panic.as_ref())));
            }
            .boxed(),
        );
        let stop = StopOnDrop { process: self.clone(), task };
        async move {
            let _stop = stop;
            end.await.unwrap_or_else(|_| Err("the process was killed".into()))
        }
        .boxed()
    }
}

struct StopOnDrop {
    process: Process,
    task: Option<u64>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.process.stop(task);
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}
