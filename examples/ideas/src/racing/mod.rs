//! **`select!`**: whatever comes first, and the losers are canceled.
//!
//! When: two providers of which the faster counts, work that a message interrupts, a wait with a way out. Branches are
//! looked at in the order in which they are written, so every replay decides alike.
//!
//! Costs: none beside the calls. `docs/language.md`, Work.

use anyhow::ensure;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// The visitor types on: the answer is not wanted any more.
#[derive(Signal, Serialize, Deserialize)]
pub struct Interrupt;

/// A provider of models, and how long it takes to answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provider {
    pub name: String,
    pub takes_ms: u64,
}

#[activity(start_to_close = "2h", heartbeat = "10m", max_attempts = 1)]
pub async fn ask(
    ctx: ActivityContext,
    provider: Provider,
    question: String,
) -> Result<String, ActivityError> {
    for waited in (0..provider.takes_ms).step_by(10) {
        ctx.heartbeat(&waited)?; // the loser hears that it has lost
        tokio::time::sleep(millis(10)).await;
    }
    Ok(format!("{} to {question}", provider.name))
}

/// Keeps the answer for the next visitor.
#[activity]
pub async fn remember(answer: String) -> Result<String, ActivityError> {
    Ok(answer)
}

#[workflow(accepts(Interrupt))]
pub async fn quickest(
    ctx: WorkflowContext,
    question: String,
    providers: [Provider; 2],
) -> Result<String, WorkflowError> {
    let [near, far] = providers;
    let interrupts = ctx.signals::<Interrupt>();
    let answer = select! {
        answer = ctx.activity(ask, (near, question.clone())) => answer?,
        answer = ctx.activity(ask, (far, question)) => answer?,
        interrupt = interrupts.recv() => {
            interrupt?;
            return Ok("interrupted".into());
        }
    };
    Ok(ctx.activity(remember, answer).await?)
}

pub fn app(app: App) -> App {
    app.workflow(quickest).activity(ask).activity(remember)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    const AN_HOUR: u64 = 3_600_000; // nobody waits for it
    let provider = |name: &str, takes_ms| Provider { name: name.into(), takes_ms };
    let input = |near, far| ("why?".to_string(), [provider("near", near), provider("far", far)]);
    let run = client.start(quickest, "race-1", input(AN_HOUR, 20)).await?;
    ensure!(run.result().await? == "far to why?");
    let history = run.history().await?;
    let asked_to_stop = history.iter().filter(|event| event.kind.name() == "ActivityCancelRequested").count();
    ensure!(asked_to_stop == 1, "the loser");

    let run = client.start(quickest, "race-2", input(AN_HOUR, AN_HOUR)).await?;
    run.signal(Interrupt).await?;
    ensure!(run.result().await? == "interrupted");
    Ok(())
}
