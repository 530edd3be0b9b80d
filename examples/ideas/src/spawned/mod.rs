//! **Spawned futures**: something beside the workflow's main line.
//!
//! When: a reminder that repeats, a listener for a side channel, a measurement, while the main line reads on from top to
//! bottom. It ends with the workflow at the latest; letting go of its `Task` changes nothing.
//!
//! Costs: none beside what it does. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// Somebody watches the training.
#[derive(Signal, Serialize, Deserialize)]
pub struct Watch {
    pub by: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Trained {
    /// When it was looked at, in milliseconds from the start.
    pub looked_at_ms: u64,
    pub watched_by: Vec<String>,
}

#[activity(start_to_close = "1h")]
pub async fn one_epoch(epoch: u32) -> Result<u32, ActivityError> {
    Ok(epoch)
}

#[workflow(accepts(Watch))]
pub async fn watched_training(ctx: WorkflowContext, epochs: u32) -> Result<Trained, WorkflowError> {
    let watched_by = ctx.state(Vec::new()).published();
    drop(ctx.spawn({
        let (watching, watched_by) = (ctx.signals::<Watch>(), watched_by.clone());
        async move {
            while let Ok(Watch { by }) = watching.recv().await {
                watched_by.modify(|all| all.push(by));
            }
        }
    }));
    let look = ctx.spawn({
        let (ctx, begun) = (ctx.clone(), ctx.now());
        async move { ctx.sleep(millis(300)).await.map(|()| ctx.now() - begun) }
    });
    for epoch in 1..=epochs {
        ctx.activity(one_epoch, epoch).await?; // the main line knows nothing of who watches
    }
    let looked_at_ms = look.await?.as_millis() as u64;
    watched_by.until(|all| !all.is_empty()).await?;
    Ok(Trained { looked_at_ms, watched_by: watched_by.get() })
}

pub fn app(app: App) -> App {
    app.workflow(watched_training).activity(one_epoch)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(watched_training, "watched", 3).await?;
    run.signal(Watch { by: "ann".into() }).await?;
    let trained = run.result().await?;
    ensure!(trained.looked_at_ms >= 300 && trained.watched_by == ["ann"], "{trained:?}");
    Ok(())
}
