//! **Signal-with-start**: whoever comes first starts the workflow, everybody is heard.
//!
//! When: events of one key belong together (documents of a batch, clicks of a session), and nobody knows who is first. Start
//! and signal are one message, so there is no moment in which one is there without the other.
//!
//! Costs: as a start; for a run that is open, as a signal. `docs/language.md`, Messages and state.

use anyhow::ensure;
use millrace::{Client, IdConflict, prelude::*};
use serde::{Deserialize, Serialize};

/// A document that wants an embedding.
#[derive(Signal, Serialize, Deserialize)]
pub struct Document(pub String);

/// One call for many documents: that is how the model is cheap.
#[activity(start_to_close = "5m")]
pub async fn embed_batch(documents: Vec<String>) -> Result<Vec<usize>, ActivityError> {
    Ok(documents.iter().map(String::len).collect())
}

/// Takes documents until there are `size`, or none has come for a while.
#[workflow(accepts(Document))]
pub async fn batch(ctx: WorkflowContext, size: usize) -> Result<Vec<usize>, WorkflowError> {
    let (documents, mut collected) = (ctx.signals::<Document>(), Vec::new());
    while collected.len() < size
        && let Some(Document(text)) = documents.recv().within(minutes(10)).await?
    {
        collected.push(text);
    }
    Ok(ctx.activity(embed_batch, collected).await?)
}

pub fn app(app: App) -> App {
    app.workflow(batch).activity(embed_batch)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for text in ["one", "three", "seven"] {
        let start = client.start(batch, "batch-of-today", 3).id_conflict(IdConflict::UseExisting);
        runs.push(start.signal(Document(text.into())).await?);
    }
    for run in &runs {
        run.describe().await?; // it has begun
        ensure!(run.run_id() == runs[0].run_id(), "one run for all");
    }
    let mut lengths = runs[0].result().await?;
    lengths.sort_unstable();
    ensure!(lengths == [3, 5, 5]);
    Ok(())
}
