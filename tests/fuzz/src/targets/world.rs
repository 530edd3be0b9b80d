//! A program for the targets that run code: one workflow that does what it is told.

use std::sync::OnceLock;
use std::time::Duration;

use millrace::prelude::*;
use millrace_core::RunId;
use serde::{Deserialize, Serialize};

/// Tells the run what to do.
#[derive(Debug, Signal, Serialize, Deserialize)]
pub(crate) struct Do {
    what: String,
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    value: serde_json::Value,
}

/// Asks for a sum.
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = u64)]
pub(crate) struct Add {
    n: u64,
}

/// Does what it is told.
#[workflow(accepts(Do, Add))]
pub async fn everything(
    ctx: WorkflowContext,
    input: serde_json::Value,
) -> Result<serde_json::Value, WorkflowError> {
    let told = ctx.signals::<Do>();
    let sum = ctx
        .state(0_u64)
        .on_update(|sum, Add { n }| {
            *sum = sum.checked_add(n).ok_or_else(|| millrace::Rejected { reason: "too much".into() })?;
            Ok(*sum)
        })
        .published();
    let mut left = Vec::new();
    loop {
        let Do { what, ms, text, value } = told.recv().await?;
        match what.as_str() {
            "work" => left.push(ctx.spawn({
                let ctx = ctx.clone();
                async move {
                    ctx.activity(work, value)
                        .await
                        .map_or_else(|failure| failure.to_string(), |_| String::new())
                }
            })),
            "wait_for_work" => {
                let _ = ctx.activity(work, value).await;
            }
            "sleep" => ctx.sleep(Duration::from_millis(ms)).await?,
            "child" => left.push(ctx.spawn({
                let ctx = ctx.clone();
                async move {
                    let child = ctx.child(everything, value).id(text);
                    child.await.map_or_else(|failure| failure.to_string(), |_| String::new())
                }
            })),
            "tell" => ctx.signal(text, Do { what: "end".into(), ms: 0, text: String::new(), value }).await?,
            "cancel" => ctx.request_cancel(text, "told to").await?,
            "local" => {
                let _ = ctx.local(work, value).await;
            }
            "drop" => left.clear(),
            "next" => return ctx.continue_as_new(everything, value),
            "fail" => return Err(ApplicationFailure::new(text, "told to").into()),
            "end" => return Ok(value),
            _ => sum.modify(|sum| *sum = sum.wrapping_add(input.to_string().len() as u64)),
        }
    }
}

/// Gives back what it is given; refuses numbers.
#[activity(start_to_close = "1m", heartbeat = "30s")]
pub async fn work(value: serde_json::Value) -> Result<serde_json::Value, ActivityError> {
    if value.is_number() {
        return Err(ApplicationFailure::new("Number", value).non_retryable().into());
    }
    Ok(value)
}

/// The program.
pub(super) fn app() -> &'static App {
    static APP: OnceLock<App> = OnceLock::new();
    APP.get_or_init(|| App::new().workflow(everything).activity(work).standalone(work))
}

pub(super) fn run_id(n: u128) -> RunId {
    RunId::from_random(n)
}
