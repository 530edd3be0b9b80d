//! **A declaration without body**: an activity that another program runs, checked like any other call.
//!
//! When: the work is done in Python, in another team's binary, on another machine. The declaration is the contract; who
//! serves its task queue may be written in any language that has an SQS client (`docs/messages.md`).
//!
//! Costs: as an activity: 1 PUT, 2 messages. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audio {
    pub key: String,
    pub seconds: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    pub text: String,
    pub language: String,
}

/// Runs elsewhere: this is its type. Registering it is an error, calling it is not.
#[activity(start_to_close = "30m")]
pub async fn transcribe(audio: Audio) -> Result<Transcript, ActivityError>;

#[workflow]
pub async fn subtitle(ctx: WorkflowContext, audio: Audio) -> Result<Vec<String>, WorkflowError> {
    let Transcript { text, language } = ctx.activity(transcribe, audio).await?;
    let lines = text.split_inclusive(['.', '?', '!']).map(|line| format!("[{language}] {}", line.trim()));
    Ok(lines.collect())
}

/// The other program. Here it is a module, so that the example runs; yours has its own repository.
pub mod speech_team {
    use super::{Audio, Transcript};
    use millrace::prelude::*;

    #[activity]
    pub async fn transcribe(audio: Audio) -> Result<Transcript, ActivityError> {
        let text = format!("This is {}. It has {} seconds.", audio.key, audio.seconds);
        Ok(Transcript { text, language: "en".into() })
    }
}

pub fn app(app: App) -> App {
    app.workflow(subtitle).activity(speech_team::transcribe)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let audio = Audio { key: "talks/keynote.flac".into(), seconds: 1_800 };
    let lines = client.start(subtitle, "keynote", audio).await?.result().await?;
    ensure!(lines == ["[en] This is talks/keynote.", "[en] flac.", "[en] It has 1800 seconds."]);
    Ok(())
}
