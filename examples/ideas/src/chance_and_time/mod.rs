//! **Time and chance**: `ctx.now()`, `ctx.random()`, `ctx.uuid()`, the same in every replay.
//!
//! When: a sample is drawn, a variant chosen, a key made up that an activity can be called with twice. The clock and the dice of
//! the machine would give another answer at each replay, and block the run. Not for secrets.
//!
//! Costs: none. `docs/language.md`, Time and chance.

use anyhow::ensure;
use millrace::{Client, Timestamp, prelude::*};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How an experiment is set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub key: Uuid,
    pub begun: Timestamp,
    pub held_out: Vec<u64>,
    pub variant: String,
}

/// What has been planned?
#[derive(Query, Serialize, Deserialize)]
#[query(output = Option<Plan>)]
pub struct Planned;

/// Sets up a billing account under a key: called twice, it is set up once.
#[activity]
pub async fn open_account(key: Uuid) -> Result<Uuid, ActivityError> {
    Ok(key)
}

#[workflow(accepts(Planned))]
pub async fn experiment(ctx: WorkflowContext, samples: u64) -> Result<Plan, WorkflowError> {
    let planned = ctx.state(None).on_query(|planned: &Option<Plan>, Planned| planned.clone());
    let key = ctx.activity(open_account, ctx.uuid()).await?;
    let held_out = (0..samples).filter(|_| ctx.random().is_multiple_of(5)).collect();
    let variant = if ctx.random().is_multiple_of(2) { "a" } else { "b" }.to_owned();
    let plan = Plan { key, begun: ctx.now(), held_out, variant };
    planned.modify(|planned| *planned = Some(plan.clone()));
    Ok(plan)
}

pub fn app(app: App) -> App {
    app.workflow(experiment).activity(open_account)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(experiment, "experiment-1", 100).await?;
    let plan = run.result().await?;
    ensure!((2..=50).contains(&plan.held_out.len()), "about a fifth: {plan:?}");
    let replayed = run.query(Planned).await?; // a query of a closed run replays it
    ensure!(replayed.as_ref() == Some(&plan), "{replayed:?} is not {plan:?}");
    let other = client.start(experiment, "experiment-2", 100).await?.result().await?;
    ensure!(other.key != plan.key && other.held_out != plan.held_out, "each run has its own");
    Ok(())
}
