//! **Schedules**: a workflow started again and again, by cron or interval.
//!
//! When: nightly syncs, weekly trainings, hourly checks. Each time is made once, whatever crashes; the overlap policy says what
//! becomes of a time that comes while the last action still runs.
//!
//! Costs: 4 PUT, 1 GET, 3 messages each time; nothing while it waits. `docs/schedules.md`.

use anyhow::{bail, ensure};
use millrace::{ActionOutcome, Client, Overlap, RunError, Schedule, prelude::*};

#[activity(start_to_close = "10m")]
pub async fn copy_new_objects(bucket: String) -> Result<u32, ActivityError> {
    Ok(bucket.len() as u32)
}

#[workflow]
pub async fn sync_bucket(ctx: WorkflowContext, bucket: String) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(copy_new_objects, bucket).await?)
}

/// Retrains until it is stopped.
#[workflow]
pub async fn retrain(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(ctx.sleep(days(1)).await?)
}

pub fn app(app: App) -> App {
    app.workflow(sync_bucket).workflow(retrain).activity(copy_new_objects)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let every_second = Schedule::every(secs(1)).starts(sync_bucket, "raw-audio".into()).remaining(2);
    let sync = client.schedule("sync", every_second).await?;
    let done = sync.workflow().result().await?;
    ensure!(done.fired == 2 && done.recent.iter().all(|action| action.outcome == ActionOutcome::Completed));

    let sundays = Schedule::cron("0 3 * * SUN").time_zone("Europe/Berlin").starts(retrain, ());
    let weekly = client.schedule("retrain", sundays.overlap(Overlap::CancelOther)).await?;
    weekly.pause("the holidays").await?;
    let begun = weekly.trigger().await?; // beside its times, also while it is paused
    let state = weekly.describe().await?;
    ensure!((state.paused, state.running, state.fired) == (true, 1, 1), "{state:?}");

    let skipped = weekly.trigger_with(Overlap::Skip).await;
    ensure!(matches!(skipped, Err(RunError::Rejected(_))), "the first still runs: {skipped:?}");
    weekly.trigger().await?; // `CancelOther`: the first is asked to stop, then the second begins
    let first = client.handle(retrain, &begun.workflow_id)?;
    let Err(RunError::Failed(failure)) = first.result().await else { bail!("two at a time") };
    ensure!(failure.is_canceled(), "{failure}");

    weekly.unpause("back").await?;
    ensure!(weekly.describe().await?.next.len() == 5, "the next five Sundays");
    weekly.delete("the example is over").await?;
    Ok(())
}
