//! One program of `examples/ideas`, named by the argument, against the deployment that the environment names: the engine in this
//! process, each idea's scenario by the ordinary client, and then the histories replayed as they lie in the bucket.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use futures::join;
use millrace::client::Filter;
use millrace::lambda::Settings;
use millrace::{App, Client, RunError};
use millrace_aws::Aws;
use millrace_cloud_tests::in_process::never;
use millrace_cloud_tests::overheard::Overheard;
use millrace_core::TaskQueue;
use millrace_engine::ports::{Ports, QueueName};
use millrace_engine::{Orchestrator, OrchestratorConfig, Worker, WorkerConfig};
use millrace_ideas::{Idea, Program, codecs};
use millrace_local::{OsEntropy, SystemClock, TokioSpawn};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long one receive waits.
const POLL: Duration = Duration::from_secs(2);
/// A lease costs nothing here.
const BEAT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let done = tokio::runtime::Runtime::new().map_err(Error::from).and_then(|runtime| {
        let done = runtime.block_on(run());
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let name = std::env::args().nth(1).ok_or("which program of `examples/ideas`?")?;
    let program = millrace_ideas::programs().into_iter().find(|program| program.name == name);
    let Program { app, ideas, .. } = program.ok_or_else(|| format!("no ideas are run by `{name}`"))?;
    let settings = Settings::from_env()?;
    let aws = Aws::connect(settings.clone(), Arc::new(SystemClock::default())).await?;
    let ports = Ports {
        store: aws.store.clone(),
        queues: aws.queues.clone(),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(OsEntropy),
        spawn: Arc::new(TokioSpawn::new(tokio::runtime::Handle::current())),
    };
    // What comes from outside, and what the engine sends itself, is received in here.
    let words: &[&str] = if name == "codecs" { &codecs::SECRETS } else { &[] };
    let ports = Overheard::wrap(ports, words);
    let client = Client::of_deployment_with(settings, &app).await?;
    let engine = pin!(work(&app, ports, TaskQueue::new("cpu")?));
    let scenarios = pin!(try_all(&app, &ideas, &client));
    match select(engine, scenarios).await {
        Either::Left(((), _)) => Err("the engine has ended".into()),
        Either::Right((done, _)) => Ok(done?),
    }
}

async fn try_all(app: &App, ideas: &[Idea], client: &Client) -> Result<(), RunError> {
    let all = ideas.iter().map(async |idea| match (idea.scenario)(client).await {
        Ok(()) => println!("ok {}", idea.name),
        Err(error) => println!("failed {}: {error:#}", idea.name),
    });
    join_all(all).await;
    replay(app, client).await
}

/// The engine's loops, without an end.
async fn work(app: &App, ports: Ports, task_queue: TaskQueue) {
    let config = OrchestratorConfig { build: "ideas".into(), poll: POLL, ..OrchestratorConfig::default() };
    let orchestrator = Orchestrator::new(ports.clone(), app.workflow_code(), config);
    let orchestrator = orchestrator.with_local_activities(app.activity_code());
    let turns = async |queue: QueueName| {
        loop {
            if let Err(error) = orchestrator.poll(&queue).await {
                println!("error: {queue}: {error}");
                return;
            }
        }
    };
    let config = WorkerConfig { poll: POLL, slots: 16, beat_every: BEAT, ..WorkerConfig::new(task_queue) };
    let worker = Worker::new(ports, app.activity_code(), config);
    join!(turns(QueueName::inbox()), turns(QueueName::events()), worker.run(never()));
}

async fn replay(app: &App, client: &Client) -> Result<(), RunError> {
    for run in client.list(&Filter { limit: 1_000, ..Filter::default() }).await? {
        let recording = client.record(&run.entry.workflow_id, Some(run.entry.run_id)).await?;
        match app.replay(&recording) {
            Ok(()) => println!("replayed {}", recording.info.workflow_id),
            Err(reason) => println!("failed {}: {reason}", recording.info.workflow_id),
        }
    }
    Ok(())
}
