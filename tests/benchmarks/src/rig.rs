//! The embedded engine, assembled as `dev` does it, with its calls counted.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, Shared, select, select_all};
use millrace::App;
use millrace_core::Namespace;
use millrace_engine::ports::{CallCounts, Counting, Ports, QueueError, QueueName};
use millrace_engine::{Client, Orchestrator, OrchestratorConfig, Stop, Worker, WorkerConfig};
use millrace_format::Keys;
use millrace_local::{Embedded, OsEntropy, SystemClock, TokioSpawn};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Resolves when the engine can no longer receive, with the reason.
type Failed = Shared<BoxFuture<'static, String>>;

/// A running engine on one folder.
pub(crate) struct Rig {
    /// Sends requests and reads runs.
    pub(crate) client: Client,
    counting: Arc<Counting>,
    stop: Option<oneshot::Sender<()>>,
    failed: Failed,
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
        let loops = [QueueName::inbox(), QueueName::events()].map(|queue| {
            let orchestrator = orchestrator.clone();
            engine.spawn(async move {
                loop {
                    if let Err(error) = orchestrator.poll(&queue).await {
                        return error;
                    }
                }
            })
        });
        let (stop, stopped) = oneshot::channel();
        let stopped: Stop = stopped.map(|_| ()).boxed().shared();
        for queue in app.task_queues() {
            let config = WorkerConfig { only_process: true, ..WorkerConfig::new(queue) };
            let worker = Worker::new(counted.clone(), app.activity_code(), config);
            let stopped = stopped.clone();
            engine.spawn(async move { worker.run(stopped).await });
        }
        Ok(Self { client, counting, stop: Some(stop), failed: first_failure(loops), engine, activities })
    }

    /// Does some work on the engine's runtime. Whatever it waits for does not come any more once the engine has failed.
    pub(crate) fn run<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.engine.block_on(unless(self.failed.clone(), work))
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

fn first_failure(loops: impl IntoIterator<Item = JoinHandle<QueueError>>) -> Failed {
    let first = select_all(loops).map(|(ended, ..)| match ended {
        Ok(error) => error.to_string(),
        Err(panicked) => panicked.to_string(),
    });
    first.boxed().shared()
}

async fn unless<T>(failed: Failed, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match select(Box::pin(work), failed).await {
        Either::Left((done, _)) => done,
        Either::Right((reason, _)) => bail!("the engine has failed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use futures::future::pending;
    use tokio::runtime::Handle;

    use super::*;

    #[tokio::test]
    async fn work_ends_with_the_engine_and_says_why() {
        let engine = Handle::current();
        let full = QueueError::Unavailable { queue: "inbox".into(), reason: "no space left".into() };
        let failing = engine.spawn(async move { full });
        let failed = first_failure([engine.spawn(pending()), failing]);
        let ended = unless(failed.clone(), pending::<anyhow::Result<()>>()).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("the engine has failed") && error.contains("no space left"), "{error}");
        let again = unless(failed, pending::<anyhow::Result<()>>()).await;
        assert!(again.is_err(), "as often as it is asked for");

        let panicking = engine.spawn(async { panic!("on purpose") });
        assert!(unless(first_failure([panicking]), pending::<anyhow::Result<()>>()).await.is_err());
        let at_work = first_failure([engine.spawn(pending())]);
        assert_eq!(unless(at_work, async { Ok(7) }).await.unwrap(), 7);
    }
}
