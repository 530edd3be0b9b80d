//! The worker: takes tasks from one task queue, runs their activities, reports outcomes (§6). Nothing else.

mod lease;
mod room;
mod running;
mod supervise;
mod task;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture, FutureExt, Shared, join_all};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, select_biased};
use millrace_core::{Namespace, TaskQueue, Timestamp};
use millrace_format::Keys;

use crate::activity_code::ActivityCode;
use crate::load::Reader;
use crate::ports::{Delivery, Ports, QueueName};

pub use room::Limit;

/// Begins the reason with which a task that is none is dead-lettered.
pub(crate) const BAD_TASK: &str = "not a task: ";

/// Code that was stopped ends at its next await. So long it may take to get there before it counts as running on.
const TO_END: Duration = Duration::from_secs(1);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a worker is set up.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Whose leases and histories it reads.
    pub namespace: Namespace,
    /// The queue it serves.
    pub task_queue: TaskQueue,
    /// How many attempts it runs at a time.
    pub slots: usize,
    /// How long a task is hidden at a time; extended while its attempt runs, a third ahead.
    pub visibility: Duration,
    /// How long one receive waits for a first task.
    pub poll: Duration,
    /// How long a lease is good for after each write.
    pub lease: Duration,
    /// The shortest time between two writes of a lease: heartbeats in between are summed up.
    pub beat_every: Duration,
    /// How long attempts, and the last receive, may take to end after the worker is asked to stop.
    pub grace: Duration,
    /// There is no other process (the embedded engine): a lease that this worker did not take is void, and a receive
    /// that is dropped takes nothing.
    pub only_process: bool,
    /// So many workers may vanish with one attempt of a leased activity; then it is reported as failed instead of killing
    /// another.
    pub most_vanished: u32,
    /// Leaves [`Worker::run`] once there has been nothing to do for so long: a machine that came up for its work can go.
    pub leave_when_idle: Option<Duration>,
}

impl WorkerConfig {
    /// The defaults for a task queue.
    pub fn new(task_queue: TaskQueue) -> Self {
        Self {
            namespace: Namespace::default(),
            task_queue,
            slots: 32,
            visibility: Duration::from_secs(60),
            poll: Duration::from_secs(20),
            lease: Duration::from_secs(60),
            beat_every: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            only_process: false,
            most_vanished: 5,
            leave_when_idle: None,
        }
    }
}

/// Resolves when the worker should stop.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// Why [`Worker::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was asked to.
    Stopped,
    /// There was nothing to do for as long as its set-up says.
    Idle,
}

/// Runs activity attempts.
pub struct Worker {
    ports: Ports,
    code: Arc<dyn ActivityCode>,
    reader: Reader,
    queue: QueueName,
    /// Tells this worker's leases from those of others.
    holder: String,
    /// Every attempt's code holds a clone until it really ends.
    code_runs: Arc<()>,
    config: WorkerConfig,
}

impl Worker {
    /// A worker for one task queue, for the activities that `code` knows.
    pub fn new(ports: Ports, code: Arc<dyn ActivityCode>, config: WorkerConfig) -> Self {
        Self {
            reader: Reader::new(ports.store.clone(), Keys::new(config.namespace.clone())),
            queue: QueueName::task(&config.task_queue),
            holder: format!("{:032x}", ports.entropy.bits()),
            code_runs: Arc::default(),
            ports,
            code,
            config,
        }
    }

    /// Takes and runs tasks until `stop`, then lets the running attempts end within the grace, and gives the others
    /// back without costing them an attempt. Nothing is received any more once it has decided to leave as idle.
    ///
    /// The last receive is let run to its end within the grace, and what it brings is given back: SQS goes on answering
    /// a long poll whose caller has gone, and such a task would be hidden for its visibility, with a receive counted.
    pub async fn run(&self, stop: Stop) -> Left {
        let mut stopping = stop.clone().fuse();
        let mut grace = Fuse::terminated();
        let mut running = FuturesUnordered::new();
        let mut receiving = self.receive(self.config.slots).boxed().fuse();
        let mut stopped = false;
        let mut idle_since = self.ports.clock.now();
        loop {
            select_biased! {
                () = stopping => {
                    stopped = true;
                    let last = if self.config.only_process { Duration::ZERO } else { self.config.grace };
                    grace = self.ports.clock.sleep_until(self.ports.clock.now().plus(last)).fuse();
                }
                batch = receiving => {
                    // Large futures, which the set would move several times over.
                    running.extend(batch.into_iter().map(|task| Box::pin(self.task(task, stop.clone(), None))));
                    receiving = Fuse::terminated();
                }
                () = grace => receiving = Fuse::terminated(),
                () = running.select_next_some() => {}
            }
            if stopped && running.is_empty() && receiving.is_terminated() {
                return Left::Stopped;
            }
            let now = self.ports.clock.now();
            if !running.is_empty() {
                idle_since = now;
            } else if receiving.is_terminated()
                && self.config.leave_when_idle.is_some_and(|most| now - idle_since >= most)
            {
                return Left::Idle;
            }
            let free = self.config.slots.saturating_sub(running.len());
            if !stopped && free > 0 && receiving.is_terminated() {
                receiving = self.receive(free).boxed().fuse();
            }
        }
    }

    /// Runs tasks that were received elsewhere, by a function's event source. Each attempt is bounded by `until`, when the
    /// caller's own time ends; until then its messages are hidden anyway, so visibility is never extended, only shortened
    /// to what an attempt needs. Messages that are not deleted afterwards come again.
    ///
    /// Returns how many attempts' code runs on: code that was stopped, but never awaits. Only the end of the process ends
    /// it.
    pub async fn handle(&self, batch: Vec<Delivery>, until: Timestamp, stop: Stop) -> usize {
        join_all(batch.into_iter().map(|task| self.task(task, stop.clone(), Some(until)))).await;
        let clock = &self.ports.clock;
        let late = clock.now().plus(TO_END);
        while self.running_on() > 0 && clock.now() < late {
            clock.sleep_until(clock.now().plus(LOOK_AGAIN)).await;
        }
        self.running_on()
    }

    fn running_on(&self) -> usize {
        Arc::strong_count(&self.code_runs) - 1
    }

    /// Runs the tasks that are there, and those that come while they run, until there are none.
    pub async fn drain(&self, stop: Stop) {
        loop {
            let batch = self.receive(self.config.slots).await;
            if batch.is_empty() {
                return;
            }
            join_all(batch.into_iter().map(|task| self.task(task, stop.clone(), None))).await;
        }
    }

    async fn receive(&self, free: usize) -> Vec<Delivery> {
        let max = free.min(self.ports.queues.batch_limit());
        match self.ports.queues.receive(&self.queue, max, self.config.poll, self.config.visibility).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(queue = %self.queue, %error, "no tasks can be received now; trying again");
                let pause = self.ports.clock.now().plus(Duration::from_secs(1));
                self.ports.clock.sleep_until(pause).await;
                Vec::new()
            }
        }
    }
}
