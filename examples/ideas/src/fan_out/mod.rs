//! **Fan-out with ordinary combinators**: `join_all_bounded` for results in order, `FuturesUnordered` for whoever is first.
//!
//! When: some dozens of calls whose results the code looks at itself. For hundreds and more, `map` (see `map_with_tolerance`)
//! keeps this run's history short.
//!
//! Costs: none beside the activities. `docs/language.md`, Work.

use anyhow::ensure;
use futures::stream::{FuturesUnordered, StreamExt};
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Meeting {
    pub minutes: String,
    pub first_language: String,
}

#[activity(start_to_close = "10m")]
pub async fn transcribe_segment(segment: u32) -> Result<String, ActivityError> {
    Ok(format!("segment {segment}"))
}

#[activity(start_to_close = "10m")]
pub async fn translate(minutes: String, language: String) -> Result<(String, String), ActivityError> {
    let translated = format!("{minutes} ({language})");
    Ok((language, translated))
}

#[workflow]
pub async fn transcribe_meeting(ctx: WorkflowContext, segments: u32) -> Result<Meeting, WorkflowError> {
    // At most three at a time: the speech service allows no more. The results are in the segments' order.
    let calls = (0..segments).map(|segment| ctx.activity(transcribe_segment, segment));
    let texts = ctx.join_all_bounded(3, calls).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let minutes = texts.join("; ");

    // The first translation that is there is shown; the others follow.
    let languages = ["de", "fr", "ja"].map(String::from);
    let mut translations: FuturesUnordered<_> =
        languages.into_iter().map(|language| ctx.activity(translate, (minutes.clone(), language))).collect();
    let mut done = Vec::new();
    while let Some(translated) = translations.next().await {
        let (language, text) = translated?;
        ctx.publish(&text);
        done.push(language);
    }
    Ok(Meeting { minutes, first_language: done.swap_remove(0) })
}

pub fn app(app: App) -> App {
    app.workflow(transcribe_meeting).activity(transcribe_segment).activity(translate)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let meeting = client.start(transcribe_meeting, "all-hands", 5).await?.result().await?;
    ensure!(meeting.minutes == "segment 0; segment 1; segment 2; segment 3; segment 4", "{meeting:?}");
    ensure!(["de", "fr", "ja"].contains(&meeting.first_language.as_str()), "{meeting:?}");
    Ok(())
}
