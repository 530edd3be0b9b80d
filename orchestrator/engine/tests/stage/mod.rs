//! A simulated world for tests of the engine alone: virtual time, processes that are killed or frozen, a workflow whose
//! input says what it does, and activities that each test writes itself.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may")]

mod gate;
mod script;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use millrace_conformance::{Process, Sim};
use millrace_core::{EventKind, Fault, Namespace, Payload, Runaway, TaskQueue, Timestamp, WorkflowId};
use millrace_engine::ports::{Clock, Ports, QueueName};
use millrace_engine::{
    ActivityCode, Attempt, Client, DeadLetters, Limit, Orchestrator, OrchestratorConfig, PurgeReport, Purger,
    Retention, Stop, SweepReport, Sweeper, Ticker, Worker, WorkerConfig,
};
use millrace_format::{Head, Keys, Lease};
use millrace_local::Memory;
use serde_json::{Value, json};

pub use gate::Gate;
pub use script::Script;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

type Answer = Result<Payload, Fault>;
type Code = Arc<dyn Fn(Arc<dyn Attempt>, Arc<dyn Clock>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// One attempt that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    pub activity: String,
    pub attempt: u32,
    pub epoch: u64,
    pub process: String,
    pub progress: Option<Payload>,
    pub at: Timestamp,
}

/// The world. Clones are the same world.
#[derive(Clone)]
pub struct Stage {
    pub sim: Sim,
    pub memory: Arc<Memory>,
    activities: Arc<Mutex<BTreeMap<String, Code>>>,
    /// How many attempts of an activity run at a time in each process.
    limits: Arc<Mutex<BTreeMap<String, usize>>>,
    ran: Arc<Mutex<Vec<Ran>>>,
    /// How many turns a run may make on its own: by default what is advised, so every test says that it is enough.
    pub runaway: Option<Runaway>,
    /// How often a task is received before it is a dead letter, as the consumer of dead letters is told.
    pub max_receive: u32,
}

/// A worker that was started; dropping this asks it to stop.
pub struct Working {
    pub process: Process,
    pub gate: Arc<Gate>,
    stop: Option<oneshot::Sender<()>>,
    ended: Arc<Mutex<bool>>,
}

impl Working {
    /// Asks it to stop, as a deploy or a spot notice does.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Whether it has returned.
    pub fn has_ended(&self) -> bool {
        *self.ended.lock().unwrap()
    }
}

impl Stage {
    pub fn new(seed: u64) -> Self {
        let sim = Sim::new(seed);
        let memory = Memory::with_batch_limit(sim.clock(), 10);
        Self {
            memory,
            sim,
            activities: Arc::default(),
            limits: Arc::default(),
            ran: Arc::default(),
            runaway: Some(Runaway::default()),
            max_receive: 1,
        }
    }

    /// A world with one orchestrator and a ticker, which also looks after dead letters.
    pub fn running(seed: u64) -> Self {
        let stage = Self::new(seed);
        stage.orchestrator("orchestrator");
        stage.ticker("ticker");
        stage
    }

    pub fn activity<F>(
        &self,
        name: &str,
        code: impl Fn(Arc<dyn Attempt>, Arc<dyn Clock>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let code: Code = Arc::new(move |attempt, clock| code(attempt, clock).boxed());
        self.activities.lock().unwrap().insert(name.to_owned(), code);
    }

    /// At most so many attempts at a time, in each process that begins from now on.
    pub fn limit(&self, name: &str, most: usize) {
        self.limits.lock().unwrap().insert(name.to_owned(), most);
    }

    /// Attempts that ran, in order.
    pub fn ran(&self) -> Vec<Ran> {
        self.ran.lock().unwrap().clone()
    }

    /// The numbers of the attempts that ran, in order.
    pub fn attempts(&self) -> Vec<u32> {
        self.ran().iter().map(|ran| ran.attempt).collect()
    }

    pub fn ports(&self, process: &Process) -> Ports {
        Ports {
            store: self.memory.clone(),
            queues: self.memory.clone(),
            clock: self.sim.clock(),
            entropy: self.sim.entropy(),
            spawn: process.spawner(),
        }
    }

    pub fn orchestrator(&self, name: &str) -> Process {
        self.orchestrator_with(name, |_, ports| ports)
    }

    /// An orchestrator whose ports the test has wrapped.
    pub fn orchestrator_with(&self, name: &str, wrap: impl FnOnce(&Process, Ports) -> Ports) -> Process {
        let process = self.sim.process(name);
        let ports = wrap(&process, self.ports(&process));
        let config =
            OrchestratorConfig { build: "b1".into(), runaway: self.runaway, ..OrchestratorConfig::default() };
        let local = Activities::of(self, name, &ports.clock);
        let orchestrator = Orchestrator::new(ports, Arc::new(Script), config);
        let orchestrator = Arc::new(orchestrator.with_local_activities(Arc::new(local)));
        for queue in [QueueName::inbox(), QueueName::events()] {
            let (orchestrator, clock) = (orchestrator.clone(), self.sim.clock());
            process.spawn(async move {
                loop {
                    if orchestrator.poll(&queue).await.is_err() {
                        pause(&*clock, SECOND).await;
                    }
                }
            });
        }
        process
    }

    pub fn ticker(&self, name: &str) -> Process {
        self.ticker_with(name, |_, ports| ports)
    }

    pub fn ticker_with(&self, name: &str, wrap: impl FnOnce(&Process, Ports) -> Ports) -> Process {
        let process = self.sim.process(name);
        let ports = wrap(&process, self.ports(&process));
        let (ticker, dead) = (
            Ticker::new(ports.clone(), Keys::new(Namespace::default())),
            DeadLetters::new(ports.clone()).after_receives(self.max_receive),
        );
        let clock = self.sim.clock();
        process.spawn(async move {
            loop {
                let _ = ticker.tick().await;
                let _ = dead.poll(&cpu(), Duration::ZERO).await;
                pause(&*clock, Ticker::EVERY).await;
            }
        });
        process
    }

    pub fn worker(&self, name: &str) -> Working {
        self.worker_with(name, |config| config, |_, ports| ports)
    }

    pub fn worker_with(
        &self,
        name: &str,
        config: impl FnOnce(WorkerConfig) -> WorkerConfig,
        wrap: impl FnOnce(&Process, Ports) -> Ports,
    ) -> Working {
        let process = self.sim.process(name);
        let (gate, ports) = Gate::wrap(&self.ports(&process));
        let ports = wrap(&process, ports);
        let code = Activities::of(self, name, &ports.clock);
        let worker = Worker::new(ports, Arc::new(code), config(WorkerConfig::new(cpu())));
        let (sender, receiver) = oneshot::channel::<()>();
        let stop: Stop = receiver.map(|_| ()).boxed().shared();
        let ended = Arc::new(Mutex::new(false));
        let flag = ended.clone();
        process.spawn(async move {
            worker.run(stop).await;
            *flag.lock().unwrap() = true;
        });
        Working { process, gate, stop: Some(sender), ended }
    }

    /// A function that an event source calls with one task at a time: hidden for `time`, which is also what the function
    /// has. What it does not delete comes again.
    pub fn function(&self, name: &str, time: Duration) -> Process {
        self.function_with(name, time, 1)
    }

    /// The same with so many tasks at a time.
    pub fn function_with(&self, name: &str, time: Duration, batch: usize) -> Process {
        let process = self.sim.process(name);
        let ports = self.ports(&process);
        let code = Activities::of(self, name, &ports.clock);
        let worker = Worker::new(ports.clone(), Arc::new(code), WorkerConfig::new(cpu()));
        process.spawn(async move {
            loop {
                let batch = ports.queues.receive(&QueueName::task(&cpu()), batch, 20 * SECOND, time).await;
                let never: Stop = futures::future::pending().boxed().shared();
                worker.handle(batch.unwrap_or_default(), ports.clock.now().plus(time), never).await;
            }
        });
        process
    }

    /// One sweep of the open runs.
    pub fn sweep(&self) -> SweepReport {
        self.sweep_with(|ports| ports)
    }

    pub fn sweep_with(&self, wrap: impl FnOnce(Ports) -> Ports) -> SweepReport {
        let sweeper = Sweeper::new(wrap(self.ports(&self.sim.process("sweeper"))), keys());
        self.block_on(async move { sweeper.sweep().await })
    }

    /// One purge of the closed runs, which are kept for so long.
    pub fn purge(&self, retention: Duration) -> PurgeReport {
        self.purge_with(retention, |ports| ports)
    }

    pub fn purge_with(&self, retention: Duration, wrap: impl FnOnce(Ports) -> Ports) -> PurgeReport {
        let purger = self.purger(retention, wrap);
        self.block_on(async move { purger.purge(None).await })
    }

    pub fn purger(&self, retention: Duration, wrap: impl FnOnce(Ports) -> Ports) -> Purger {
        let ports = wrap(self.ports(&self.sim.process("purger")));
        Purger::new(ports, keys(), Retention::unchecked(retention))
    }

    /// Every key in the bucket.
    pub fn all_keys(&self) -> Vec<String> {
        let store = self.memory.clone();
        self.block_on(async move {
            millrace_engine::ports::ObjectStore::list(&*store, "", None, None, 10_000).await
        })
        .unwrap()
    }

    pub fn client(&self) -> Client {
        Client::new(self.ports(&self.sim.process("client")), keys(), None)
    }

    /// Runs a future to its end, with everything else in the world.
    pub fn block_on<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.sim.block_on(future, 400 * DAY).unwrap()
    }

    pub fn send(&self, body: Value) {
        let client = self.client();
        self.block_on(async move { client.send_raw(body.to_string()).await }).unwrap();
    }

    /// Sends straight to a queue.
    pub fn send_to(&self, queue: &QueueName, body: String) {
        let (queues, queue) = (self.memory.clone(), queue.clone());
        let message = millrace_engine::ports::OutMessage::now(body);
        self.block_on(
            async move { millrace_engine::ports::Queues::send(&*queues, &queue, vec![message]).await },
        )
        .into_iter()
        .for_each(|answer| answer.unwrap());
    }

    pub fn start(&self, id: &str, script: Value) {
        self.send(json!({"type": "start", "workflow": "script", "id": id, "input": script, "request_id": format!("start-{id}")}));
    }

    /// A run of one activity with these options.
    pub fn call(&self, id: &str, activity: &str, options: Value) {
        self.start(id, json!({"activity": activity, "options": options}));
    }

    pub fn signal(&self, id: &str, name: &str) {
        self.send(json!({"type": "signal", "id": id, "name": name}));
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let clock = self.sim.clock();
        self.block_on(async move { pause(&*clock, time).await });
    }

    pub fn until(&self, holds: impl FnMut() -> bool, most: Duration) {
        let answer = self.sim.run_until(holds, most);
        assert_eq!(answer, Ok(()), "ran: {:#?}; in flight: {:?}", self.ran(), self.memory.all_messages());
    }

    /// Waits until so many attempts have begun.
    pub fn until_ran(&self, n: usize, most: Duration) {
        let ran = self.ran.clone();
        self.until(move || ran.lock().unwrap().len() >= n, most);
    }

    /// Waits until the run is closed, and returns its last event.
    pub fn end(&self, id: &str, most: Duration) -> EventKind {
        let client = self.client();
        let workflow: WorkflowId = id.parse().unwrap();
        let clock = self.sim.clock();
        let end = async move {
            loop {
                if let Ok((head, events)) = client.history(&workflow, None).await
                    && !head.header.status.is_open()
                {
                    return events.last().unwrap().kind.clone();
                }
                pause(&*clock, SECOND.max(most / 20_000)).await;
            }
        };
        let end = self.sim.block_on(end, most);
        end.unwrap_or_else(|stuck| {
            panic!(
                "{stuck:?}: {:?}; ran: {:#?}; {:?}",
                self.events(id),
                self.ran(),
                self.memory.all_messages()
            )
        })
    }

    /// The result of a run that must complete.
    pub fn result(&self, id: &str, most: Duration) -> Value {
        match self.end(id, most) {
            EventKind::RunCompleted(e) => e.result.read().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The fault of a run that must fail.
    pub fn fault(&self, id: &str, most: Duration) -> Fault {
        match self.end(id, most) {
            EventKind::RunFailed(e) => e.fault,
            other => panic!("{other:?}"),
        }
    }

    pub fn history(&self, id: &str) -> (Head, Vec<EventKind>) {
        let client = self.client();
        let id: WorkflowId = id.parse().unwrap();
        let (head, events) = self.block_on(async move { client.history(&id, None).await }).unwrap();
        (head, events.into_iter().map(|event| event.kind).collect())
    }

    /// How long the run took, by its log.
    pub fn took(&self, id: &str) -> Duration {
        let client = self.client();
        let id: WorkflowId = id.parse().unwrap();
        let (_, events) = self.block_on(async move { client.history(&id, None).await }).unwrap();
        events.last().unwrap().t.since(events[0].t)
    }

    pub fn events(&self, id: &str) -> Vec<String> {
        self.history(id).1.iter().map(|kind| kind.name().to_owned()).collect()
    }

    /// The faults of the attempts that failed and were followed by another.
    pub fn failed_attempts(&self, id: &str) -> Vec<(u32, u32, Fault)> {
        let failed = |kind| match kind {
            EventKind::ActivityAttemptFailed(e) => Some((e.attempt, e.next_attempt, e.fault)),
            _ => None,
        };
        self.history(id).1.into_iter().filter_map(failed).collect()
    }

    /// The lease of the run's first activity.
    pub fn lease(&self, id: &str) -> Option<Lease> {
        let (head, _) = self.history(id);
        let key = keys().lease(&head.header.workflow_id, head.header.run_id, 1);
        let store = self.memory.clone();
        let object =
            self.block_on(async move { millrace_engine::ports::ObjectStore::get(&*store, &key).await });
        object.unwrap().map(|object| Lease::decode(&object.body).unwrap())
    }

    pub fn dead(&self, queue: &QueueName) -> Vec<(String, String)> {
        let (queues, dead) = (self.memory.clone(), queue.dead_letters());
        let received = self.block_on(async move {
            millrace_engine::ports::Queues::receive(&*queues, &dead, 10, Duration::ZERO, SECOND).await
        });
        received.unwrap().into_iter().map(|d| (d.body, d.error.unwrap_or_default())).collect()
    }

    /// Nothing is left in any queue once this much time has passed.
    pub fn comes_to_rest(&self, most: Duration) {
        let memory = self.memory.clone();
        self.until(move || memory.all_messages().is_empty(), most);
    }
}

pub fn keys() -> Keys {
    Keys::new(Namespace::default())
}

pub fn cpu() -> TaskQueue {
    TaskQueue::new("cpu").unwrap()
}

pub async fn pause(clock: &dyn Clock, time: Duration) {
    clock.sleep_until(clock.now().plus(time)).await;
}

pub fn boom(text: &str) -> Fault {
    Fault::Application(millrace_core::ApplicationFailure::new("Boom", text))
}

pub fn payload(value: Value) -> Payload {
    Payload::of(&value).unwrap()
}

struct Activities {
    stage: Stage,
    process: String,
    clock: Arc<dyn Clock>,
    limits: BTreeMap<String, Arc<Limit>>,
}

impl Activities {
    fn of(stage: &Stage, process: &str, clock: &Arc<dyn Clock>) -> Self {
        let limits = stage.limits.lock().unwrap();
        let limits = limits.iter().map(|(name, most)| (name.clone(), Limit::new(*most))).collect();
        Self { stage: stage.clone(), process: process.to_owned(), clock: clock.clone(), limits }
    }
}

impl ActivityCode for Activities {
    fn limit(&self, activity: &str) -> Option<Arc<Limit>> {
        self.limits.get(activity).cloned()
    }

    fn knows(&self, activity: &str) -> bool {
        self.stage.activities.lock().unwrap().contains_key(activity)
    }

    fn names(&self) -> Vec<String> {
        self.stage.activities.lock().unwrap().keys().cloned().collect()
    }

    fn run(&self, attempt: Arc<dyn Attempt>) -> BoxFuture<'static, Answer> {
        let task = attempt.task();
        self.stage.ran.lock().unwrap().push(Ran {
            activity: task.activity.clone(),
            attempt: task.attempt,
            epoch: attempt.epoch(),
            process: self.process.clone(),
            progress: attempt.progress(),
            at: self.clock.now(),
        });
        let code = self.stage.activities.lock().unwrap()[&task.activity].clone();
        code(attempt, self.clock.clone())
    }
}
