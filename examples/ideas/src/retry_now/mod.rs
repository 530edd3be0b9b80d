//! **Retry now**: an attempt that waits for its time is made at once.
//!
//! When: the policy says an hour, and the reason why it failed has just been repaired. The attempt that waited is void; what
//! was never made does not count against the policy.
//!
//! Costs: 1 PUT, 1 task, and 1 GET of the worker that takes it. `docs/language.md`, Intervening.

use anyhow::ensure;
use millrace::{Client, prelude::*};

#[activity(initial_interval = "1h")]
pub async fn publish(ctx: ActivityContext, model: String) -> Result<String, ActivityError> {
    if ctx.attempt == 1 {
        return Err(ApplicationFailure::new("QuotaExceeded", "the registry is full").into());
    }
    Ok(format!("{model} is published"))
}

#[workflow]
pub async fn release(ctx: WorkflowContext, model: String) -> Result<String, WorkflowError> {
    Ok(ctx.activity(publish, model).await?)
}

pub fn app(app: App) -> App {
    app.workflow(release).activity(publish)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(release, "digits-7", "digits".into()).await?;
    let waits = crate::eventually("the attempt that waits an hour", async || {
        Ok(run.describe().await?.activities.into_iter().find(|activity| activity.attempt == 2))
    })
    .await?;
    run.retry_activity(waits.activity_id).await?;
    ensure!(run.result().await? == "digits is published");
    Ok(())
}
