//! **Queries and published state**: looking at a run without changing it.
//!
//! When: published state is for everybody who may read the bucket, also without code: a dashboard. A query computes an answer
//! from the state, and is answered by whoever has the code, also when the run has ended and no engine is at work.
//!
//! Costs: publishing nothing, reading 1 GET; a query 1 GET, 1 more for each sealed part. `docs/language.md`, Messages and state.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// How far the training is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub epochs: u32,
    pub losses: Vec<f64>,
}

/// Has the loss fallen with each epoch?
#[derive(Query, Serialize, Deserialize)]
#[query(output = bool)]
pub struct IsImproving;

/// The loss after so many epochs, if it is that far.
#[derive(Query, Serialize, Deserialize)]
#[query(output = Option<f64>)]
pub struct LossAfter(pub usize);

#[activity(start_to_close = "1h")]
pub async fn train_epoch(epoch: u32) -> Result<f64, ActivityError> {
    Ok(1.0 / f64::from(epoch))
}

#[workflow(accepts(IsImproving, LossAfter))]
pub async fn train_visibly(ctx: WorkflowContext, epochs: u32) -> Result<f64, WorkflowError> {
    let progress = ctx
        .state(Progress::default())
        .on_query(|progress, IsImproving| progress.losses.is_sorted_by(|a, b| a > b))
        .on_query(|progress, LossAfter(epoch)| progress.losses.get(epoch.wrapping_sub(1)).copied())
        .published();
    for epoch in 1..=epochs {
        let loss = ctx.activity(train_epoch, epoch).await?;
        progress.modify(|progress| {
            progress.epochs = epoch;
            progress.losses.push(loss);
        });
    }
    Ok(progress.read(|progress| progress.losses.last().copied().unwrap_or(f64::NAN)))
}

pub fn app(app: App) -> App {
    app.workflow(train_visibly).activity(train_epoch)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(train_visibly, "visible-3", 4).await?;
    crate::eventually("two epochs", async || {
        Ok(run.state::<Progress>().await?.filter(|progress| progress.epochs >= 2))
    })
    .await?;
    ensure!(run.query(LossAfter(2)).await? == Some(0.5));
    ensure!(run.result().await? == 0.25);
    let events = run.history().await?.len();
    ensure!(run.query(IsImproving).await? && run.query(LossAfter(5)).await?.is_none(), "as at its end");
    ensure!(run.history().await?.len() == events, "questions leave no trace");
    Ok(())
}
