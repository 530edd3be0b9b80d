//! **Update-with-start**: starts the workflow if it is not there, asks it for a change, and brings the answer back.
//!
//! When: the first request of a key must be answered like every other: a quota, a cart, a session. One message, one request
//! id: sent again, it is counted once and gives the same answer.
//!
//! Costs: as a start; for a run that is open, as an update. `docs/language.md`, Messages and state.

use anyhow::ensure;
use millrace::{Client, IdConflict, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// Wanted: so many GPUs. The answer is how many are left.
#[derive(Update, Serialize, Deserialize)]
#[update(output = u32)]
pub struct Reserve(pub u32);

/// The team's day is over.
#[derive(Signal, Serialize, Deserialize)]
pub struct Settle;

#[workflow(accepts(Reserve, Settle))]
pub async fn gpu_quota(ctx: WorkflowContext, limit: u32) -> Result<u32, WorkflowError> {
    let left = ctx.state(limit).on_update(|left, Reserve(wanted)| match left.checked_sub(wanted) {
        Some(rest) => {
            *left = rest;
            Ok(rest)
        }
        None => reject(format!("{wanted} GPUs are wanted, {left} are left")),
    });
    ctx.signals::<Settle>().recv().await?;
    Ok(limit - left.get())
}

pub fn app(app: App) -> App {
    app.workflow(gpu_quota)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let reserve = |wanted| {
        let start = client.start(gpu_quota, "quota-vision", 8).id_conflict(IdConflict::UseExisting);
        start.update(Reserve(wanted))
    };
    let (run, left) = reserve(5).await?; // starts it
    ensure!(left == 3);
    let (_, left) = reserve(1).await?; // asks the one that is open
    ensure!(left == 2);
    let refused = reserve(4).await.map(|(_, left)| left);
    ensure!(refused == Err(RunError::Rejected("4 GPUs are wanted, 2 are left".into())));
    run.signal(Settle).await?;
    ensure!(run.result().await? == 6);
    Ok(())
}
