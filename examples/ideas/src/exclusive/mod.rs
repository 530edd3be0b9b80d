//! **Exclusive activities**: at most one attempt holds the lease, and a number that rises with each holder.
//!
//! When: two attempts at the same time would do harm: an index that is rewritten, an account that is charged. The lease keeps
//! others out; the epoch lets the store refuse one that was thought dead and writes after all.
//!
//! With `max_attempts = 1` it is begun **at most once**: what became of one that failed is then for the workflow to find out.
//!
//! Costs: a lease: 2 PUT, 1 GET. `docs/language.md`, Work.

use std::fs;
use std::io::{ErrorKind, Write as _};
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

/// A bank that knows no fencing, and whose answer is lost this time.
#[activity(exclusive, max_attempts = 1)]
pub async fn transfer((account, cents): (PathBuf, u64)) -> Result<(), ActivityError> {
    let mut statement = fs::OpenOptions::new().create(true).append(true).open(account)?;
    writeln!(statement, "{cents}")?;
    Err("the connection was closed".into())
}

#[activity]
pub async fn transfers(account: PathBuf) -> Result<Vec<u64>, ActivityError> {
    let statement = match fs::read_to_string(account) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(), // it was never begun
        statement => statement?,
    };
    Ok(statement.lines().map(str::parse).collect::<Result<_, _>>()?)
}

#[workflow]
pub async fn pay(ctx: WorkflowContext, account: PathBuf) -> Result<bool, WorkflowError> {
    match ctx.activity(transfer, (account.clone(), 1_900)).await {
        Ok(()) => Ok(true),
        // It may have been done. Nobody does it again before somebody has looked.
        Err(_) => Ok(ctx.activity(transfers, account).await?.contains(&1_900)),
    }
}

pub fn app(app: App) -> App {
    app.workflow(reindex).workflow(pay).activity(rewrite_index).activity(transfer).activity(transfers)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("index.json");
    let epoch = client.start(reindex, "reindex", file.clone()).await?.result().await?;
    ensure!(epoch >= 2, "the second holder's number is higher than the first's");
    let index: Index = serde_json::from_slice(&fs::read(file)?)?;
    ensure!(index == Index { written_by: epoch, entries: 2_000 });

    let account = folder.path().join("account");
    let is_paid = client.start(pay, "pay-ann", account.clone()).await?.result().await?;
    ensure!(is_paid && fs::read_to_string(account)? == "1900\n", "once, although it was told as a failure");
    Ok(())
}
