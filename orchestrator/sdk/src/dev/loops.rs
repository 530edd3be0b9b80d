//! The engine's parts, each in a loop of its own until the engine stops.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, FutureExt, select};
use millrace_core::TaskQueue;
use millrace_engine::ports::{Ports, QueueError, QueueName};
use millrace_engine::{Buried, DeadLetters, Orchestrator, Purger, Stop, Ticker, Worker, WorkerConfig};
use millrace_format::Keys;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Options;
use crate::App;

/// How long one receive waits for a first message.
const POLL: Duration = Duration::from_secs(20);
/// How long a received message is hidden from the orchestrator's other loop.
const VISIBILITY: Duration = Duration::from_secs(60);
/// The shortest time between two writes of an activity's progress.
const BEAT: Duration = Duration::from_millis(100);
/// Between the start of the engine and its first purge.
const BEFORE_PURGE: Duration = Duration::from_secs(60);
/// Between two looks at dead letters where something lies that is no task.
const BESIDE_OTHERS: Duration = Duration::from_secs(60);
const BACKOFF: Duration = Duration::from_secs(1);

pub(super) fn spawn(
    app: &App,
    options: &Options,
    ports: &Ports,
    orchestrator: &Arc<Orchestrator>,
    (stop, runtime): (Stop, &Handle),
) -> Vec<JoinHandle<()>> {
    let mut loops = Vec::new();
    let mut keep = |what: String, work: Box<Work>| {
        loops.push(runtime.spawn(supervise(what, work, ports.clone(), stop.clone())));
    };
    // Outcomes that the last process left are absorbed before any worker takes a task: a step that was reported is not
    // run again because its task is still there. A panic is the orchestrator's to report: it meets the same messages.
    let caught_up = AssertUnwindSafe(catch_up(orchestrator.clone(), ports.clone())).catch_unwind();
    let caught_up = caught_up.map(drop).boxed().shared();
    for queue in [QueueName::inbox(), QueueName::events()] {
        let what = format!("the orchestrator of `{queue}`");
        let (orchestrator, ports, stop) = (orchestrator.clone(), ports.clone(), stop.clone());
        let work =
            move || orchestrate(orchestrator.clone(), ports.clone(), queue.clone(), stop.clone()).boxed();
        keep(what, Box::new(work));
    }
    for queue in app.task_queues() {
        let what = format!("the worker of `{queue}`");
        let worker =
            Arc::new(Worker::new(ports.clone(), app.activity_code(), worker(options, queue.clone())));
        let (until, caught_up) = (stop.clone(), caught_up.clone());
        let work = move || {
            let (worker, until, caught_up) = (worker.clone(), until.clone(), caught_up.clone());
            async move {
                caught_up.await;
                worker.run(until).await;
            }
            .boxed()
        };
        keep(what, Box::new(work));
        let what = format!("the reports of dead tasks of `{queue}`");
        let (ports, stop) = (ports.clone(), stop.clone());
        keep(what, Box::new(move || bury(ports.clone(), queue.clone(), stop.clone()).boxed()));
    }
    let (far, keys, until) = (ports.clone(), Keys::new(options.namespace.clone()), stop.clone());
    let work = move || tick(Ticker::new(far.clone(), keys.clone()), far.clone(), until.clone()).boxed();
    keep("far timers".into(), Box::new(work));
    if let Some(retention) = options.retention {
        let (closed, keys, until) = (ports.clone(), Keys::new(options.namespace.clone()), stop.clone());
        let purger = Arc::new(Purger::new(closed.clone(), keys, retention));
        let work = move || purge(purger.clone(), closed.clone(), until.clone()).boxed();
        keep("the retention of closed runs".into(), Box::new(work));
    }
    loops
}

/// Begins a loop.
type Work = dyn Fn() -> BoxFuture<'static, ()> + Send;

/// Keeps a loop going until the engine stops: one that ended before has panicked, and begins again after a second. What
/// it held comes again, as after a crash.
async fn supervise(what: String, work: Box<Work>, ports: Ports, stop: Stop) {
    loop {
        let ended = AssertUnwindSafe(work()).catch_unwind().await;
        if stop.clone().now_or_never().is_some() {
            return;
        }
        let panicked = ended.is_err();
        tracing::error!(what, panicked, "a part of the engine has ended; it begins again in a second");
        if pause(&ports, BACKOFF, &stop).await.is_none() {
            return;
        }
    }
}

fn worker(options: &Options, task_queue: TaskQueue) -> WorkerConfig {
    WorkerConfig {
        namespace: options.namespace.clone(),
        slots: options.slots.max(1),
        grace: options.grace,
        only_process: true,
        // A lease is a write to the folder here, not a request that is billed.
        beat_every: BEAT,
        ..WorkerConfig::new(task_queue)
    }
}

/// Absorbs what waits in the events queue now. If that does not work, the loops say so.
async fn catch_up(orchestrator: Arc<Orchestrator>, ports: Ports) {
    let (queue, max) = (QueueName::events(), ports.queues.batch_limit());
    while let Ok(batch) = ports.queues.receive(&queue, max, Duration::ZERO, VISIBILITY).await
        && !batch.is_empty()
    {
        orchestrator.handle(&queue, batch).await;
    }
}

/// Turns, batch after batch. A stop interrupts the wait for messages, not a turn.
async fn orchestrate(orchestrator: Arc<Orchestrator>, ports: Ports, queue: QueueName, stop: Stop) {
    let mut trouble = Trouble::default();
    loop {
        let batch = ports.queues.receive(&queue, ports.queues.batch_limit(), POLL, VISIBILITY);
        let Some(batch) = until(&stop, batch).await else { return };
        match batch {
            Ok(batch) => {
                trouble.over();
                orchestrator.handle(&queue, batch).await;
            }
            Err(error) => {
                trouble.with(&queue, &error);
                if pause(&ports, BACKOFF, &stop).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Reports tasks that killed their workers.
async fn bury(ports: Ports, queue: TaskQueue, stop: Stop) {
    let (dead_letters, mut trouble) = (DeadLetters::new(ports.clone()), Trouble::default());
    loop {
        match until(&stop, dead_letters.poll(&queue, POLL)).await {
            None => return,
            Some(Ok(Buried { left: 0, .. })) => trouble.over(),
            // What is no task waits for a person, and would be received again at once.
            Some(Ok(_)) => {
                trouble.over();
                if pause(&ports, BESIDE_OTHERS, &stop).await.is_none() {
                    return;
                }
            }
            Some(Err(error)) => {
                trouble.with(&QueueName::task(&queue).dead_letters(), &error);
                if pause(&ports, BACKOFF, &stop).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Sends far timers whose time comes near: at once, for those that came due while no engine was at work, and then again
/// and again.
async fn tick(ticker: Ticker, ports: Ports, stop: Stop) {
    loop {
        let wait = match ticker.tick().await {
            Ok(_) => Ticker::EVERY,
            Err(error) => {
                tracing::warn!(%error, "far timers could not be looked after; trying again");
                Duration::from_secs(30)
            }
        };
        if pause(&ports, wait, &stop).await.is_none() {
            return;
        }
    }
}

/// Removes closed runs whose time is over: not before what the folder's queues have kept is absorbed, or a start that comes
/// twice would not be known for one.
async fn purge(purger: Arc<Purger>, ports: Ports, stop: Stop) {
    let mut wait = BEFORE_PURGE;
    while pause(&ports, wait, &stop).await.is_some() {
        purger.purge(None).await;
        wait = Purger::EVERY;
    }
}

/// `None` when the engine stops first.
async fn until<T>(stop: &Stop, work: impl Future<Output = T>) -> Option<T> {
    match select(stop.clone(), std::pin::pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((done, _)) => Some(done),
    }
}

async fn pause(ports: &Ports, wait: Duration, stop: &Stop) -> Option<()> {
    until(stop, ports.clock.sleep_until(ports.clock.now().plus(wait))).await
}

/// Says once that something does not work, and once that it works again.
#[derive(Default)]
struct Trouble(bool);

impl Trouble {
    fn with(&mut self, queue: &QueueName, error: &QueueError) {
        if !std::mem::replace(&mut self.0, true) {
            tracing::error!(%queue, %error, "messages cannot be received; trying again every second");
        }
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.0) {
            tracing::info!("messages can be received again");
        }
    }
}
