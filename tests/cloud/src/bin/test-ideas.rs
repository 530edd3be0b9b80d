//! One program of `examples/ideas`, named by the argument, against the deployment that the environment names: the engine in this
//! process, each idea's scenario by the ordinary client, and then the histories replayed as they lie in the bucket.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use millrace::client::Filter;
use millrace::lambda::Settings;
use millrace::{App, Client};
use millrace_aws::Aws;
use millrace_cloud_tests::in_process::{never, turns};
use millrace_cloud_tests::overheard::Overheard;
use millrace_core::TaskQueue;
use millrace_engine::ports::Ports;
use millrace_engine::{Orchestrator, OrchestratorConfig, Worker, WorkerConfig};
use millrace_ideas::{Idea, Program, codecs, eventually};
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
        Either::Left((why, _)) => Err(format!("the engine has ended: {why}").into()),
        Either::Right((done, _)) => Ok(done?),
    }
}

async fn try_all(app: &App, ideas: &[Idea], client: &Client) -> anyhow::Result<()> {
    let all = ideas.iter().map(async |idea| match (idea.scenario)(client).await {
        Ok(()) => println!("ok {}", idea.name),
        Err(error) => println!("failed {}: {error:#}", idea.name),
    });
    join_all(all).await;
    replay(app, client).await
}

/// The engine's loops; why they have ended.
async fn work(app: &App, ports: Ports, task_queue: TaskQueue) -> String {
    let config = OrchestratorConfig { build: "ideas".into(), poll: POLL, ..OrchestratorConfig::default() };
    let orchestrator = Orchestrator::new(ports.clone(), app.workflow_code(), config);
    let orchestrator = orchestrator.with_local_activities(app.activity_code());
    let config = WorkerConfig { poll: POLL, slots: 16, beat_every: BEAT, ..WorkerConfig::new(task_queue) };
    let worker = Worker::new(ports, app.activity_code(), config);
    match select(pin!(turns(&orchestrator)), pin!(worker.run(never()))).await {
        Either::Left((error, _)) => error.to_string(),
        Either::Right(_) => "the worker has stopped".into(),
    }
}

async fn replay(app: &App, client: &Client) -> anyhow::Result<()> {
    let all = Filter { limit: 1_000, ..Filter::default() };
    for run in eventually("all runs", async || Ok(Some(client.list(&all).await?))).await? {
        let (id, run) = (run.entry.workflow_id, run.entry.run_id);
        let recording = async || Ok(Some(client.record(&id, Some(run)).await?));
        let recording = eventually("a history", recording).await?;
        match app.replay(&recording) {
            Ok(()) => println!("replayed {}", recording.info.workflow_id),
            Err(reason) => println!("failed {}: {reason}", recording.info.workflow_id),
        }
    }
    Ok(())
}
