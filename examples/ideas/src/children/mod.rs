//! **Child workflows, with a handle**: workflows of a workflow's own, told things, asked to stop, ended by force.
//!
//! When: a part has a history of its own, lives longer or shorter than its parent, or is told things itself. A part that is
//! only work is an activity, and many of the same kind are a `map`.
//!
//! Costs: a child that waits once: 5 PUT, 1 GET, 3 messages; 1 message for each request. `docs/language.md`, Other workflows.

use anyhow::ensure;
use millrace::client::Status;
use millrace::{Client, Handle, ParentClose, WorkflowFailure, prelude::*};
use serde::{Deserialize, Serialize};

/// Prompts to be scored; the last ones end the evaluation.
#[derive(Signal, Serialize, Deserialize)]
pub struct Prompts {
    pub prompts: Vec<String>,
    pub last: bool,
}

#[activity]
pub async fn score(model: String, prompt: String) -> Result<usize, ActivityError> {
    Ok(model.len() * prompt.len())
}

#[workflow(accepts(Prompts))]
pub async fn evaluate(ctx: WorkflowContext, model: String) -> Result<usize, WorkflowError> {
    let (told, mut sum) = (ctx.signals::<Prompts>(), 0);
    loop {
        let Prompts { prompts, last } = told.recv().await?;
        for prompt in prompts {
            sum += ctx.activity(score, (model.clone(), prompt)).await?;
        }
        if last {
            return Ok(sum);
        }
    }
}

/// Keeps something ready until it is stopped.
#[workflow]
pub async fn keep_warm(ctx: WorkflowContext, what: String) -> Result<(), WorkflowError> {
    ctx.publish(&what);
    Ok(ctx.sleep(days(365)).await?)
}

#[workflow]
pub async fn tournament(ctx: WorkflowContext, models: [String; 3]) -> Result<[String; 3], WorkflowError> {
    let me = ctx.workflow_id().to_string();
    // What becomes of them when this run closes: by default they are terminated.
    ctx.child(keep_warm, "cache".into()).id(format!("{me}:cache")).parent_close(ParentClose::Cancel).start();
    ctx.child(keep_warm, "report".into())
        .id(format!("{me}:report"))
        .parent_close(ParentClose::Abandon)
        .start();
    let [good, slow, broken] = models.map(|model| ctx.child(evaluate, model).start()); // beside each other
    good.signal(Prompts { prompts: vec!["2 + 2 =".into(), "Roses are".into()], last: true }).await?;
    slow.cancel("nobody waits so long");
    broken.terminate("it burns");
    let (good, slow, broken) = join!(good.result(), slow.result(), broken.result());
    let fate = |end: Result<usize, WorkflowFailure>| match end {
        Ok(score) => score.to_string(),
        Err(failure) => failure.fault.to_string(),
    };
    Ok([good, slow, broken].map(fate))
}

pub fn app(app: App) -> App {
    app.workflow(tournament).workflow(evaluate).workflow(keep_warm).activity(score)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(tournament, "cup", ["small", "large", "odd"].map(String::from)).await?;
    ensure!(run.result().await? == ["80", "canceled: nobody waits so long", "terminated: it burns"]);
    let (cache, report) = (client.handle(keep_warm, "cup:cache")?, client.handle(keep_warm, "cup:report")?);
    let stands = async |handle: &Handle<_>, status| {
        let run = handle.describe().await.ok(); // it may be about to begin
        Ok(run.filter(|run| run.status == status))
    };
    crate::eventually("the cache's end", async || stands(&cache, Status::Canceled).await).await?;
    crate::eventually("the report", async || stands(&report, Status::Running).await).await?; // it outlives its parent
    report.terminate("seen").await?;
    Ok(())
}
