//! **Headers**: what a start is given travels to every activity and every child.
//!
//! When: a trace id, a tenant, a feature flag of the request, which nothing in between should have to hand on. (To set them or
//! use them everywhere, see `millrace::intercept`.)
//!
//! Costs: nothing: they are in the start, and in each task. `docs/language.md`, Data.

use anyhow::ensure;
use millrace::{Client, prelude::*};

const TRACE: &str = "traceparent";

#[activity]
pub async fn embed(ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
    let trace = ctx.headers().get(TRACE).cloned().unwrap_or_default();
    Ok(format!("{text} in {trace}"))
}

#[workflow]
pub async fn embed_part(ctx: WorkflowContext, text: String) -> Result<String, WorkflowError> {
    Ok(ctx.activity(embed, text).await?)
}

#[workflow]
pub async fn embed_all(ctx: WorkflowContext, texts: Vec<String>) -> Result<Vec<String>, WorkflowError> {
    let mut embedded = Vec::new();
    for text in texts {
        embedded.push(ctx.child(embed_part, text).await?);
    }
    Ok(embedded)
}

pub fn app(app: App) -> App {
    app.workflow(embed_all).workflow(embed_part).activity(embed)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let run = client.start(embed_all, "page-1", vec!["a".into()]).header(TRACE, trace).await?;
    ensure!(run.result().await? == [format!("a in {trace}")]);
    Ok(())
}
