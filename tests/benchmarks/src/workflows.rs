//! The workflows that are measured. Their activities do nothing: what is left is the engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use futures::future::try_join_all;
use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::load::{timed_chain, timed_step};

#[activity]
async fn nothing(step: u64) -> Result<u64, ActivityError> {
    Ok(step)
}

/// Steps one after the other.
#[workflow]
pub(crate) async fn chain(ctx: WorkflowContext, steps: u64) -> Result<u64, WorkflowError> {
    for step in 0..steps {
        ctx.activity(nothing, step).await?;
    }
    Ok(steps)
}

/// Steps side by side, and a join.
#[workflow]
pub(crate) async fn fan_out(ctx: WorkflowContext, width: u64) -> Result<u64, WorkflowError> {
    let results = try_join_all((0..width).map(|step| ctx.activity(nothing, step))).await?;
    Ok(results.iter().sum())
}

/// Local steps, ten at a time: each ten are one turn's.
#[workflow]
pub(crate) async fn local(ctx: WorkflowContext, steps: u64) -> Result<u64, WorkflowError> {
    for _ in 0..steps / 10 {
        try_join_all((0..10).map(|step| ctx.local(nothing, step))).await?;
        ctx.activity(nothing, 0).await?;
    }
    Ok(steps)
}

/// One activity over many items.
#[workflow]
pub(crate) async fn map(ctx: WorkflowContext, items: u64) -> Result<u64, WorkflowError> {
    let results = ctx.map(nothing, 0..items).concurrency(200).await?;
    Ok(results.len() as u64)
}

/// Ends at once.
#[workflow]
pub(crate) async fn child(_ctx: WorkflowContext, n: u64) -> Result<u64, WorkflowError> {
    Ok(n)
}

/// Children side by side, and a join.
#[workflow]
pub(crate) async fn children(ctx: WorkflowContext, width: u64) -> Result<u64, WorkflowError> {
    let results = try_join_all((0..width).map(|n| ctx.child(child, n))).await?;
    Ok(results.iter().sum())
}

/// When each step of a long run ended, in nanoseconds since the first use.
static TIMES: Mutex<Vec<u64>> = Mutex::new(Vec::new());

#[activity]
async fn note_time(step: u64) -> Result<u64, ActivityError> {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let now = BEGIN.get_or_init(crate::measure::now).elapsed();
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    times.push(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    Ok(step)
}

/// The times of the steps since the last call.
pub(crate) fn take_times() -> Vec<u64> {
    std::mem::take(&mut *TIMES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Many steps one after the other, each leaving its time.
#[workflow]
pub(crate) async fn long_run(ctx: WorkflowContext, steps: u64) -> Result<u64, WorkflowError> {
    for step in 0..steps {
        ctx.activity(note_time, step).await?;
    }
    Ok(steps)
}

/// What the signals carry.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// The signal's number.
    pub(crate) n: u64,
}

/// The signals that reached workflow code, replays included.
pub(crate) static SEEN: AtomicU64 = AtomicU64::new(0);

/// Takes a number of signals.
#[workflow(accepts(Tick))]
pub(crate) async fn listen(ctx: WorkflowContext, expected: u64) -> Result<u64, WorkflowError> {
    let ticks = ctx.signals::<Tick>();
    let mut sum = 0;
    for _ in 0..expected {
        sum += ticks.recv().await?.n;
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    Ok(sum)
}

/// Everything that is measured.
pub(crate) fn app() -> App {
    App::new()
        .workflow(chain)
        .workflow(fan_out)
        .workflow(local)
        .workflow(map)
        .workflow(child)
        .workflow(children)
        .workflow(long_run)
        .workflow(listen)
        .activity(nothing)
        .activity(note_time)
        .workflow(timed_chain)
        .activity(timed_step)
}
