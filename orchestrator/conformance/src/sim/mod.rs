//! A deterministic world: one thread, virtual time, and one seed that decides who runs next.
//!
//! What holds: a seed run twice gives the same trace, as long as what runs in it takes time from [`Sim::clock`], random
//! bits from [`Sim::entropy`], and iterates over nothing unordered. Time stands still while anything can run, then
//! jumps to the next timer. A process that is killed stops at its current await, with all of its tasks.

mod ports;
mod process;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use millrace_core::Timestamp;
use millrace_engine::ports::{Clock, Entropy};

use crate::rng::Rng;
pub use process::Process;
use task::TaskWaker;

/// 2026-01-01T00:00:00Z: where virtual time begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// So many steps without time passing are an endless loop.
const MOST_STEPS_AT_ONE_TIME: u64 = 5_000_000;

/// The world. Clones are the same world.
#[derive(Clone)]
pub struct Sim {
    world: Arc<World>,
}

/// Why the condition did not come true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// Nothing can run, and no timer is set.
    Idle,
    /// The time is over.
    TimeOver,
    /// The tasks go round in circles at this one time.
    Busy(Timestamp),
}

struct World {
    inner: Mutex<Inner>,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

struct Inner {
    now: Timestamp,
    schedule: Rng,
    entropy: Rng,
    restarts: Rng,
    last_id: u64,
    steps: u64,
    tasks: BTreeMap<u64, Task>,
    processes: BTreeMap<u64, String>,
    /// The processes that stand still, with their tasks that would run.
    frozen: BTreeMap<u64, BTreeSet<u64>>,
    /// How often each process has stood still.
    freezes: BTreeMap<u64, u64>,
    supervised: BTreeMap<String, Arc<dyn Fn(Process) + Send + Sync>>,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    trace: Vec<String>,
    hash: std::hash::DefaultHasher,
}

struct Task {
    process: u64,
    /// Absent while it is being polled.
    future: Option<BoxFuture<'static, ()>>,
}

impl Sim {
    /// The world of this seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let inner = Inner {
            now: BEGINNING,
            schedule: rng.fork(),
            entropy: rng.fork(),
            restarts: rng.fork(),
            last_id: 0,
            steps: 0,
            tasks: BTreeMap::new(),
            processes: BTreeMap::new(),
            frozen: BTreeMap::new(),
            freezes: BTreeMap::new(),
            supervised: BTreeMap::new(),
            timers: BTreeMap::new(),
            trace: Vec::new(),
            hash: std::hash::DefaultHasher::new(),
        };
        Self { world: Arc::new(World { inner: Mutex::new(inner), ready: Arc::default() }) }
    }

    /// A new process. Its name is for the trace; several may have the same.
    pub fn process(&self, name: &str) -> Process {
        let mut inner = self.world.lock();
        let id = inner.next_id();
        inner.processes.insert(id, name.to_owned());
        drop(inner);
        Process::new(self.clone(), id, name)
    }

    /// Starts a process, and starts it again some seconds after it was killed, for ever.
    pub fn supervise(&self, name: &str, start: impl Fn(Process) + Send + Sync + 'static) {
        let start = Arc::new(start);
        self.world.lock().supervised.insert(name.to_owned(), start.clone());
        start(self.process(name));
    }

    /// Kills the processes of this name. Supervised ones come back.
    pub fn kill(&self, name: &str) {
        let inner = self.world.lock();
        let all = inner.processes.iter().filter(|(_, of)| *of == name).map(|(id, _)| *id);
        let doomed: Vec<_> = all.map(|id| Process::new(self.clone(), id, name)).collect();
        drop(inner);
        doomed.iter().for_each(Process::kill);
    }

    /// The world's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(ports::SimClock(self.clone()))
    }

    /// A clock that is wrong by so much when the world begins, and too fast by so many millionths.
    pub fn skewed_clock(&self, offset_ms: i64, ppm: i64) -> Arc<dyn Clock> {
        Arc::new(ports::SkewedClock { sim: self.clone(), offset_ms, ppm })
    }

    /// The world's random bits.
    pub fn entropy(&self) -> Arc<dyn Entropy> {
        Arc::new(ports::SimEntropy(self.clone()))
    }

    /// Adds a line to the trace, with the time.
    pub fn note(&self, line: impl std::fmt::Display) {
        let mut inner = self.world.lock();
        let line = format!("{} {line}", inner.now);
        inner.hash.write(line.as_bytes());
        inner.trace.push(line);
    }

    /// The lines so far.
    pub fn trace(&self) -> Vec<String> {
        self.world.lock().trace.clone()
    }

    /// A fingerprint of everything that ran, in which order and when, lines included.
    pub fn trace_hash(&self) -> u64 {
        self.world.lock().hash.finish()
    }

    /// How many steps it has made: polls of one task.
    pub fn steps(&self) -> u64 {
        self.world.lock().steps
    }

    /// Lets the world go on until the condition holds, for at most this much virtual time.
    ///
    /// # Errors
    /// It did not come true.
    pub fn run_until(&self, mut holds: impl FnMut() -> bool, most: Duration) -> Result<(), Stuck> {
        let deadline = self.clock().now().plus(most);
        let mut steps = 0;
        while !holds() {
            if self.step() {
                steps += 1;
                if steps > MOST_STEPS_AT_ONE_TIME {
                    return Err(Stuck::Busy(self.clock().now()));
                }
            } else {
                self.jump(deadline)?;
                steps = 0;
            }
        }
        Ok(())
    }

    /// Runs one future to its end, with everything else in the world.
    ///
    /// # Errors
    /// It did not end within this much virtual time.
    pub fn block_on<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
        most: Duration,
    ) -> Result<T, Stuck> {
        let answer = Arc::new(Mutex::new(None));
        let slot = answer.clone();
        self.process("block_on").spawn(async move {
            let value = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        });
        let take = || answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut value = None;
        self.run_until(
            || {
                value = value.take().or_else(take);
                value.is_some()
            },
            most,
        )?;
        value.ok_or(Stuck::Idle)
    }

    /// Polls one task that is ready, as the seed decides; says whether there was one.
    fn step(&self) -> bool {
        let Some((id, mut future)) = self.choose() else { return false };
        let waker = Waker::from(Arc::new(TaskWaker { id, ready: self.world.ready.clone() }));
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut inner = self.world.lock();
        if ended {
            inner.tasks.remove(&id);
        } else if let Some(task) = inner.tasks.get_mut(&id) {
            task.future = Some(future);
            return true;
        }
        // Ended, or killed while it ran: what it holds may lock the world when it is dropped.
        drop(inner);
        drop(future);
        true
    }

    fn choose(&self) -> Option<(u64, BoxFuture<'static, ()>)> {
        let mut inner = self.world.lock();
        let mut ready = self.world.ready.lock().unwrap_or_else(PoisonError::into_inner);
        while !ready.is_empty() {
            let nth = inner.schedule.below(ready.len() as u64) as usize;
            let id = *ready.iter().nth(nth)?;
            ready.remove(&id);
            if inner.holds_back(id) {
                continue;
            }
            if let Some(future) = inner.tasks.get_mut(&id).and_then(|task| task.future.take()) {
                inner.hash.write_u64(id);
                inner.steps += 1;
                return Some((id, future));
            }
        }
        None
    }

    /// Time goes on to the next timer.
    fn jump(&self, deadline: Timestamp) -> Result<(), Stuck> {
        let mut inner = self.world.lock();
        let Some((&(next, _), _)) = inner.timers.first_key_value() else { return Err(Stuck::Idle) };
        if next > deadline {
            inner.now = deadline;
            return Err(Stuck::TimeOver);
        }
        inner.now = inner.now.max(next);
        inner.hash.write_i64(next.as_millis());
        let later = (inner.now.plus(Duration::from_millis(1)), 0);
        let later = inner.timers.split_off(&later);
        let due = std::mem::replace(&mut inner.timers, later);
        drop(inner);
        due.into_values().for_each(Waker::wake);
        Ok(())
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Keeps a task of a frozen process for later.
    fn holds_back(&mut self, task: u64) -> bool {
        let process = self.tasks.get(&task).map(|task| task.process);
        let held = process.and_then(|process| self.frozen.get_mut(&process));
        held.map(|held| held.insert(task)).is_some()
    }
}
