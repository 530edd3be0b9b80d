//! **Sagas**: calls that undo what was done, made if what follows fails or is canceled.
//!
//! When: several services each take a part, and none of them may keep it if the whole does not come about. The undoing is
//! named before the doing, so that what was done without an answer is undone, too. `examples/saga` is a larger one.
//!
//! Costs: an activity for each call that is made. `docs/language.md`, Stopping.

use anyhow::{bail, ensure};
use millrace::client::EventKind;
use millrace::{Client, RunError, prelude::*};

/// What is there to be had.
const FREE: [&str; 2] = ["gpu", "disk"];

#[activity]
pub async fn reserve(what: String) -> Result<String, ActivityError> {
    if FREE.contains(&what.as_str()) {
        return Ok(what);
    }
    Err(ApplicationFailure::new("NoneFree", format!("no {what} is free")).non_retryable().into())
}

#[activity]
pub async fn give_back(what: String) -> Result<String, ActivityError> {
    Ok(what)
}

#[workflow]
pub async fn reserve_all(ctx: WorkflowContext, wanted: Vec<String>) -> Result<Vec<String>, WorkflowError> {
    ctx.saga(async |saga| {
        let mut reserved = Vec::new();
        for what in wanted {
            saga.undo(ctx.activity(give_back, what.clone()));
            reserved.push(ctx.activity(reserve, what).await?);
        }
        Ok(reserved)
    })
    .await
}

pub fn app(app: App) -> App {
    app.workflow(reserve_all).activity(reserve).activity(give_back)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let wanted = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let run = client.start(reserve_all, "modest", wanted(&FREE)).await?;
    ensure!(run.result().await? == FREE);

    let run = client.start(reserve_all, "greedy", wanted(&["gpu", "disk", "castle"])).await?;
    let Err(RunError::Failed(failure)) = run.result().await else { bail!("there is no castle") };
    ensure!(failure.is("NoneFree"), "{failure}");
    let history = run.history().await?;
    let done = history.iter().filter_map(|event| match &event.kind {
        EventKind::ActivityCompleted(completed) => Some(completed.result.read::<String>()),
        _ => None,
    });
    let done = done.collect::<Result<Vec<_>, _>>()?;
    ensure!(done == ["gpu", "disk", "castle", "disk", "gpu"], "given back, the last first: {done:?}");
    Ok(())
}
