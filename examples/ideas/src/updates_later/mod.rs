//! **Updates, answered later**: a request that the workflow takes its time for.
//!
//! When: the answer needs an activity, another workflow, a person. The workflow's main function reads the requests one by one
//! and answers each with its `Reply`; one that is dropped refuses. (From the state alone: `updates_at_once`.)
//!
//! Costs: 1 PUT, and that of the turn that answers. `docs/language.md`, Messages and state.

use anyhow::ensure;
use futures::future::join_all;
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// A picture is wanted. The answer is where it lies.
#[derive(Update, Serialize, Deserialize)]
#[update(output = String)]
pub struct Generate {
    pub prompt: String,
}

#[activity(start_to_close = "5m")]
pub async fn diffuse(prompt: String, seed: u64) -> Result<String, ActivityError> {
    Ok(format!("pictures/{}-{:02}.png", prompt.replace(' ', "-"), seed % 100))
}

#[workflow(accepts(Generate))]
pub async fn studio(ctx: WorkflowContext, pictures: usize) -> Result<Vec<String>, WorkflowError> {
    let (wanted, mut made) = (ctx.updates::<Generate>(), Vec::new());
    while made.len() < pictures {
        let (Generate { prompt }, reply) = wanted.recv().await?;
        if prompt.trim().is_empty() {
            reply.reject("a picture of what?");
            continue;
        }
        let picture = ctx.activity(diffuse, (prompt, ctx.random())).await?; // on an error, `reply` is dropped: refused
        made.push(picture.clone());
        reply.ok(picture);
    }
    Ok(made)
}

pub fn app(app: App) -> App {
    app.workflow(studio).activity(diffuse)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(studio, "studio", 2).await?;
    let generate = |prompt: &str| run.update(Generate { prompt: prompt.into() });
    let refused = generate(" ").await;
    ensure!(refused == Err(RunError::Rejected("a picture of what?".into())));
    let prompts = ["a lighthouse", "a heron"];
    let pictures = join_all(prompts.map(|prompt| generate(prompt).into_future())).await; // who asks first waits least
    let mut pictures = pictures.into_iter().collect::<Result<Vec<_>, _>>()?;
    ensure!(pictures[0].starts_with("pictures/a-lighthouse") && pictures[1].starts_with("pictures/a-heron"));
    let mut made = run.result().await?;
    made.sort();
    pictures.sort();
    ensure!(made == pictures);
    Ok(())
}
