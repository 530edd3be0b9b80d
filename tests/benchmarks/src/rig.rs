//! The embedded engine, assembled as `dev` does it, with its calls counted.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use futures::channel::oneshot;
use millrace::App;
use millrace_core::Namespace;
use millrace_engine::ports::{CallCounts, Counting, Ports, QueueName};
use millrace_engine::{Client, Orchestrator, OrchestratorConfig, Stop, Worker, WorkerConfig};
use millrace_format::Keys;
use millrace_local::{Embedded, OsEntropy, SystemClock, TokioSpawn};
use tokio::runtime::{Builder, Runtime};

/// A running engine on one folder.
pub(crate) struct Rig {
    /// Sends requests and reads runs.
    pub(crate) client: Client,
    counting: Arc<Counting>,
    stop: Option<oneshot::Sender<()>>,
    engine: Runtime,
    activities: Runtime,
}

impl Rig {
    /// Opens the folder and starts the engine.
    pub(crate) fn start(folder: &Path, app: &App) -> anyhow::Result<Self> {
        app.check().map_err(anyhow::Error::msg)?;
        let engine = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let activities = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let clock = Arc::new(SystemClock::default());
        let store = Embedded::open(folder, clock.clone()).context("the data folder cannot be opened")?;
        let spawn = Arc::new(TokioSpawn::new(activities.handle().clone()));
        let ports = Ports { store: store.clone(), queues: store, clock, entropy: Arc::new(OsEntropy), spawn };
        let (counting, counted) = Counting::wrap(&ports);
        let orchestrator = Arc::new(
            Orchestrator::new(counted.clone(), app.workflow_code(), OrchestratorConfig::default())
                .with_local_activities(app.activity_code()),
        );
        let client = Client::new(ports, Keys::new(Namespace::default()), Some(orchestrator.notices()));
        for queue in [QueueName::inbox(), QueueName::events()] {
            let orchestrator = orchestrator.clone();
            engine.spawn(async move { while orchestrator.poll(&queue).await.is_ok() {} });
        }
        let (stop, stopped) = oneshot::channel();
        let stopped: Stop = stopped.map(|_| ()).boxed().shared();
        for queue in app.task_queues() {
            let config = WorkerConfig { only_process: true, ..WorkerConfig::new(queue) };
            let worker = Worker::new(counted.clone(), app.activity_code(), config);
            let stopped = stopped.clone();
            engine.spawn(async move { worker.run(stopped).await });
        }
        Ok(Self { client, counting, stop: Some(stop), engine, activities })
    }

    /// Runs a future on the engine's runtime.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.engine.block_on(future)
    }

    /// The engine's calls so far.
    pub(crate) fn counts(&self) -> CallCounts {
        self.counting.counts()
    }

    /// Stops everything.
    pub(crate) fn stop(mut self) {
        drop(self.stop.take());
        self.engine.shutdown_background();
        self.activities.shutdown_background();
    }
}
