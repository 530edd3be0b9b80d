//! **An activity without a workflow**: one task, durable and retried, and nothing around it.
//!
//! When: there is one thing to do, and it must be done: a training job, a conversion. It has an id, a history and a handle as any
//! workflow; any program can start one by a message to the inbox.
//!
//! Costs: 4 PUT and 5 messages, its run included. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};

#[activity(start_to_close = "2h")]
pub async fn upscale(ctx: ActivityContext, video: String) -> Result<String, ActivityError> {
    if ctx.attempt == 1 {
        return Err("the machine was taken away".into());
    }
    Ok(format!("{video} in 4k"))
}

pub fn app(app: App) -> App {
    app.activity(upscale).standalone(upscale) // without that, only workflows may call it
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let retry = Retry::attempts(3).every(millis(50));
    let run = client.run_activity(upscale, "upscale-7", "intro".into()).retry(retry).await?;
    ensure!(run.result().await? == "intro in 4k");
    Ok(())
}
