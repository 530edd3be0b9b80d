//! **Pinned versions**: runs go on with the code that they began with, beside new ones with new code.
//!
//! When: the new way has little in common with the old, so that a `patched` at each place would be unreadable; or audits ask
//! which version a run followed. The old code stays in the program until its last run has ended.
//!
//! Costs: nothing. `docs/language.md`, A long life.

use anyhow::ensure;
use millrace::client::{EventKind, Filter};
use millrace::{Client, prelude::*};

#[activity]
pub async fn retrieve(question: String) -> Result<Vec<String>, ActivityError> {
    Ok(vec![format!("about {question}"), "something else".into()])
}

#[activity]
pub async fn rerank(found: Vec<String>) -> Result<Vec<String>, ActivityError> {
    Ok(found.into_iter().take(1).collect())
}

/// What runs before the second version began with, and go on with.
#[workflow(name = "Context", version = "1")]
pub async fn context_v1(ctx: WorkflowContext, question: String) -> Result<Vec<String>, WorkflowError> {
    Ok(ctx.activity(retrieve, question).await?)
}

#[workflow(name = "Context", version = "2")]
pub async fn context(ctx: WorkflowContext, question: String) -> Result<Vec<String>, WorkflowError> {
    let found = ctx.activity(retrieve, question).await?;
    Ok(ctx.activity(rerank, found).await?)
}

pub fn app(app: App) -> App {
    app.workflow(context).pinned(context_v1).activity(retrieve).activity(rerank)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(context, "why", "why".into()).await?;
    ensure!(run.result().await? == ["about why"], "new runs follow the second version");
    let events = run.history().await?;
    let Some(EventKind::RunStarted(started)) = events.first().map(|event| &event.kind) else {
        anyhow::bail!("a history begins with its start")
    };
    ensure!(started.version.as_deref() == Some("2"), "and say so");
    let of_both = Filter { id_prefix: Some("why".into()), ..Filter::default() };
    let listed = async || Ok((client.list(&of_both).await?.len() == 1).then_some(()));
    crate::eventually("the run, under the one name of both", listed).await
}
