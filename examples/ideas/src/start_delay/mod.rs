//! **Start delay**: the run is there at once, its code begins later.
//!
//! When: a retention period, a grace time before something is deleted, work for tonight. Until then signals are kept, and a
//! cancel ends the run before any of its code has run. (Again and again: `schedules`.)
//!
//! Costs: 1 message, 1 PUT. `docs/language.md`, Time and chance.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, Timestamp, prelude::*};
use serde::{Deserialize, Serialize};

/// One more thing to delete.
#[derive(Signal, Serialize, Deserialize)]
pub struct Also(pub String);

#[activity(start_to_close = "10m")]
pub async fn delete_dataset(dataset: String) -> Result<String, ActivityError> {
    Ok(dataset)
}

#[workflow(accepts(Also))]
pub async fn forget(
    ctx: WorkflowContext,
    dataset: String,
) -> Result<(Timestamp, Vec<String>), WorkflowError> {
    let (begun, also) = (ctx.now(), ctx.signals::<Also>());
    let mut deleted = vec![ctx.activity(delete_dataset, dataset).await?];
    while let Some(Also(dataset)) = also.recv().within(millis(100)).await? {
        deleted.push(ctx.activity(delete_dataset, dataset).await?);
    }
    Ok((begun, deleted))
}

pub fn app(app: App) -> App {
    app.workflow(forget).activity(delete_dataset)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let start = client.start(forget, "forget-ann", "ann/voice".into()).delay(millis(800));
    let run = start.signal(Also("ann/pictures".into())).await?;
    let there = run.describe().await?; // before its code
    let (begun, deleted) = run.result().await?;
    ensure!(begun - there.started_at >= millis(800), "never early");
    ensure!(deleted == ["ann/voice", "ann/pictures"], "signals of the meantime are kept: {deleted:?}");

    let run = client.start(forget, "forget-bob", "bob/voice".into()).delay(days(30)).await?;
    run.cancel("Bob has thought better of it").await?;
    let Err(RunError::Failed(failure)) = run.result().await else { bail!("Bob is forgotten") };
    ensure!(failure.is_canceled(), "{failure}");
    Ok(())
}
