//! The workflow: train on a GPU queue, test on the CPU queue, deploy. Every step that has ended is in the log, so a
//! process that is killed goes on where it stopped; the training goes on at the digit where it stopped.

use std::sync::Arc;

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::classifier::{ClassWeights, Model, fit_class};
use crate::digits::{CLASSES, Digits};
use crate::registry::{ArtifactId, Registry};

/// What to train, and how good it must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The least accuracy on held-out digits that may be deployed, 0.0 to 1.0.
    pub threshold: f64,
}

/// How good a model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The share of held-out digits that it names rightly.
    pub accuracy: f64,
    /// How many digits were held out.
    pub held_out: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// The test's report.
    pub report: Report,
    /// The deployed artifact.
    pub artifact: ArtifactId,
    /// For people.
    pub message: String,
}

/// Everything that can run, with the registry that it deploys to.
pub fn app(registry: Registry) -> App {
    App::new().share(registry).workflow(train_test_deploy).activity(train).activity(test).activity(deploy)
}

/// Trains, tests, deploys.
#[workflow]
pub async fn train_test_deploy(ctx: WorkflowContext, spec: ModelSpec) -> Result<Deployed, WorkflowError> {
    let threshold = spec.threshold;
    let model = ctx.activity(train, spec).await?;
    let report = ctx.activity(test, (model.clone(), threshold)).start_to_close(minutes(50)).await?;
    let artifact = ctx.activity(deploy, model).retry(Retry::attempts(5).every(secs(1))).await?;
    let message = "successfully trained, tested, and deployed!".into();
    Ok(Deployed { report, artifact, message })
}

/// Fits the ten digits, one after the other. The digits fitted so far are its progress: after a crash, the next attempt
/// fits only the rest.
#[activity(task_queue = "gpu", start_to_close = "5h", heartbeat = "30s")]
pub async fn train(ctx: ActivityContext, _spec: ModelSpec) -> Result<Model, ActivityError> {
    let training = Arc::new(Digits::embedded()?.split().training);
    let mut fitted: Vec<ClassWeights> = ctx.progress().unwrap_or_default();
    for digit in (0..CLASSES).skip(fitted.len()) {
        let rows = training.clone();
        let class = tokio::task::spawn_blocking(move || fit_class(digit, &rows)).await?;
        // The same rows fail in the same way at every attempt.
        fitted.push(class.map_err(|error| ApplicationFailure::from_error(&error).non_retryable())?);
        ctx.heartbeat(&fitted)?;
    }
    Ok(Model::from_classes(fitted)?)
}

/// Measures the model on digits that it has never seen. One that is not good enough fails for good, with the report.
#[activity]
pub async fn test(model: Model, threshold: f64) -> Result<Report, ActivityError> {
    let held_out = Digits::embedded()?.split().held_out;
    let report = Report { accuracy: model.accuracy(&held_out), held_out: held_out.len() };
    if report.accuracy < threshold {
        let message = format!("accuracy {:.4} is below the threshold {threshold}", report.accuracy);
        let failure = ApplicationFailure::new("BelowThreshold", message).non_retryable().details(&report);
        return Err(failure.into());
    }
    Ok(report)
}

/// Puts the model into the registry. Doing it twice is doing it once.
#[activity]
pub async fn deploy(registry: Shared<Registry>, model: Model) -> Result<ArtifactId, ActivityError> {
    let artifact = model.to_json()?;
    Ok(tokio::task::spawn_blocking(move || registry.deploy(&artifact)).await??)
}
