//! The engine, its clock, and its bill.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use millrace::App;
use millrace_core::{Namespace, Payload, RunId, Status, TaskQueue, Timestamp, WorkflowId};
use millrace_engine::ports::{CallCounts, Clock, Counting, Entropy, Ports, QueueName, Spawn, SpawnHandle};
use millrace_engine::{Client, Orchestrator, OrchestratorConfig, Ticker, Worker, WorkerConfig};
use millrace_format::{Head, Keys};
use millrace_local::Memory;

use crate::features::{TOKEN, app};

/// Calls to S3 and SQS. Sends, receives and deletes are messages: a batch of them is one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is named after the call it counts")]
pub struct Cost {
    pub put: u64,
    pub get: u64,
    pub delete: u64,
    pub send: u64,
    pub receive: u64,
}

impl From<CallCounts> for Cost {
    fn from(n: CallCounts) -> Self {
        let (put, get, delete) = (n.puts, n.gets, n.deletes);
        Self { put, get, delete, send: n.messages_sent, receive: n.messages_received }
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            put: self.put - less.put,
            get: self.get - less.get,
            delete: self.delete - less.delete,
            send: self.send - less.send,
            receive: self.receive - less.receive,
        }
    }
}

/// As the page's table has it.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | {} | {} | {}", self.put, self.get, self.delete, self.send, self.receive)
    }
}

struct Fixed {
    now_ms: AtomicU64,
    bits: AtomicU64,
}

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst) as i64)
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        if time <= self.now() { std::future::ready(()).boxed() } else { std::future::pending().boxed() }
    }
}

impl Entropy for Fixed {
    fn bits(&self) -> u128 {
        u128::from(self.bits.fetch_add(1, Ordering::SeqCst)) << 64 | 0x5eed
    }
}

/// Runs user code where it is polled: none of it waits.
struct Inline;

impl Spawn for Inline {
    fn spawn(&self, future: BoxFuture<'static, ()>) -> SpawnHandle {
        let ended = future.now_or_never();
        debug_assert!(ended.is_some(), "the activities here do not wait");
        std::future::ready(Ok(())).boxed()
    }
}

/// One orchestrator with a warm cache, one worker, one ticker; all their calls are counted, and a client's queries.
#[allow(missing_debug_implementations)]
pub struct World {
    clock: Arc<Fixed>,
    counting: Arc<Counting>,
    counted: Ports,
    /// Those who ask are not counted: what they send is one message each.
    asker: Client,
    app: App,
    orchestrator: Orchestrator,
}

impl World {
    /// An empty one.
    #[allow(clippy::new_without_default, reason = "a test says when it begins")]
    pub fn new() -> Self {
        let clock = Arc::new(Fixed { now_ms: AtomicU64::new(1_763_856_000_000), bits: AtomicU64::new(1) });
        let memory = Memory::with_batch_limit(clock.clone(), 10);
        let ports = Ports {
            store: memory.clone(),
            queues: memory,
            clock: clock.clone(),
            entropy: clock.clone(),
            spawn: Arc::new(Inline),
        };
        let (counting, counted) = Counting::wrap(&ports);
        let config = OrchestratorConfig { poll: Duration::ZERO, ..OrchestratorConfig::default() };
        let app = app();
        let orchestrator = Orchestrator::new(counted.clone(), app.workflow_code(), config)
            .with_local_activities(app.activity_code());
        let asker = Client::new(ports, keys(), None);
        Self { clock, counting, counted, asker, app, orchestrator }
    }

    /// What has been spent so far.
    pub fn spent(&self) -> Cost {
        self.counting.counts().into()
    }

    /// What happens between the call and its end.
    pub fn cost_of(&self, what: impl FnOnce(&Self)) -> Cost {
        let before = self.spent();
        what(self);
        self.spent() - before
    }

    /// Sends a message to the inbox and does what is due.
    pub fn send(&self, body: &str) {
        block_on(self.asker.send_raw(body.to_owned())).unwrap_or_else(|error| unreachable!("{error}"));
        self.settle();
    }

    /// Starts a run, its id being the workflow's name and how often, and lets time pass until it has ended.
    pub fn run(&self, workflow: &str, times: u32) -> Cost {
        self.run_of(workflow, &format!("{workflow}-{times}"), &times.to_string())
    }

    /// The same with another id and input, as JSON.
    pub fn run_of(&self, workflow: &str, id: &str, input: &str) -> Cost {
        self.cost_of(|world| {
            world.send(&format!(r#"{{"type":"start","workflow":"{workflow}","id":"{id}","input":{input}}}"#));
            world.until_closed(id);
        })
    }

    /// Lets time pass until the workflow has ended, and what it has left in the queues is gone.
    pub fn until_closed(&self, id: &str) {
        for _ in 0..3_000 {
            if self.status(id) != Status::Running && self.status(id) != Status::ContinuedAsNew {
                self.advance(Duration::from_secs(400));
                return;
            }
            self.advance(Duration::from_secs(20));
            let token = TOKEN.lock().ok().and_then(|mut token| token.take());
            if let Some(token) = token {
                self.send(&format!(r#"{{"type":"complete","token":"{token}","result":null}}"#));
            }
        }
        unreachable!("`{id}` does not end");
    }

    /// Lets so much time pass, and does what is due then.
    pub fn advance(&self, by: Duration) {
        self.clock.now_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        let ticked = block_on(Ticker::new(self.counted.clone(), keys()).tick());
        ticked.unwrap_or_else(|error| unreachable!("{error}"));
        self.settle();
    }

    /// A client's query.
    pub fn query(&self, id: &str, name: &str) -> Cost {
        self.cost_of(|world| {
            let client = Client::new(world.counted.clone(), keys(), None);
            let code = world.app.workflow_code();
            let (id, input) = (workflow_id(id), Payload::null());
            block_on(client.query(&id, None, (name, &input), &*code))
                .unwrap_or_else(|error| unreachable!("{error}"));
        })
    }

    fn status(&self, id: &str) -> Status {
        self.head(id).header.status
    }

    /// The current run of a workflow.
    pub fn run_id(&self, id: &str) -> RunId {
        self.head(id).header.run_id
    }

    fn head(&self, id: &str) -> Head {
        let head = block_on(self.asker.head(&workflow_id(id), None));
        head.unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Takes messages and tasks until there are none.
    fn settle(&self) {
        loop {
            let before = self.spent().receive;
            for queue in [QueueName::inbox(), QueueName::events()] {
                block_on(self.orchestrator.poll(&queue)).unwrap_or_else(|error| unreachable!("{error}"));
            }
            let Ok(cpu) = TaskQueue::new("cpu") else { return };
            let config = WorkerConfig { poll: Duration::ZERO, ..WorkerConfig::new(cpu) };
            let worker = Worker::new(self.counted.clone(), self.app.activity_code(), config);
            block_on(worker.drain(std::future::pending().boxed().shared()));
            if self.spent().receive == before {
                return;
            }
        }
    }
}

fn keys() -> Keys {
    Keys::new(Namespace::default())
}

fn workflow_id(id: &str) -> WorkflowId {
    id.parse().unwrap_or_else(|error| unreachable!("{error}"))
}
