//! **Scopes**: a part of a workflow that can be canceled on its own.
//!
//! When: a search that has found enough, drafts of which one is taken, work that a newer request supersedes. What was called
//! through the scope is asked to stop, and nothing else.
//!
//! Costs: none to have one; canceling costs as a cancel request does. `docs/language.md`, Stopping.

use anyhow::ensure;
use futures::stream::{FuturesUnordered, StreamExt};
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// How a learning rate did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub rate: f64,
    pub loss: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    pub best: Option<Trial>,
    pub given_up: usize,
}

/// Whoever pays for the machines has seen enough.
#[derive(Signal, Serialize, Deserialize)]
pub struct Enough;

/// Small rates take long, the smallest for ever. It beats, so it hears of a cancel.
#[activity(start_to_close = "30d", heartbeat = "10m", max_attempts = 1)]
pub async fn train_trial(ctx: ActivityContext, rate: f64) -> Result<Trial, ActivityError> {
    for step in 0..(1.0 / rate) as u32 {
        ctx.heartbeat(&step)?;
        tokio::time::sleep(millis(10)).await;
    }
    Ok(Trial { rate, loss: (rate - 0.3).abs() })
}

#[workflow(accepts(Enough))]
pub async fn search(ctx: WorkflowContext, rates: Vec<f64>) -> Result<Found, WorkflowError> {
    let (enough, trials) = (ctx.signals::<Enough>(), ctx.scope());
    let mut running: FuturesUnordered<_> =
        rates.into_iter().map(|rate| trials.activity(train_trial, rate)).collect();
    let tried = ctx.state(Vec::<Trial>::new()).published();
    let mut given_up = 0;
    loop {
        select! {
            trial = running.next() => match trial {
                None => {
                    let best = tried.get().into_iter().min_by(|a, b| a.loss.total_cmp(&b.loss));
                    return Ok(Found { best, given_up });
                }
                Some(Ok(trial)) => tried.modify(|made| made.push(trial)),
                Some(Err(failure)) if failure.is_canceled() => given_up += 1,
                Some(Err(failure)) => return Err(failure.into()),
            },
            told = enough.recv() => {
                told?;
                trials.cancel("enough"); // this workflow goes on
            }
        }
    }
}

pub fn app(app: App) -> App {
    app.workflow(search).activity(train_trial)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(search, "rates-of-small", vec![1e-9, 0.25, 0.9, 2e-9]).await?;
    crate::eventually("both quick trials", async || {
        let made = run.state::<Vec<Trial>>().await?;
        Ok(made.filter(|made| made.len() >= 2))
    })
    .await?;
    run.signal(Enough).await?;
    let found = run.result().await?;
    ensure!(found.best.as_ref().is_some_and(|best| best.rate == 0.25) && found.given_up == 2, "{found:?}");
    Ok(())
}
