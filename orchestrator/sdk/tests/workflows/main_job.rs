//! Train, test, deploy: activities in sequence, their options, dependencies, failures.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millrace::{Fault, RunError, TestEnv, prelude::*};
use millrace_core::EventKind;
use serde::{Deserialize, Serialize};

use crate::kit::fault;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    dataset: String,
    threshold: f64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    weights: Vec<f64>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    accuracy: f64,
}
pub struct Registry {
    deployed: AtomicU32,
}

#[derive(Debug, thiserror::Error)]
#[error("accuracy {got} is below {want}")]
struct BelowThreshold {
    got: f64,
    want: f64,
}

#[activity(task_queue = "gpu", start_to_close = "5h", heartbeat = "30s")]
async fn train(ctx: ActivityContext, spec: ModelSpec) -> Result<Model, ActivityError> {
    let first: u32 = ctx.progress().unwrap_or(0);
    for epoch in first..3 {
        ctx.heartbeat(&epoch)?;
    }
    if ctx.attempt == 1 {
        std::fs::read_to_string("/no/such/checkpoint")?; // any error: retried
    }
    assert_eq!(first, if ctx.workflow_id().is_some() { 2 } else { 0 });
    Ok(Model { weights: vec![spec.dataset.len() as f64] })
}

#[activity(start_to_close = "50m")]
async fn test(model: Model, threshold: f64) -> Result<Report, ActivityError> {
    let got = model.weights[0] / 10.0;
    if got < threshold {
        let failure = ApplicationFailure::from_error(&BelowThreshold { got, want: threshold });
        return Err(failure.non_retryable().details(&Report { accuracy: got }).into());
    }
    Ok(Report { accuracy: got })
}

#[activity(max_attempts = 3, non_retryable(BelowThreshold, "Full"), initial_interval = "5m", exclusive)]
async fn deploy(registry: Shared<Registry>, report: Report) -> Result<(), std::io::Error> {
    assert!(report.accuracy > 0.0);
    registry.deployed.fetch_add(1, SeqCst);
    Ok(())
}

#[workflow]
async fn train_test_deploy(ctx: WorkflowContext, spec: ModelSpec) -> Result<String, WorkflowError> {
    let threshold = spec.threshold;
    let model = ctx.activity(train, spec).await?;
    let report = ctx.activity(test, (model, threshold)).start_to_close(minutes(51)).await?;
    ctx.activity(deploy, report).start_to_close(secs(15)).retry(Retry::attempts(5).every(secs(1))).await?;
    Ok("successfully trained, tested, and deployed!".into())
}

fn app() -> App {
    App::new().workflow(train_test_deploy).activity(train).activity(test).activity(deploy)
}

fn spec(threshold: f64) -> ModelSpec {
    ModelSpec { dataset: "digits".into(), threshold }
}

fn env() -> TestEnv {
    TestEnv::of(app().share(Registry { deployed: 0.into() }))
}

#[tokio::test]
async fn runs_to_the_end_with_the_options_asked_for() {
    let run = env().start(train_test_deploy, "t", spec(0.5)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "successfully trained, tested, and deployed!");
    let history = run.history().await.unwrap();
    let scheduled: Vec<_> = history
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::ActivityScheduled(e) => Some(e),
            _ => None,
        })
        .collect();
    let [train, test, deploy] = scheduled.as_slice() else { panic!("{scheduled:?}") };
    assert_eq!((train.activity.as_str(), train.task_queue.as_str()), ("train", "gpu"));
    assert_eq!((train.options.start_to_close, train.options.heartbeat), (hours(5), Some(secs(30))));
    assert_eq!((test.task_queue.as_str(), test.options.start_to_close), ("cpu", minutes(51)));
    assert_eq!((deploy.options.retry.maximum_attempts, deploy.options.retry.backoff_coefficient), (5, 1.0));
    assert!(deploy.options.exclusive);
}

#[tokio::test]
async fn a_failure_reaches_the_result_with_its_type_and_details() {
    let run = env().start(train_test_deploy, "t", spec(0.9)).await.unwrap();
    let fault: Fault = fault(&run).await;
    assert!(fault.is("BelowThreshold") && fault.details() == Some(Report { accuracy: 0.6 }));
    assert_eq!(fault.to_string(), "BelowThreshold: accuracy 0.6 is below 0.9");
}

#[test]
fn attributes_set_every_part_of_the_retry_policy() {
    let options = <DeployActivity as millrace::Activity>::options();
    assert_eq!(options.retry.non_retryable_error_types, ["BelowThreshold", "Full"]);
    assert_eq!((options.retry.maximum_attempts, options.retry.initial_interval), (3, minutes(5)));
    assert!(options.retry.maximum_interval >= minutes(5), "the first wait is not cut short by the default");
}

#[test]
fn an_activity_is_a_plain_function() {
    futures::executor::block_on(async {
        assert!(train(ActivityContext::test(), spec(0.5)).await.is_err());
        let test = test(Model { weights: vec![6.0] }, 0.5).await.unwrap(); // its name may be shadowed
        assert_eq!(test, Report { accuracy: 0.6 });
        let registry = Shared::new(Registry { deployed: 0.into() });
        deploy(registry.clone(), test).await.unwrap();
        assert_eq!(registry.deployed.load(SeqCst), 1);
    });
}

#[test]
fn what_would_go_wrong_later_is_said_at_the_start() {
    let missing =
        "activity `deploy` needs `Shared<workflows::main_job::Registry>`: add `.share(..)` to the App";
    assert_eq!(app().check().unwrap_err(), missing);
    let twice = app().share(Registry { deployed: 0.into() }).activity(test).workflow(train_test_deploy);
    let problems = twice.check().unwrap_err();
    assert!(problems.contains("two activities are named `test`"), "{problems}");
    assert!(problems.contains("two workflows are named `TrainTestDeploy`"), "{problems}");
    let queues: Vec<_> = app().task_queues().iter().map(ToString::to_string).collect();
    assert_eq!(queues, ["cpu", "gpu"]);
}

#[tokio::test]
async fn an_activity_that_nobody_runs_is_named() {
    let env = TestEnv::new().workflow(train_test_deploy).activity(test);
    let result = env.start(train_test_deploy, "t", spec(0.5)).await.unwrap().result().await;
    let Err(RunError::Failed(failure)) = result else { panic!("{result:?}") };
    assert!(failure.to_string().contains("activity `train` is neither mocked nor registered"), "{failure}");
}
