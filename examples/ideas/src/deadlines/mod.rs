//! **Timers, time limits, deadlines**: a limit on one wait, and one for many together.
//!
//! When: `.within(d)` for a single wait or call: `Ok(None)` when time is up, and the loser is canceled. A limit for a whole
//! loop is a timer that is made once, before it: in the loop it would be a timer for each round.
//!
//! Costs: a timer is 1 PUT and 1 message; over 15 minutes an object as well. `docs/language.md`, Time and chance.

use anyhow::ensure;
use futures::future::try_join_all;
use millrace::{Client, prelude::*};
use serde::{Deserialize, Serialize};

/// What somebody thinks of an answer, from 1 to 5.
#[derive(Signal, Serialize, Deserialize)]
pub struct Rate(pub u32);

#[derive(Debug, Serialize, Deserialize)]
pub struct Feedback {
    pub ratings: Vec<u32>,
    pub summary: String,
}

/// The model is slow tonight: it takes an hour.
#[activity(start_to_close = "2h", heartbeat = "10m", max_attempts = 1)]
pub async fn summarize(ctx: ActivityContext, ratings: Vec<u32>) -> Result<String, ActivityError> {
    for step in 0..180_000 {
        ctx.heartbeat(&step)?;
        tokio::time::sleep(millis(20)).await;
    }
    Ok(format!("{} people are mostly content", ratings.len()))
}

#[workflow(accepts(Rate))]
pub async fn collect_feedback(
    ctx: WorkflowContext,
    open_ms: u64,
    enough: usize,
) -> Result<Feedback, WorkflowError> {
    let (rated, mut ratings) = (ctx.signals::<Rate>(), Vec::new());
    let mut deadline = ctx.sleep(millis(open_ms)); // one timer for the whole loop
    while ratings.len() < enough {
        select! {
            rating = rated.recv() => ratings.push(rating?.0),
            over = &mut deadline => {
                over?;
                break;
            }
        }
    }
    let plain = || format!("{} ratings", ratings.len());
    let summary = ctx.activity(summarize, ratings.clone()).within(millis(200)).await?;
    Ok(Feedback { summary: summary.unwrap_or_else(plain), ratings })
}

pub fn app(app: App) -> App {
    app.workflow(collect_feedback).activity(summarize)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let start = client.start(collect_feedback, "feedback-12", (600, 100));
    let feedback = start.signal(Rate(5)).await?.result().await?;
    ensure!(feedback.ratings == [5] && feedback.summary == "1 ratings", "time is up, twice: {feedback:?}");

    let run = client.start(collect_feedback, "feedback-13", (86_400_000, 3)).await?;
    try_join_all([4, 3, 5].map(|rating| run.signal(Rate(rating)))).await?;
    ensure!(run.result().await?.ratings.len() == 3, "enough, long before the day is over");
    let history = run.history().await?;
    let timers = history.iter().filter(|event| event.kind.name() == "TimerStarted").count();
    ensure!(timers == 2, "the deadline and the limit, however many rounds");
    Ok(())
}
