//! **Retries, and failures that are final**: what is tried again, how often, and what is not.
//!
//! When: always, in a sense: without a word an activity is tried again for ever, after 1 s, 2 s, … up to 100 s. The failure can say
//! that it is final, or when to come again; the policy can name types of failures that are.
//!
//! Costs: an attempt is 1 PUT and 2 messages. `docs/language.md`, Work.

use anyhow::{bail, ensure};
use millrace::{Client, RunError, prelude::*};
use serde::{Deserialize, Serialize};

/// What a model is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prompt {
    pub text: String,
    /// How often the service says that it is busy, before it answers.
    pub busy: u32,
}

#[activity(start_to_close = "1m", max_attempts = 5)]
pub async fn generate(ctx: ActivityContext, prompt: Prompt) -> Result<String, ActivityError> {
    if prompt.text.is_empty() {
        // The same prompt fails in the same way at every attempt.
        return Err(ApplicationFailure::new("EmptyPrompt", "ask something").non_retryable().into());
    }
    if prompt.text.contains("secret") {
        return Err(ApplicationFailure::new("Refused", "the model does not talk about that").into());
    }
    if ctx.attempt <= prompt.busy {
        let busy = ApplicationFailure::new("Busy", "too many requests").retry_after(millis(50));
        return Err(busy.details(&ctx.attempt).into()); // the service knows best when to come again
    }
    Ok(format!("{}, at the {}. attempt", prompt.text, ctx.attempt))
}

#[workflow]
pub async fn converse(ctx: WorkflowContext, prompt: Prompt) -> Result<String, WorkflowError> {
    let patient = Retry::attempts(4).initial_interval(millis(20)).backoff_coefficient(2.0);
    Ok(ctx.activity(generate, prompt).retry(patient.non_retryable(["Refused"])).await?)
}

pub fn app(app: App) -> App {
    app.workflow(converse).activity(generate)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let ask = async |id: &str, text: &str, busy| {
        let run = client.start(converse, id, Prompt { text: text.into(), busy }).await?;
        let result = run.result().await;
        let failed = run.history().await?.iter().filter(|e| e.kind.name() == "ActivityAttemptFailed").count();
        anyhow::Ok((result, failed))
    };
    let (answer, failed) = ask("patient", "why", 2).await?;
    ensure!((answer?.as_str(), failed) == ("why, at the 3. attempt", 2));
    for (id, text, busy, kind, tried_again) in [
        ("empty", "", 0, "EmptyPrompt", 0),
        ("nosy", "a secret", 0, "Refused", 0),
        ("unlucky", "why", 9, "Busy", 3),
    ] {
        let (answer, failed) = ask(id, text, busy).await?;
        let Err(RunError::Failed(failure)) = answer else { bail!("{id}: {answer:?}") };
        ensure!(failure.is(kind) && failed == tried_again, "{id}: {failure}, {failed}");
    }
    Ok(())
}
