//! One workflow that uses what the language has beside activities, timers and signals, in seconds of real time.

use std::path::PathBuf;

use futures::future::try_join_all;
use millrace::prelude::*;
use millrace::{OnCancel, ParentClose};
use serde::{Deserialize, Serialize};

use crate::app::step;

/// Adds to a total; zero is refused.
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u64)]
pub struct Add {
    /// How much.
    pub n: u64,
}

/// Tells a number.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Tell {
    /// The number.
    pub n: u64,
}

/// What [`language`] returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is one feature's result")]
pub struct Spoken {
    pub child: u64,
    pub ward: u64,
    pub failed: bool,
    pub stopped: bool,
    pub local: Vec<u64>,
    pub mapped: Vec<Option<u64>>,
    pub by_token: String,
    pub told_by_wanderer: u64,
    pub total: u64,
}

/// Uses everything else.
#[workflow(accepts(Add, Tell))]
pub async fn language(ctx: WorkflowContext, token_file: PathBuf) -> Result<Spoken, WorkflowError> {
    let me = ctx.workflow_id().to_string();
    let total = ctx.state(0).published().on_update(|total, Add { n }| {
        if n == 0 {
            return reject("nothing to add");
        }
        *total += n;
        Ok(*total)
    });
    let told = ctx.signals::<Tell>();
    let ward = ctx.child(listener, 2).id(format!("{me}-ward")).start();
    ward.signal(Tell { n: 20 }).await?;
    ctx.signal(format!("{me}-ward"), Tell { n: 1 }).await?;
    let child = ctx.child(grown_up, 5).await?;
    let failed = ctx.child(sulking, ()).await.is_err_and(|failure| failure.is("Sulking"));
    let waiting = ctx.scope();
    let patient = waiting.child(patience, ()).on_cancel(OnCancel::Wait);
    let (stopped, ()) = join!(patient, async {
        let _ = ctx.sleep(millis(200)).await;
        waiting.cancel("time is up");
    });
    let stopped = stopped.is_err_and(|failure| failure.is_canceled());
    let local = try_join_all((1..=10).map(|n| ctx.local(step, n))).await?;
    let mapped = ctx.map(no_threes, 0..5).concurrency(2).tolerate(2).await?;
    let by_token = ctx.activity(somebody_else, token_file).await?;
    ctx.child(wanderer, (me, 0)).parent_close(ParentClose::Abandon).start();
    let told_by_wanderer = told.recv().await?.n;
    total.until(|total| *total >= 30).await?;
    Ok(Spoken {
        child,
        ward: ward.result().await?,
        failed,
        stopped,
        local,
        mapped: mapped.into_iter().map(Result::ok).collect(),
        by_token,
        told_by_wanderer,
        total: total.get(),
    })
}

/// Grows by continuing as new.
#[workflow]
pub async fn grown_up(ctx: WorkflowContext, age: u64) -> Result<u64, WorkflowError> {
    let age = ctx.activity(step, age + 1).await?;
    if age < 8 { ctx.continue_as_new(grown_up, age) } else { Ok(age) }
}

/// Adds up what it is told.
#[workflow(accepts(Tell))]
pub async fn listener(ctx: WorkflowContext, times: u64) -> Result<u64, WorkflowError> {
    let told = ctx.signals::<Tell>();
    let mut sum = 0;
    for _ in 0..times {
        sum += told.recv().await?.n;
    }
    Ok(sum)
}

/// Fails.
#[workflow]
pub async fn sulking(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Err(ApplicationFailure::new("Sulking", "no").into())
}

/// Waits, and cleans up when it is asked to stop.
#[workflow]
pub async fn patience(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let waited = ctx.sleep(days(1)).await;
    ctx.shielded().activity(step, 1).await?;
    waited?;
    Ok(())
}

/// Goes on as new, then tells whoever sent it, who may have more to do.
#[workflow]
pub async fn wanderer(ctx: WorkflowContext, home: String, stage: u64) -> Result<(), WorkflowError> {
    if stage < 2 {
        return ctx.continue_as_new(wanderer, (home, stage + 1));
    }
    ctx.signal(home, Tell { n: stage }).await
}

/// Does not like threes.
#[activity]
pub async fn no_threes(n: u64) -> Result<u64, ActivityError> {
    if n.is_multiple_of(3) {
        return Err(ApplicationFailure::new("Three", n).non_retryable().into());
    }
    Ok(n)
}

/// Leaves its token in a file, for whoever comes.
#[activity(completes_later, schedule_to_close = "5m")]
pub async fn somebody_else(ctx: ActivityContext, file: PathBuf) -> Result<String, ActivityError> {
    std::fs::write(file, ctx.token().unwrap_or_default())?;
    Err(ActivityError::CompletesLater)
}
