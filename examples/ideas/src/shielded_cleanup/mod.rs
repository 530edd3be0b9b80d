//! **Shielded clean-up**: what is done however it ended, also when the run was canceled.
//!
//! When: something was rented, locked or announced, and has to be given back. After a cancel request every wait fails at
//! once; those through `ctx.shielded()` do not. (For several steps to be undone: `examples/saga`.)
//!
//! Costs: none beside the clean-up itself. `docs/language.md`, Stopping.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, prelude::*};

#[activity(start_to_close = "5m")]
pub async fn rent_gpu(kind: String) -> Result<String, ActivityError> {
    Ok(format!("{kind}-in-rack-4"))
}

#[activity(start_to_close = "5m")]
pub async fn release_gpu(gpu: String) -> Result<String, ActivityError> {
    Ok(format!("{gpu} is free"))
}

#[activity(start_to_close = "5h")]
pub async fn train_on(gpu: String, dataset: String) -> Result<String, ActivityError> {
    Ok(format!("a model of {dataset}, by {gpu}"))
}

#[workflow]
pub async fn rented(ctx: WorkflowContext, dataset: String) -> Result<String, WorkflowError> {
    let gpu = ctx.activity(rent_gpu, "h100".into()).await?;
    let model = train_at_night(&ctx, &gpu, dataset).await;
    ctx.shielded().activity(release_gpu, gpu).await?; // whatever happened
    model
}

async fn train_at_night(ctx: &WorkflowContext, gpu: &str, dataset: String) -> Result<String, WorkflowError> {
    ctx.publish("waiting for the night");
    ctx.sleep(hours(8)).await?;
    Ok(ctx.activity(train_on, (gpu.into(), dataset)).await?)
}

pub fn app(app: App) -> App {
    app.workflow(rented).activity(rent_gpu).activity(release_gpu).activity(train_on)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(rented, "rented-1", "reviews".into()).await?;
    crate::eventually("the rent", async || Ok(run.state::<String>().await?)).await?;
    run.cancel("the dataset is withdrawn").await?;
    let Err(RunError::Failed(failure)) = run.result().await else { bail!("it went on") };
    ensure!(failure.is_canceled(), "{failure}");
    let history = run.history().await?;
    let completed = history.iter().filter(|event| event.kind.name() == "ActivityCompleted").count();
    ensure!(completed == 2, "rented and released: nobody pays for an idle machine");
    Ok(())
}
