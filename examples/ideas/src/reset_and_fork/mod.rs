//! **Reset and fork**: a new run begins with the first events of another.
//!
//! When: what came after some event is to be done again (a bug in the scoring, put right), and what came before it is not (hours
//! of extraction). A reset takes the place of the run; a fork has an id of its own, and the run is left alone.
//!
//! Costs: a run's, and the events that it begins with are written once more. `docs/language.md`, Intervening.

use anyhow::{Context, ensure};
use millrace::client::EventKind;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// With which rate to train.
#[derive(Signal, Serialize, Deserialize)]
pub struct Rate(pub f64);

#[activity(start_to_close = "5h")]
pub async fn extract_features(dataset: String) -> Result<Vec<f64>, ActivityError> {
    Ok(dataset.bytes().map(f64::from).collect())
}

#[activity(start_to_close = "1h")]
pub async fn train_with(features: Vec<f64>, rate: f64) -> Result<f64, ActivityError> {
    Ok(rate * features.len() as f64)
}

#[workflow(accepts(Rate))]
pub async fn tune(ctx: WorkflowContext, dataset: String) -> Result<f64, WorkflowError> {
    let features = ctx.activity(extract_features, dataset).await?;
    let Rate(rate) = ctx.signals::<Rate>().recv().await?;
    Ok(ctx.activity(train_with, (features, rate)).await?)
}

pub fn app(app: App) -> App {
    app.workflow(tune).activity(extract_features).activity(train_with)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(tune, "voices", "voices".into()).signal(Rate(0.5)).await?;
    ensure!(run.result().await? == 3.0);
    let events = run.history().await?;
    let extracted = |kind: &EventKind| matches!(kind, EventKind::ActivityCompleted(e) if e.activity_id == 1);
    let cut = events.iter().find(|event| extracted(&event.kind)).context("the features are extracted")?.n;

    let fork = run.fork("voices-again", cut, "is it the same twice?").await?;
    ensure!(fork.result().await? == 3.0);
    let known = usize::try_from(cut)?;
    ensure!(fork.history().await?[1..known] == events[1..known], "nothing was extracted again");

    let reset = run.reset(cut, "trained with a wrong seed").await?;
    ensure!(reset.result().await? == 3.0 && reset.run_id() != run.run_id(), "a run of its own");
    Ok(())
}
