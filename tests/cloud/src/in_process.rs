//! The engine in the test's own process, over the emulator's S3 and SQS.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{BoxFuture, select};
use millrace_aws::{Aws, Settings};
use millrace_core::{Namespace, TaskQueue, Timestamp};
use millrace_engine::ports::{Clock, Ports, QueueError, QueueName};
use millrace_engine::{Orchestrator, OrchestratorConfig, Stop, Worker, WorkerConfig};
use millrace_format::Keys;
use millrace_local::{OsEntropy, SystemClock, TokioSpawn};
use serde_json::{Value, json};

use crate::app::app;
use crate::poll::pause;
use crate::stack::unique;
use crate::{Emulator, Foreign, History};

/// A bucket and queues of a test's own, without functions.
pub struct Site {
    /// A client that is not ours, for looking.
    pub foreign: Foreign,
    /// Where it is.
    pub settings: Settings,
    emulator: &'static Emulator,
    config: SdkConfig,
}

impl Site {
    /// `None` without an emulator: the test is to return.
    pub async fn new() -> Option<Self> {
        let emulator = Emulator::get()?;
        let foreign = Foreign::start(emulator);
        let name = unique("s");
        foreign.create_bucket(&name);
        for queue in ["inbox", "events", "task-cpu"] {
            for queue in [format!("{name}-{queue}"), format!("{name}-{queue}-dead")] {
                foreign.create_queue(&queue, &json!({ "VisibilityTimeout": "60" }));
            }
        }
        let settings = Settings { bucket: name.clone(), queue_prefix: name, namespace: Namespace::default() };
        let credentials = Credentials::builder().access_key_id("test").secret_access_key("test");
        let config = millrace_aws::config_loader()
            .endpoint_url(emulator.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials.provider_name("the emulator takes any").build())
            .load()
            .await;
        Some(Self { foreign, settings, emulator, config })
    }

    /// All ports, as one process has them: connections of its own.
    pub fn ports(&self, clock: Arc<dyn Clock>) -> Ports {
        let aws =
            Aws::with_config(self.settings.clone(), self.config.clone(), Arc::new(SystemClock::default()));
        let aws = aws.expect("the configuration is complete");
        Ports {
            store: aws.store.clone(),
            queues: aws.queues.clone(),
            clock,
            entropy: Arc::new(OsEntropy),
            spawn: Arc::new(TokioSpawn::new(tokio::runtime::Handle::current())),
        }
    }

    /// The same on the system's clock.
    pub fn real_ports(&self) -> Ports {
        self.ports(Arc::new(SystemClock::default()))
    }

    /// What a process of its own is told, to find it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = self.emulator.environment();
        environment.push(("MILLRACE_BUCKET", self.settings.bucket.clone()));
        environment.push(("MILLRACE_QUEUE_PREFIX", self.settings.queue_prefix.clone()));
        environment
    }

    /// The keys of its namespace.
    pub fn keys(&self) -> Keys {
        Keys::new(self.settings.namespace.clone())
    }

    /// What a queue is called in SQS.
    pub fn queue(&self, queue: &str) -> String {
        format!("{}-{queue}", self.settings.queue_prefix)
    }

    /// Starts a run, as a foreign client.
    pub fn start(&self, workflow: &str, id: &str, input: &Value) {
        let message = json!({ "type": "start", "workflow": workflow, "id": id, "input": input });
        self.foreign.send(&self.queue("inbox"), &message.to_string());
    }

    /// A run's history, by a foreign client.
    pub fn history(&self, id: &str) -> History {
        self.try_history(id).expect("the run is there")
    }

    /// The same of one that may not have begun.
    pub fn try_history(&self, id: &str) -> Option<History> {
        let namespace = self.settings.namespace.to_string();
        History::read(&self.foreign, &self.settings.bucket, &namespace, id)
    }
}

/// An orchestrator of the tests' app, whose receives wait this long.
pub fn orchestrator(ports: Ports, poll: Duration) -> Orchestrator {
    let config = OrchestratorConfig { build: "test".into(), poll, ..OrchestratorConfig::default() };
    Orchestrator::new(ports, app().workflow_code(), config).with_local_activities(app().activity_code())
}

/// A worker of the task queue `cpu`.
pub fn worker(ports: Ports, poll: Duration) -> Worker {
    let queue = TaskQueue::new("cpu").expect("a name");
    Worker::new(ports, app().activity_code(), WorkerConfig { poll, ..WorkerConfig::new(queue) })
}

/// A worker that nobody asks to stop.
pub fn never() -> Stop {
    futures::future::pending().boxed().shared()
}

/// Takes messages of both queues for ever, or until one says that there is no use in it.
pub async fn turns(orchestrator: &Orchestrator) -> QueueError {
    let of = async |queue: QueueName| {
        loop {
            if let Err(error) = poll(orchestrator, &queue).await {
                return error;
            }
        }
    };
    let (inbox, events) = (pin!(of(QueueName::inbox())), pin!(of(QueueName::events())));
    select(inbox, events).await.factor_first().0
}

/// Takes messages of both queues until there are none.
pub async fn turn_all(orchestrator: &Orchestrator) {
    loop {
        let inbox = poll(orchestrator, &QueueName::inbox()).await.expect("the emulator answers");
        let events = poll(orchestrator, &QueueName::events()).await.expect("the emulator answers");
        if inbox + events == 0 {
            return;
        }
    }
}

/// Takes one batch. An emulator that does not answer is asked again: a slow machine is no failure.
async fn poll(orchestrator: &Orchestrator, queue: &QueueName) -> Result<usize, QueueError> {
    loop {
        match orchestrator.poll(queue).await {
            Err(QueueError::Unavailable { queue, reason }) => {
                println!("asked again: {queue}: {reason}");
                pause(Duration::from_secs(1)).await;
            }
            polled => return polled,
        }
    }
}

/// A clock that the test moves.
pub struct DrivenClock(Mutex<Driven>);

struct Driven {
    now: Timestamp,
    sleepers: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl DrivenClock {
    /// Begins at the system's time.
    pub fn start() -> Arc<Self> {
        let now = SystemClock::default().now();
        Arc::new(Self(Mutex::new(Driven { now, sleepers: Vec::new() })))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut driven = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        driven.now = driven.now.plus(by);
        let now = driven.now;
        let (due, later) = std::mem::take(&mut driven.sleepers).into_iter().partition(|(at, _)| *at <= now);
        driven.sleepers = later;
        let due: Vec<(Timestamp, oneshot::Sender<()>)> = due;
        for (_, sleeper) in due {
            // Who does not wait any more need not be woken.
            let _ = sleeper.send(());
        }
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let mut driven = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if time <= driven.now {
            return futures::future::ready(()).boxed();
        }
        let (sender, receiver) = oneshot::channel();
        driven.sleepers.push((time, sender));
        receiver.map(|_| ()).boxed()
    }
}
