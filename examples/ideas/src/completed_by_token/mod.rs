//! **Completion by token**: an activity that somebody else ends, a person or another service, minutes or weeks later.
//!
//! When: approvals and labels by people, batch jobs with a callback, anything that answers by itself. The worker is free
//! meanwhile. The token is a secret: it has 128 random bits, and whoever has it says how the attempt ended, once.
//!
//! Costs: as an activity: 1 PUT, 2 messages. `docs/language.md`, Work.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// A caption that a model has written, and the folder where people look for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Draft {
    pub caption: String,
    pub desk: PathBuf,
}

/// What lies on the desk.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub caption: String,
    pub token: String,
}

/// Puts a ticket on the desk, and leaves the end to whoever takes it.
#[activity(completes_later, schedule_to_close = "14d", max_attempts = 3)]
pub async fn ask_a_person(ctx: ActivityContext, draft: Draft) -> Result<String, ActivityError> {
    let ticket = Ticket { caption: draft.caption, token: ctx.token().unwrap_or_default() };
    let file = draft.desk.join(format!("attempt-{}.json", ctx.attempt));
    fs::write(file.with_extension("new"), serde_json::to_vec(&ticket)?)?;
    fs::rename(file.with_extension("new"), file)?; // seen whole or not at all
    Err(ActivityError::CompletesLater)
}

#[workflow]
pub async fn caption_video(ctx: WorkflowContext, draft: Draft) -> Result<String, WorkflowError> {
    Ok(ctx.activity(ask_a_person, draft).initial_interval(millis(50)).await?)
}

pub fn app(app: App) -> App {
    app.workflow(caption_video).activity(ask_a_person)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let desk = tempfile::tempdir()?;
    let draft = |caption: &str| Draft { caption: caption.into(), desk: desk.path().into() };
    let run = client.start(caption_video, "video-31", draft("a cat on an elephant")).await?;
    let first = take(desk.path(), 1).await?;
    client.fail(&first.token, ApplicationFailure::new("Busy", "ask somebody else")).await?; // tried again
    let second = take(desk.path(), 2).await?;
    ensure!(second.caption == "a cat on an elephant" && second.token != first.token);
    client.complete(&second.token, "a cat in front of an elephant").await?;
    ensure!(run.result().await? == "a cat in front of an elephant");

    client.complete(&second.token, "too late").await?; // counts once: this changes nothing
    ensure!(run.result().await? == "a cat in front of an elephant");
    let guessed = client.complete("let me in", "anything").await;
    ensure!(matches!(guessed, Err(RunError::Rejected(_))), "{guessed:?}");
    Ok(())
}

/// A person comes to the desk.
async fn take(desk: &Path, attempt: u32) -> anyhow::Result<Ticket> {
    let file = desk.join(format!("attempt-{attempt}.json"));
    crate::eventually("a ticket", async || Ok(file.exists().then_some(()))).await?;
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}
