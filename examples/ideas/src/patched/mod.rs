//! **Patches**: changed code for new runs, the old way for those that were past the place already.
//!
//! When: workflow code changes while runs are on their way, as it always does. [`v1`] is the code that was; [`v2`] asks
//! `ctx.patched(..)` at the place that it changes. A run that comes there for the first time takes the new way; one that
//! had gone on takes the old, in every replay. `histories/patched_v1.ndjson` was recorded by [`v1`], and is replayed with
//! [`v2`] by `tests/recorded.rs`: that is the check before a deployment. Once no run of before the change is open, the `if`
//! goes and the new way stays.
//!
//! Costs: none. `docs/language.md`, A long life.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

pub mod v1;
pub mod v2;

/// An editor is content.
#[derive(Signal, Serialize, Deserialize)]
pub struct Publish;

#[activity]
pub async fn moderate(text: String) -> Result<String, ActivityError> {
    Ok(text.replace("darn", "****"))
}

#[activity]
pub async fn store(text: String) -> Result<String, ActivityError> {
    Ok(format!("stored: {text}"))
}

/// Today's program.
pub fn app(app: App) -> App {
    app.workflow(v2::index_document).activity(moderate).activity(store)
}

/// The program of before the change.
pub fn app_v1(app: App) -> App {
    app.workflow(v1::index_document).activity(store)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(v2::index_document, "post-9", "a darn good model".into()).await?;
    run.signal(Publish).await?;
    ensure!(run.result().await? == "stored: a **** good model");
    Ok(())
}
