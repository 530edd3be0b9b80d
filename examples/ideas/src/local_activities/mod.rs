//! **Local activities**: work of a moment, done within the turn that asks for it.
//!
//! When: a lookup, a redaction, a token count; a dozen of them should not be a dozen messages. What takes longer, must be
//! canceled, or must not be done twice after a crash is an ordinary activity.
//!
//! Costs: nothing beside the turn, however many they are. `docs/language.md`, Work.

use anyhow::ensure;
use futures::future::try_join_all;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// How much the model reads.
const CONTEXT: usize = 24;

/// What a customer gets, and how much of the ticket the model has read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub text: String,
    pub messages_read: usize,
}

/// What looks like an address does not leave the house.
#[activity]
pub async fn redact(message: String) -> Result<String, ActivityError> {
    let words = message.split(' ').map(|word| if word.contains('@') { "[address]" } else { word });
    Ok(words.collect::<Vec<_>>().join(" "))
}

#[activity]
pub async fn count_tokens(text: String) -> Result<usize, ActivityError> {
    Ok(text.split_whitespace().map(|word| word.len().div_ceil(4)).sum())
}

/// Asks the model: seconds of somebody else's time, so it goes to a worker.
#[activity(start_to_close = "1m")]
pub async fn complete(prompt: String) -> Result<String, ActivityError> {
    Ok(format!("Thank you. You wrote: {prompt}"))
}

#[workflow]
pub async fn answer_ticket(ctx: WorkflowContext, messages: Vec<String>) -> Result<Answer, WorkflowError> {
    let clean = try_join_all(messages.into_iter().map(|message| ctx.local(redact, message))).await?;
    let (mut prompt, mut room) = (Vec::new(), CONTEXT);
    for message in clean.into_iter().rev() {
        let tokens = ctx.local(count_tokens, message.clone()).await?;
        let Some(left) = room.checked_sub(tokens) else { break };
        room = left;
        prompt.insert(0, message); // the newest last
    }
    let messages_read = prompt.len();
    Ok(Answer { text: ctx.activity(complete, prompt.join("\n")).await?, messages_read })
}

pub fn app(app: App) -> App {
    app.workflow(answer_ticket).activity(redact).activity(count_tokens).activity(complete)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let messages = [
        "When will the transcription of last Tuesday's all-hands meeting be ready, please?",
        "Send it to ann@example.com or to Bob.",
        "No, to me: eve@example.com",
    ];
    let run = client.start(answer_ticket, "ticket-8814", messages.map(String::from).into()).await?;
    let answer = run.result().await?;
    ensure!(answer.messages_read == 2 && !answer.text.contains('@'), "{answer:?}");
    let history = run.history().await?;
    let count = |kind: &str| history.iter().filter(|event| event.kind.name() == kind).count();
    ensure!((count("LocalActivityCompleted"), count("ActivityScheduled")) == (6, 1));
    Ok(())
}
