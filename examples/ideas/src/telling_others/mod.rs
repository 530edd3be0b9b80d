//! **Signals and cancels to another workflow**: one workflow tells another that is not its child.
//!
//! When: two things that live by themselves have to do with each other: a training and what serves its models. Recorded
//! first, then delivered once; no answer comes back, and who is not there within a minute is not told.
//!
//! Costs: the other's turn: 1 PUT, 1 message. `docs/language.md`, Other workflows.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// There is a better model.
#[derive(Signal, Serialize, Deserialize)]
pub struct Deploy {
    pub model: String,
}

#[activity(start_to_close = "5h")]
pub async fn train_nightly(night: u32) -> Result<String, ActivityError> {
    Ok(format!("ranker-{night}"))
}

/// Serves a model until it is stopped.
#[workflow(accepts(Deploy))]
pub async fn serve(ctx: WorkflowContext, model: String) -> Result<(), WorkflowError> {
    let deployments = ctx.signals::<Deploy>();
    ctx.publish(&model);
    loop {
        ctx.publish(&deployments.recv().await?.model);
    }
}

#[workflow]
pub async fn nightly_training(ctx: WorkflowContext, night: u32) -> Result<String, WorkflowError> {
    let model = ctx.activity(train_nightly, night).await?;
    ctx.signal("serving-eu", Deploy { model: model.clone() }).await?;
    ctx.request_cancel("serving-canary", format!("{model} is out")).await?;
    Ok(model)
}

pub fn app(app: App) -> App {
    app.workflow(serve).workflow(nightly_training).activity(train_nightly)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let production = client.start(serve, "serving-eu", "ranker-1".into()).await?;
    let canary = client.start(serve, "serving-canary", "ranker-1b".into()).await?;
    ensure!(client.start(nightly_training, "night-2", 2).await?.result().await? == "ranker-2");
    crate::eventually("the deployment", async || {
        Ok(production.state::<String>().await?.filter(|model| model == "ranker-2"))
    })
    .await?;
    let Err(RunError::Failed(failure)) = canary.result().await else { bail!("the canary sings on") };
    ensure!(failure.fault.to_string() == "canceled: ranker-2 is out", "{failure}");
    production.terminate("the example is over").await?;
    Ok(())
}
