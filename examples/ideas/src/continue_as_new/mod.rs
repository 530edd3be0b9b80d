//! **Continue as new**: a run that ends and begins again under its id, with what it hands on.
//!
//! When: something lives for years and hears of a thousand things a day; each run's history stays short. Whoever has a handle of
//! the first run means the whole chain. `examples/entity` is a larger one.
//!
//! Costs: 4 PUT, 1 DELETE. `docs/language.md`, A long life.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// How many requests a run counts here; one in earnest asks `ctx.should_continue_as_new()` only, which says yes at 4,000 events.
const OF_ONE_RUN: u32 = 3;

/// A request has used so many tokens.
#[derive(Signal, Serialize, Deserialize)]
pub struct Used(pub u64);

/// The month is over.
#[derive(Signal, Serialize, Deserialize)]
pub struct Bill;

struct Meter {
    tokens: u64,
    requests: u32,
    is_over: bool,
}

#[workflow(accepts(Used, Bill))]
pub async fn count_usage(ctx: WorkflowContext, tokens: u64) -> Result<u64, WorkflowError> {
    let meter = ctx.state(Meter { tokens, requests: 0, is_over: false });
    let meter = meter.on_signal(|meter, Bill| meter.is_over = true).on_signal(|meter, Used(tokens)| {
        meter.tokens += tokens;
        meter.requests += 1;
    });
    let is_long = |meter: &Meter| meter.requests >= OF_ONE_RUN || ctx.should_continue_as_new();
    meter.until(|meter| meter.is_over || is_long(meter)).await?;
    match meter.read(|meter| (meter.is_over, meter.tokens)) {
        (true, tokens) => Ok(tokens),
        (false, tokens) => ctx.continue_as_new(count_usage, tokens),
    }
}

pub fn app(app: App) -> App {
    app.workflow(count_usage)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(count_usage, "usage-november", 0).await?;
    let mut gateway = run.in_order(); // the bill comes last
    for _ in 0..7 {
        gateway.signal(Used(100)).await?;
    }
    gateway.signal(Bill).await?;
    ensure!(run.result().await? == 700, "the first run's handle has the last run's result");
    let last = run.describe().await?;
    ensure!(Some(last.run_id) != run.run_id() && last.first_run_id == run.run_id(), "a chain: {last:?}");
    ensure!(run.history().await?.len() <= 6, "and its last run is short");
    Ok(())
}
