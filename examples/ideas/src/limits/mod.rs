//! **Limits**: how many attempts of one activity run at a time in one worker process.
//!
//! When: an activity needs the one GPU, or half of the memory, and the worker has slots for thirty small ones. The attribute
//! says what holds everywhere, `App::limit` or `MILLRACE_LIMITS` what holds on this machine. What finds no room waits.
//!
//! Costs: a task that waited: 1 GET, 1 request to SQS. `docs/language.md`, Work.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use anyhow::ensure;
use futures::future::try_join_all;
use millrace::{Client, prelude::*};

/// How many attempts are at work in this process.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Gives how many were at work when it began, itself included.
#[activity(max_concurrent = 4)]
pub async fn separate_voices(_hour: u32) -> Result<usize, ActivityError> {
    let at_work = AT_WORK.fetch_add(1, SeqCst) + 1;
    tokio::time::sleep(millis(50)).await;
    AT_WORK.fetch_sub(1, SeqCst);
    Ok(at_work)
}

#[workflow]
pub async fn separate_day(ctx: WorkflowContext, hours: u32) -> Result<Vec<usize>, WorkflowError> {
    Ok(try_join_all((0..hours).map(|hour| ctx.activity(separate_voices, hour))).await?)
}

pub fn app(app: App) -> App {
    // A small machine: two at a time, whatever the attribute says.
    app.workflow(separate_day).activity(separate_voices).limit("separate_voices", 2)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let at_work = client.start(separate_day, "monday", 6).await?.result().await?;
    ensure!(at_work.len() == 6 && at_work.iter().all(|n| *n <= 2), "two at a time: {at_work:?}");
    Ok(())
}
