//! **Heartbeats with progress**: a long activity that goes on where the last attempt stopped.
//!
//! When: downloads, exports, trainings: whatever takes minutes and knows how far it is. A beat says that the attempt lives,
//! keeps what is given to it for the next attempt, and tells of a cancel. After a crash of the worker it is the same: the
//! next attempt finds what was kept.
//!
//! Costs: a PUT for each beat that is written, at most one in five seconds; in a folder ten a second. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Copied {
    pub shards: u32,
    /// With which shard the last attempt began.
    pub resumed_at: u32,
    pub attempts: u32,
}

#[activity(start_to_close = "2h", heartbeat = "10m", initial_interval = "50ms")]
pub async fn copy_shards(ctx: ActivityContext, shards: u32) -> Result<Copied, ActivityError> {
    let resumed_at = ctx.progress::<u32>().unwrap_or(0);
    for shard in resumed_at..shards {
        tokio::time::sleep(millis(40)).await; // the copying
        if ctx.attempt == 1 && shard == shards / 2 {
            return Err("the connection was reset".into());
        }
        ctx.heartbeat(&(shard + 1))?;
    }
    Ok(Copied { shards, resumed_at, attempts: ctx.attempt })
}

#[workflow]
pub async fn mirror_dataset(ctx: WorkflowContext, shards: u32) -> Result<Copied, WorkflowError> {
    Ok(ctx.activity(copy_shards, shards).await?)
}

pub fn app(app: App) -> App {
    app.workflow(mirror_dataset).activity(copy_shards)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let copied = client.start(mirror_dataset, "mirror-1", 20).await?.result().await?;
    ensure!(copied.attempts == 2 && copied.shards == 20, "{copied:?}");
    ensure!((1..=10).contains(&copied.resumed_at), "not from the beginning: {copied:?}");
    Ok(())
}
