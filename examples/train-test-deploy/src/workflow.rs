//! The workflow: train on a GPU queue, test on the CPU queue, deploy. Every step that has ended is in the log, so a
//! process that is killed goes on where it stopped; the training goes on at the digit where it stopped.

use std::sync::Arc;

use async_trait::async_trait;
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
    /// Wait for the signal `approve` before the model is deployed.
    #[serde(default)]
    pub approval: bool,
}

/// The signal that a person sends when a model may be deployed.
#[derive(Signal, Clone, Debug, Serialize, Deserialize)]
pub struct Approve {
    /// Who takes the responsibility.
    pub by: String,
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

/// Where a model goes: a folder on one machine, a bucket in the cloud. Doing it twice must be doing it once.
#[async_trait]
pub trait Target: Send + Sync {
    /// Makes the artifact the current one.
    async fn deploy(&self, artifact: Vec<u8>) -> Result<ArtifactId, ActivityError>;
}

#[async_trait]
impl Target for Registry {
    async fn deploy(&self, artifact: Vec<u8>) -> Result<ArtifactId, ActivityError> {
        let registry = self.clone();
        Ok(tokio::task::spawn_blocking(move || Registry::deploy(&registry, &artifact)).await??)
    }
}

/// What the activity `deploy` is given.
pub type SharedTarget = Box<dyn Target>;

/// Everything that can run, with the place that it deploys to.
pub fn app(target: impl Target + 'static) -> App {
    let target: SharedTarget = Box::new(target);
    App::new().share(target).workflow(train_test_deploy).activity(train).activity(test).activity(deploy)
}

/// Trains, tests, deploys.
#[workflow(accepts(Approve))]
pub async fn train_test_deploy(ctx: WorkflowContext, spec: ModelSpec) -> Result<Deployed, WorkflowError> {
    let ModelSpec { threshold, approval } = spec;
    let model = ctx.activity(train, spec).await?;
    let report = ctx.activity(test, (model.clone(), threshold)).start_to_close(minutes(50)).await?;
    if approval {
        ctx.signals::<Approve>().recv().await?;
    }
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

/// Makes the model the current one.
#[activity]
pub async fn deploy(target: Shared<SharedTarget>, model: Model) -> Result<ArtifactId, ActivityError> {
    target.deploy(model.to_json()?).await
}
