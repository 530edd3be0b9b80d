//! **Memo and attributes**: notes and values that are given at the start and stay with the whole chain of runs.
//!
//! When: a memo is for people who look at a run (who wants it, why); attributes are values to find runs by (team, priority,
//! dataset). The code need not know of them.
//!
//! Costs: none. `docs/language.md`, Messages and state.

use anyhow::{Context, ensure};
use millrace::client::EventKind;
use millrace::{Client, prelude::*};

#[activity(start_to_close = "10m")]
pub async fn embed_corpus(corpus: String) -> Result<usize, ActivityError> {
    Ok(corpus.len())
}

/// Embeds in two runs, as a large corpus would in many.
#[workflow]
pub async fn embed_in_parts(ctx: WorkflowContext, corpus: String, part: u32) -> Result<usize, WorkflowError> {
    let vectors = ctx.activity(embed_corpus, corpus.clone()).await?;
    if part < 2 { ctx.continue_as_new(embed_in_parts, (corpus, part + 1)) } else { Ok(vectors) }
}

pub fn app(app: App) -> App {
    app.workflow(embed_in_parts).activity(embed_corpus)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let start = client.start(embed_in_parts, "embed-handbook", ("handbook".into(), 1));
    let start = start.memo("asked for by Ann: the search finds nothing about saws");
    let run = start.attributes([("team", "search"), ("dataset", "handbook")]).await?;
    ensure!(run.result().await? == 8);
    let history = run.history().await?; // of the last run: they have come along
    let begun = &history.first().context("a history begins")?.kind;
    let EventKind::RunStarted(started) = begun else { anyhow::bail!("{begun}") };
    ensure!(started.continued_from == run.run_id());
    let memo: String = started.memo.as_ref().context("the memo")?.read()?;
    ensure!(memo.contains("Ann"), "{memo}");
    let attributes: serde_json::Value = started.attributes.as_ref().context("the attributes")?.read()?;
    ensure!(attributes["team"] == "search" && attributes["dataset"] == "handbook", "{attributes}");
    Ok(())
}
