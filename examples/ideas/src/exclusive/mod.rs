//! **Exclusive activities**: at most one attempt holds the lease, and a number that rises with each holder.
//!
//! When: two attempts at the same time would do harm: an index that is rewritten, an account that is charged. The lease keeps
//! others out; the epoch lets the store refuse one that was thought dead and writes after all.
//!
//! Costs: a lease: 2 PUT, 1 GET. `docs/language.md`, Work.

use std::fs;
use std::path::PathBuf;

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// The index as it lies in the store.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub written_by: u64,
    pub entries: u32,
}

/// A store that refuses whoever comes too late.
fn write_fenced(file: &PathBuf, index: &Index) -> Result<(), ActivityError> {
    let stored = fs::read(file).ok().and_then(|text| serde_json::from_slice::<Index>(&text).ok());
    if let Some(stored) = stored.filter(|stored| stored.written_by > index.written_by) {
        let text = format!("holder {} has written since", stored.written_by);
        return Err(ApplicationFailure::new("Fenced", text).non_retryable().into());
    }
    Ok(fs::write(file, serde_json::to_vec(index)?)?)
}

#[activity(start_to_close = "1h", exclusive, initial_interval = "50ms")]
pub async fn rewrite_index(ctx: ActivityContext, file: PathBuf) -> Result<u64, ActivityError> {
    write_fenced(&file, &Index { written_by: ctx.epoch(), entries: ctx.attempt * 1_000 })?;
    if ctx.attempt == 1 {
        return Err("the disk is full".into());
    }
    // The first holder, had it only been slow, could do no harm now.
    let stale = Index { written_by: ctx.epoch() - 1, entries: 0 };
    match write_fenced(&file, &stale) {
        Err(ActivityError::Failed(fault)) if fault.is("Fenced") => Ok(ctx.epoch()),
        other => Err(format!("the store took it: {other:?}").into()),
    }
}

#[workflow]
pub async fn reindex(ctx: WorkflowContext, file: PathBuf) -> Result<u64, WorkflowError> {
    Ok(ctx.activity(rewrite_index, file).await?)
}

pub fn app(app: App) -> App {
    app.workflow(reindex).activity(rewrite_index)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("index.json");
    let epoch = client.start(reindex, "reindex", file.clone()).await?.result().await?;
    ensure!(epoch >= 2, "the second holder's number is higher than the first's");
    let index: Index = serde_json::from_slice(&fs::read(file)?)?;
    ensure!(index == Index { written_by: epoch, entries: 2_000 });
    Ok(())
}
