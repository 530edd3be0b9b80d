//! The whole engine, in memory and virtual time: messages of any kind from anyone, and objects that somebody has put into
//! the bucket. It goes on, and what it leaves can be read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_conformance::{Process, Sim};
use millrace_core::{Blocked, EventKind, Namespace, TaskQueue, WorkflowId};
use millrace_engine::ports::{Condition, ObjectStore, OutMessage, Ports, QueueName, Queues};
use millrace_engine::{Orchestrator, OrchestratorConfig, Reader, Stop, Ticker, Worker, WorkerConfig};
use millrace_format::message::{read_event, read_task};
use millrace_format::{IndexEntry, Keys, Lease, TimerEntry};
use millrace_local::Memory as InMemory;

use super::lines;
use super::world::app;
use crate::{Memory, Target};

/// A script: each line goes somewhere. `i` to the inbox, `e` to events, `t` to the tasks, `o KEY` into the bucket, `p` lets
/// so many seconds pass. `$RUN` is the run of workflow `w`, `$TOKEN` the token of its last task.
pub const TARGET: Target =
    Target { name: "engine", seeds: &[], read, memory: Memory { times: 512, plus: 24_000_000 }, slice: 250 };

/// How many lines of a script are played.
const MOST_LINES: usize = 24;

fn read(input: &[u8]) -> String {
    let world = World::new();
    for line in lines(input).iter().take(MOST_LINES) {
        world.play(line);
    }
    world.pass(Duration::from_secs(90));
    world.left()
}

struct World {
    sim: Sim,
    memory: Arc<InMemory>,
    reader: Reader,
}

impl World {
    fn new() -> Self {
        let sim = Sim::new(1);
        let memory = InMemory::with_batch_limit(sim.clock(), 10);
        let process = sim.process("engine");
        let reader = Reader::new(memory.clone(), Keys::new(Namespace::default()));
        let world = Self { sim, memory, reader };
        world.engine(&process);
        world
    }

    fn engine(&self, process: &Process) {
        let ports = Ports {
            store: self.memory.clone(),
            queues: self.memory.clone(),
            clock: self.sim.clock(),
            entropy: self.sim.entropy(),
            spawn: process.spawner(),
        };
        let config = OrchestratorConfig { poll: Duration::from_secs(2), ..OrchestratorConfig::default() };
        let orchestrator = Orchestrator::new(ports.clone(), app().workflow_code(), config)
            .with_local_activities(app().activity_code());
        let orchestrator = Arc::new(orchestrator);
        for queue in [QueueName::inbox(), QueueName::events()] {
            let orchestrator = orchestrator.clone();
            process.spawn(async move {
                loop {
                    let _ = orchestrator.poll(&queue).await;
                }
            });
        }
        let worker = Worker::new(ports.clone(), app().activity_code(), WorkerConfig::new(tasks()));
        process.spawn(async move {
            let stop: Stop = futures::FutureExt::shared(Box::pin(std::future::pending()));
            worker.run(stop).await;
        });
        let (ticker, clock) = (Ticker::new(ports.clone(), Keys::new(Namespace::default())), ports.clock);
        process.spawn(async move {
            loop {
                let _ = ticker.tick().await;
                clock.sleep_until(clock.now().plus(Duration::from_secs(30))).await;
            }
        });
    }

    fn play(&self, line: &str) {
        let (to, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = self.filled_in(rest);
        match to {
            "i" => self.send(QueueName::inbox(), rest),
            "e" => self.send(QueueName::events(), rest),
            "t" => self.send(QueueName::task(&tasks()), rest),
            "o" => {
                let (key, body) = rest.split_once(' ').unwrap_or((&rest, ""));
                self.put(key.to_owned(), body.to_owned());
            }
            "p" => self.pass(Duration::from_secs(rest.parse().unwrap_or(1).min(7_200))),
            _ => {}
        }
        self.pass(Duration::from_millis(50));
    }

    fn filled_in(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let id: WorkflowId = "w".parse().expect("a good id");
        let reader = self.reader.clone();
        let head = self.block_on(async move { reader.head(&id).await.ok().flatten() }).flatten();
        let Some(head) = head else { return text.to_owned() };
        let lines = head.lines().unwrap_or_default();
        let secret = lines.iter().rev().find_map(|line| match &line.outline().kind {
            EventKind::ActivityScheduled(scheduled) => Some(format!(
                "{}.1.{}.{}.w",
                scheduled.activity_id,
                head.header.run_id,
                scheduled.secret.clone()?
            )),
            _ => None,
        });
        let text = text.replace("$RUN", &head.header.run_id.to_string());
        text.replace("$TOKEN", &secret.unwrap_or_default())
    }

    fn send(&self, queue: QueueName, body: String) {
        let memory = self.memory.clone();
        self.block_on(async move { memory.send(&queue, vec![OutMessage::now(body)]).await });
    }

    fn put(&self, key: String, body: String) {
        let memory = self.memory.clone();
        self.block_on(async move { memory.put(&key, body.into(), Condition::Always).await });
    }

    fn block_on<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.sim.block_on(future, Duration::from_secs(1)).ok()
    }

    fn pass(&self, time: Duration) {
        let stuck = self.sim.run_until(|| false, time);
        assert!(
            !matches!(stuck, Err(millrace_conformance::Stuck::Busy(_))),
            "the engine goes round in circles"
        );
    }

    /// What lies there in the end: every object that the engine has written can be read.
    fn left(&self) -> String {
        let memory = self.memory.clone();
        let listed = self.block_on(async move { memory.list("default/", None, None, 100_000).await });
        let mut seen = BTreeSet::new();
        for key in listed.and_then(Result::ok).unwrap_or_default() {
            seen.insert(self.object(key));
        }
        let dead = |queue: QueueName| self.memory.messages_in(&queue.dead_letters()).min(3);
        let dead = [QueueName::inbox(), QueueName::events(), QueueName::task(&tasks())].map(dead);
        format!("{dead:?} {}", seen.into_iter().collect::<Vec<_>>().join(", "))
    }

    fn object(&self, key: String) -> String {
        let (memory, name) = (self.memory.clone(), key.clone());
        let object = self.block_on(async move { memory.get(&name).await });
        let Some(Ok(Some(object))) = object else { return "gone".to_owned() };
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            [_, "workflow", _, _, "history"] => return self.history(&object.body),
            [_, "timer", ..] => {
                if let Ok(timer) = TimerEntry::decode(&object.body) {
                    let body = timer.message.as_str();
                    return format!("timer {} {}", read_event(body).is_ok(), read_task(body).is_ok());
                }
            }
            [_, "index", ..] => return format!("index {}", IndexEntry::decode(&object.body).is_ok()),
            [.., "activity", _] => return format!("lease {}", Lease::decode(&object.body).is_ok()),
            _ => {}
        }
        parts.get(1).copied().unwrap_or_default().to_owned()
    }

    fn history(&self, body: &[u8]) -> String {
        let head = millrace_format::Head::decode("k", body);
        let Ok(head) = head else { return "a broken history".to_owned() };
        let Ok(lines) = head.lines() else { return "a history of broken events".to_owned() };
        if let Some(mark) = &head.header.blocked {
            let panicked = matches!(mark.reason, Blocked::Panic { .. });
            assert!(!panicked, "code that does not panic is said to: {}", mark.reason);
        }
        let kinds: BTreeSet<&str> = lines.iter().map(|line| line.outline().kind.name()).collect();
        format!("{} {kinds:?}", head.header.workflow)
    }
}

fn tasks() -> TaskQueue {
    "cpu".parse().expect("a good name")
}
