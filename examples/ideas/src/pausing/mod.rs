//! **Pausing**: a run's code is held back until somebody lets it go on.
//!
//! When: something that the workflow needs is being repaired, or its next step is to wait for a decision. What the run is told
//! meanwhile is recorded and waits; activities that it has called go on. One activity can be paused alone, too.
//!
//! Costs: 1 PUT to pause, 1 PUT to go on. `docs/language.md`, Intervening.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// So many pictures have been labeled.
#[derive(Signal, Serialize, Deserialize)]
pub struct Labeled(pub u32);

#[activity]
pub async fn index_labels(pictures: u32) -> Result<u32, ActivityError> {
    Ok(pictures)
}

#[workflow(accepts(Labeled))]
pub async fn keep_index(ctx: WorkflowContext, batches: u32) -> Result<u32, WorkflowError> {
    let (labeled, mut indexed) = (ctx.signals::<Labeled>(), 0);
    for _ in 0..batches {
        let Labeled(pictures) = labeled.recv().await?;
        indexed += ctx.activity(index_labels, pictures).await?;
    }
    Ok(indexed)
}

pub fn app(app: App) -> App {
    app.workflow(keep_index).activity(index_labels)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(keep_index, "pictures", 2).await?;
    run.pause("the index is being rebuilt").await?;
    crate::eventually("the pause", async || Ok(run.describe().await?.paused)).await?;
    run.signal(Labeled(3)).await?;
    let told =
        async || Ok(run.history().await?.into_iter().find(|event| event.kind.name() == "SignalReceived"));
    crate::eventually("the signal in the log", told).await?;
    let there = run.describe().await?;
    ensure!(there.paused.is_some() && there.activities.is_empty(), "told, but held back: {there:?}");
    run.unpause().await?;
    run.signal(Labeled(4)).await?;
    ensure!(run.result().await? == 7);
    Ok(())
}
