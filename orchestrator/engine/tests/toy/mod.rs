//! A workflow written as a bare coroutine, and an engine around it in memory, for tests of the engine alone.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests may")]

pub mod faults;
pub mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{
    ActivityOptions, Blocked, Command, Coroutine, Event, EventKind, Fault, Namespace, Payload, RunInfo,
    TaskQueue, Timestamp, WorkflowCode, WorkflowId,
};
use millrace_engine::ports::{Clock, Entropy, Ports, QueueName, Spawn, SpawnHandle};
use millrace_engine::{
    ActivityCode, Attempt, Client, Orchestrator, OrchestratorConfig, Stop, Worker, WorkerConfig,
};
use millrace_format::Keys;
use millrace_local::Memory;

/// `chain`: as many activities as the input says, one after the other. `wait`: the first signal is the result.
pub struct Toy;

impl WorkflowCode for Toy {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        match info.workflow.as_str() {
            "chain" => Ok(Box::new(Chain { steps: 0, next: 1 })),
            "wait" => Ok(Box::new(Wait)),
            other => Err(Blocked::UnknownWorkflow {
                workflow: other.into(),
                known: vec!["chain".into(), "wait".into()],
            }),
        }
    }
}

struct Chain {
    steps: u64,
    next: u64,
}

impl Coroutine for Chain {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        match &event.kind {
            EventKind::RunStarted(e) => {
                self.steps = e.input.read().map_err(|e| Blocked::BadInput { message: e.to_string() })?
            }
            EventKind::ActivityFailed(e) => return Ok(vec![Command::FailRun(e.failure.fault.clone())]),
            EventKind::ActivityCompleted(_) => {}
            _ => return Ok(vec![]),
        }
        if self.next > self.steps {
            return Ok(vec![Command::CompleteRun(Payload::of(&self.steps).unwrap())]);
        }
        let activity_id = self.next;
        self.next += 1;
        Ok(vec![Command::ScheduleActivity {
            activity_id,
            activity: "step".into(),
            task_queue: TaskQueue::new("cpu").unwrap(),
            input: Payload::of(&activity_id).unwrap(),
            options: ActivityOptions::default(),
        }])
    }
}

struct Wait;

impl Coroutine for Wait {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::SignalReceived(e) => vec![Command::CompleteRun(e.input.clone())],
            _ => vec![],
        })
    }
}

/// `step` returns its input.
pub struct Echo;

impl ActivityCode for Echo {
    fn knows(&self, activity: &str) -> bool {
        activity == "step"
    }

    fn names(&self) -> Vec<String> {
        vec!["step".into()]
    }

    fn run(&self, attempt: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, Fault>> {
        async move { Ok(attempt.task().input.clone()) }.boxed()
    }
}

/// A clock that stands still until it is told, and counts as random bits.
pub struct Fixed {
    now_ms: AtomicU64,
    bits: AtomicU64,
}

impl Fixed {
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst) as i64)
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        if time <= self.now() {
            futures::future::ready(()).boxed()
        } else {
            futures::future::pending().boxed()
        }
    }
}

impl Entropy for Fixed {
    fn bits(&self) -> u128 {
        u128::from(self.bits.fetch_add(1, Ordering::SeqCst)) << 64 | 0x5eed
    }
}

/// Runs user code where it is polled.
pub struct Inline;

impl Spawn for Inline {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle {
        assert!(future.now_or_never().is_some(), "toy activities do not wait");
        futures::future::ready(Ok(())).boxed()
    }
}

pub struct World {
    pub clock: Arc<Fixed>,
    pub memory: Arc<Memory>,
    pub ports: Ports,
}

impl World {
    pub fn new() -> Self {
        let clock = Arc::new(Fixed { now_ms: AtomicU64::new(1_763_856_000_000), bits: AtomicU64::new(1) });
        let memory = Memory::with_batch_limit(clock.clone(), 10);
        let ports = Ports {
            store: memory.clone(),
            queues: memory.clone(),
            clock: clock.clone(),
            entropy: clock.clone(),
            spawn: Arc::new(Inline),
        };
        Self { clock, memory, ports }
    }

    pub fn orchestrator(&self, ports: &Ports) -> Orchestrator {
        let config =
            OrchestratorConfig { poll: Duration::ZERO, build: "b1".into(), ..OrchestratorConfig::default() };
        Orchestrator::new(ports.clone(), Arc::new(Toy), config)
    }

    pub fn client(&self) -> Client {
        Client::new(self.ports.clone(), Keys::new(Namespace::default()), None)
    }

    /// Runs all tasks that are there.
    pub fn work(&self, ports: &Ports) {
        self.work_with(ports, Arc::new(Echo));
    }

    pub fn work_with(&self, ports: &Ports, code: Arc<dyn ActivityCode>) {
        let config =
            WorkerConfig { poll: Duration::ZERO, ..WorkerConfig::new(TaskQueue::new("cpu").unwrap()) };
        let worker = Worker::new(ports.clone(), code, config);
        futures::executor::block_on(worker.drain(never()));
    }

    pub fn send(&self, body: &str) {
        futures::executor::block_on(self.client().send_raw(body.to_owned())).unwrap();
    }

    pub fn events(&self, id: &str) -> Vec<String> {
        let id = id.parse::<WorkflowId>().unwrap();
        let (_, events) = futures::executor::block_on(self.client().history(&id, None)).unwrap();
        events.iter().map(|event| event.kind.name().to_owned()).collect()
    }

    pub fn dead(&self, queue: &str) -> Vec<(String, String)> {
        let queue = QueueName::from(queue).dead_letters();
        let hidden = Duration::from_secs(1);
        let dead = self.ports.queues.receive(&queue, 10, Duration::ZERO, hidden);
        let dead = futures::executor::block_on(dead).unwrap();
        dead.into_iter().map(|d| (d.body, d.error.unwrap_or_default())).collect()
    }

    pub fn status(&self, id: &str) -> String {
        let head = futures::executor::block_on(self.client().head(&id.parse::<WorkflowId>().unwrap(), None))
            .unwrap();
        head.header.status.to_string()
    }
}

pub fn never() -> Stop {
    use futures::future::FutureExt;
    futures::future::pending().boxed().shared()
}

/// Takes messages until both queues are empty.
pub fn turn_all(orchestrator: &Orchestrator) {
    futures::executor::block_on(async {
        loop {
            let inbox = orchestrator.poll(&QueueName::inbox()).await.unwrap();
            let events = orchestrator.poll(&QueueName::events()).await.unwrap();
            if inbox + events == 0 {
                return;
            }
        }
    });
}
