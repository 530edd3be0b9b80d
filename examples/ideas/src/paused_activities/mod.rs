//! **Pausing one activity**: no attempt of it follows until somebody lets it go on; the rest of the run does.
//!
//! When: a service is down, and every attempt would only be counted. The attempt under way goes on; one that waited for its
//! time is void and does not count.
//!
//! Costs: 1 PUT to pause, 1 PUT and the task to go on. `docs/language.md`, Intervening.

use anyhow::ensure;
use millrace::{Client, prelude::*};

/// The first attempt comes while the vendor is down.
#[activity(initial_interval = "1h")]
pub async fn fetch_captions(ctx: ActivityContext, video: String) -> Result<String, ActivityError> {
    if ctx.attempt == 1 {
        return Err("the vendor is down".into());
    }
    Ok(format!("{video}: [music]"))
}

#[activity]
pub async fn fetch_title(video: String) -> Result<String, ActivityError> {
    Ok(video.to_uppercase())
}

#[workflow]
pub async fn describe_video(ctx: WorkflowContext, video: String) -> Result<String, WorkflowError> {
    let captions = ctx.activity(fetch_captions, video.clone());
    let (captions, title) = try_join!(captions, ctx.activity(fetch_title, video))?;
    Ok(format!("{title}, {captions}"))
}

pub fn app(app: App) -> App {
    app.workflow(describe_video).activity(fetch_captions).activity(fetch_title)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(describe_video, "describe-7", "intro".into()).await?;
    let look = async || {
        let open = run.describe().await?.activities;
        Ok((open.len() == 1).then(|| open.into_iter().find(|activity| activity.attempt == 2)).flatten())
    };
    let waits = crate::eventually("the title, and the attempt that waits an hour", look).await?;
    run.pause_activity(waits.activity_id, "until the vendor is back").await?;
    let there = run.describe().await?;
    ensure!(there.paused.is_none() && there.activities.iter().all(|activity| activity.paused), "{there:?}");
    run.unpause_activity(waits.activity_id).await?;
    run.retry_activity(waits.activity_id).await?; // it waits for its hour again
    ensure!(run.result().await? == "INTRO, intro: [music]");
    Ok(())
}
