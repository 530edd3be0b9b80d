//! **Large payloads**: what is larger than 64 KiB lies beside the history, and is handed on like anything else.
//!
//! When: nothing is to be done for it. Up to 16 MiB an input, a result, a signal or an answer may be as large as it is; from
//! some megabytes on, a file and its name are the better value, because every turn that meets it holds it in memory.
//!
//! Costs: 1 PUT, and 1 GET for a turn that finds the run cold. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};

/// Larger than what stays in the history's own text.
const FRAME_BYTES: usize = 70 * 1024;

/// A frame of a video, as text.
#[activity]
pub async fn grab_frame(second: u32) -> Result<String, ActivityError> {
    Ok("#".repeat(FRAME_BYTES + second as usize))
}

#[activity]
pub async fn count_pixels(frame: String) -> Result<usize, ActivityError> {
    Ok(frame.len())
}

#[workflow]
pub async fn look_at(ctx: WorkflowContext, second: u32) -> Result<usize, WorkflowError> {
    let frame = ctx.activity(grab_frame, second).await?;
    Ok(ctx.activity(count_pixels, frame).await?)
}

pub fn app(app: App) -> App {
    app.workflow(look_at).activity(grab_frame).activity(count_pixels)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(look_at, "film", 7).await?;
    ensure!(run.result().await? == FRAME_BYTES + 7, "not a byte is lost");
    Ok(())
}
