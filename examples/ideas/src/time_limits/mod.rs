//! **Execution and run timeouts**: the end by time, whatever the code does.
//!
//! When: a fuse against what nobody thought of. The execution timeout is for the workflow with all the runs that it continues
//! as, the run timeout for each of them. The code is not asked and cannot clean up: for a limit that it should
//! know of, see `deadlines`.
//!
//! Costs: a wake: 1 message. `docs/language.md`, Time and chance.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, prelude::*};

/// Waits for a dataset that never comes.
#[workflow]
pub async fn wait_for_dataset(ctx: WorkflowContext, name: String) -> Result<(), WorkflowError> {
    ctx.publish(&name);
    Ok(ctx.sleep(days(3_650)).await?)
}

/// A look into the catalog.
#[activity]
pub async fn is_there(dataset: String) -> Result<bool, ActivityError> {
    Ok(dataset.starts_with("march"))
}

/// Looks again and again. Each look is a run, so that no history grows.
#[workflow]
pub async fn poll_dataset(ctx: WorkflowContext, name: String, looks: u64) -> Result<u64, WorkflowError> {
    if looks > 0 {
        ctx.sleep(minutes(10)).await?;
    }
    if ctx.local(is_there, name.clone()).await? {
        return Ok(looks);
    }
    ctx.continue_as_new(poll_dataset, (name, looks + 1))
}

pub fn app(app: App) -> App {
    app.workflow(wait_for_dataset).workflow(poll_dataset).activity(is_there)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(wait_for_dataset, "waits", "april".into()).run_timeout(millis(500)).await?;
    let Err(RunError::Failed(failure)) = run.result().await else { bail!("it waits on") };
    ensure!(failure.is_timeout(), "{failure}");
    let history = run.history().await?;
    ensure!(history.last().is_some_and(|event| event.kind.name() == "RunTimedOut"));
    ensure!(!history.iter().any(|event| event.kind.name() == "CancelRequested"), "the code is not asked");

    // A machine may stand still for longer than a limit. Then the first run ends by it, and a longer one is needed.
    for limit in [millis(1_500), secs(15), secs(150)] {
        let start = client.start(poll_dataset, format!("polls-{limit:?}"), ("april".into(), 0));
        let run = start.execution_timeout(limit).run_timeout(minutes(15)).await?;
        let Err(RunError::Failed(failure)) = run.result().await else { bail!("it polls on") };
        ensure!(failure.is_timeout(), "{failure}");
        if let first @ Some(_) = run.describe().await?.first_run_id {
            ensure!(first == run.run_id(), "a later run, within the limit of all");
            return Ok(());
        }
    }
    bail!("no run went on as another")
}
