//! **Map over pages**: one activity over items that nobody names.
//!
//! When: the items are the keys of a bucket, the lines of a file, the rows of a table: too many to list in a workflow. A paging
//! activity gives a page and where the next one begins (`millrace::sources` has those for keys and lines); each page is read and
//! worked on in a run of its own.
//!
//! Costs: 1,000 items: 118 PUT, 2 messages each. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, Page, prelude::*};

/// The recordings of a month, ten at a time.
#[activity]
pub async fn recordings(month: u32, cursor: Option<String>) -> Result<Page<u32>, ActivityError> {
    let first: u32 = cursor.as_deref().unwrap_or("0").parse()?;
    let items = (first..first + 10).map(|n| month * 100 + n).collect();
    Ok(Page { items, next: (first < 20).then(|| (first + 10).to_string()) })
}

#[activity]
pub async fn denoise(recording: u32) -> Result<u32, ActivityError> {
    if recording % 10 == 7 {
        return Err(ApplicationFailure::new("NotAudio", "there is nothing in it").non_retryable().into());
    }
    Ok(recording)
}

#[workflow]
pub async fn clean_up(ctx: WorkflowContext, month: u32) -> Result<(u64, u64), WorkflowError> {
    let done = ctx.map_pages(denoise, recordings, month).concurrency(8).tolerate_share(0.2).summary().await?;
    Ok((done.count, done.failed))
}

pub fn app(app: App) -> App {
    app.workflow(clean_up).activity(recordings).activity(denoise)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(clean_up, "recordings-11", 11).await?;
    ensure!(run.result().await? == (30, 3), "three of thirty have nothing in them");
    ensure!(run.history().await?.len() <= 5, "none of them is in the history of the run that asked");
    Ok(())
}
