//! **Interceptors**: code of your own around every start, every activity attempt and every workflow of the program.
//!
//! When: what all of them need and none should be bothered with: traces, quotas, an invoice at the end. They are the whole
//! program's, so this idea is one of its own. What is around a workflow is part of its code: as deterministic, and changed with
//! the same care.
//!
//! Costs: none, but for what they call. `docs/language.md`, Data and context.

use anyhow::{bail, ensure};
use millrace::client::{EventKind, Payload};
use millrace::intercept::{Attempt, Interceptor, Next, WorkflowRun};
use millrace::{Client, Handle, Headers, RunError, async_trait, prelude::*};

const TEAM: &str = "team";
const GUESTS: &str = "guests";

/// Whose work it is, what they may use, and what they are charged for.
struct Metered;

#[async_trait]
impl Interceptor for Metered {
    /// Whoever does not say for whom is a guest.
    fn start(&self, _workflow: &str, _id: &str, headers: &mut Headers) {
        headers.entry(TEAM.to_owned()).or_insert_with(|| GUESTS.to_owned());
    }

    /// Guests get no GPU.
    async fn activity(&self, attempt: Attempt, next: Next<'_>) -> Result<Payload, ActivityError> {
        if team(attempt.context.headers()) == GUESTS && attempt.name() == "fine_tune" {
            return Err(ApplicationFailure::new("NoQuota", "guests have no GPU").non_retryable().into());
        }
        next.run(attempt).await
    }

    /// However a run ends, an invoice is written.
    fn workflow(&self, context: &WorkflowContext, run: WorkflowRun) -> WorkflowRun {
        let (ctx, team) = (context.shielded(), team(context.headers()).to_owned());
        Box::pin(async move {
            let ended = run.await;
            ctx.activity(write_invoice, (team, ended.is_ok())).await?;
            ended
        })
    }
}

fn team(headers: &Headers) -> &str {
    headers.get(TEAM).map_or(GUESTS, String::as_str)
}

#[activity(start_to_close = "5h")]
pub async fn fine_tune(model: String) -> Result<String, ActivityError> {
    Ok(format!("{model}-tuned"))
}

#[activity]
pub async fn write_invoice(team: String, succeeded: bool) -> Result<String, ActivityError> {
    Ok(format!("{team}: {}", if succeeded { "one model" } else { "nothing" }))
}

/// Knows nothing of teams and invoices.
#[workflow]
pub async fn adapt(ctx: WorkflowContext, model: String) -> Result<String, WorkflowError> {
    Ok(ctx.activity(fine_tune, model).await?)
}

pub fn app(app: App) -> App {
    app.workflow(adapt).activity(fine_tune).activity(write_invoice).intercept(Metered)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let speech = client.start(adapt, "adapt-1", "base".into()).header(TEAM, "speech").await?;
    ensure!(speech.result().await? == "base-tuned");
    ensure!(invoice(&speech).await? == "speech: one model");

    let nobody = client.start(adapt, "adapt-2", "base".into()).await?;
    let Err(RunError::Failed(failure)) = nobody.result().await else { bail!("guests get no GPU") };
    ensure!(failure.is("NoQuota"), "{failure}");
    ensure!(invoice(&nobody).await? == "guests: nothing");
    Ok(())
}

/// What the last activity of a run gave.
async fn invoice(run: &Handle<AdaptWorkflow>) -> anyhow::Result<String> {
    let events = run.history().await?;
    let results = events.iter().rev().filter_map(|event| match &event.kind {
        EventKind::ActivityCompleted(completed) => Some(&completed.result),
        _ => None,
    });
    let Some(last) = results.into_iter().next() else { bail!("no invoice was written") };
    Ok(last.read()?)
}
