//! **Signals in order**: each names the one before it, and waits for it.
//!
//! When: parts of one thing are sent one after the other, such as a live transcript. Queues do not keep the order; a signal that
//! comes early waits in its queue. (Signals whose order does not matter need nothing.)
//!
//! Costs: 1 PUT for each, as any signal; one that came early is received again. `docs/language.md`, Messages and state.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// What was said, and whether it was the last.
#[derive(Signal, Serialize, Deserialize)]
pub struct Spoken {
    pub text: String,
    pub last: bool,
}

#[workflow(accepts(Spoken))]
pub async fn transcript(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    let (spoken, mut text) = (ctx.signals::<Spoken>(), String::new());
    loop {
        let Spoken { text: more, last } = spoken.recv().await?;
        text.push_str(&more);
        if last {
            return Ok(text);
        }
    }
}

pub fn app(app: App) -> App {
    app.workflow(transcript)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(transcript, "call-7", ()).await?;
    let mut speaker = run.in_order();
    for (i, text) in ["one ", "thing ", "after ", "another"].into_iter().enumerate() {
        speaker.signal(Spoken { text: text.into(), last: i == 3 }).await?;
    }
    ensure!(run.result().await? == "one thing after another");
    Ok(())
}
