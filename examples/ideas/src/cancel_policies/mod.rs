//! **What a canceled call does**: try, wait, abandon.
//!
//! When: by default a canceled activity is asked to stop and nobody waits (`Try`). A checkpoint that is being written should
//! be waited for (`Wait`), and what must happen in any case is let go on (`Abandon`).
//!
//! Costs: none; for each open activity that beats, a lease: 1 GET, 1 PUT. `docs/language.md`, Stopping.

use anyhow::ensure;
use millrace::{Client, OnCancel, prelude::*};
use serde::{Deserialize, Serialize};

/// What was left when it was stopped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    pub trained: bool,
    pub checkpoint: Option<String>,
    pub billed: bool,
}

#[activity(start_to_close = "5h", heartbeat = "1m", max_attempts = 1)]
pub async fn train_epochs(ctx: ActivityContext, model: String) -> Result<String, ActivityError> {
    for epoch in 0..500 {
        ctx.heartbeat(&epoch)?; // says when it was asked to stop
        tokio::time::sleep(millis(20)).await;
    }
    Ok(model)
}

/// Half a checkpoint is worth nothing: it looks at no cancel, and ends well.
#[activity(start_to_close = "10m")]
pub async fn save_checkpoint(model: String) -> Result<String, ActivityError> {
    tokio::time::sleep(secs(2)).await;
    Ok(format!("checkpoints/{model}"))
}

/// What was used is paid for, whether or not anybody waits.
#[activity(start_to_close = "1m")]
pub async fn bill(_model: String) -> Result<(), ActivityError> {
    tokio::time::sleep(secs(2)).await;
    Ok(())
}

#[workflow]
pub async fn finetune(ctx: WorkflowContext, model: String) -> Result<Left, WorkflowError> {
    let paid = ctx.scope();
    drop(ctx.spawn({
        let (ctx, paid) = (ctx.clone(), paid.clone());
        async move {
            let budget = ctx.sleep(millis(200)).await; // nights, in truth
            budget.map(|()| paid.cancel("the budget is spent"))
        }
    }));
    let (trained, checkpoint, billed) = join!(
        paid.activity(train_epochs, model.clone()).on_cancel(OnCancel::Try),
        paid.activity(save_checkpoint, model.clone()).on_cancel(OnCancel::Wait),
        paid.activity(bill, model).on_cancel(OnCancel::Abandon),
    );
    Ok(Left { trained: trained.is_ok(), checkpoint: checkpoint.ok(), billed: billed.is_ok() })
}

pub fn app(app: App) -> App {
    app.workflow(finetune).activity(train_epochs).activity(save_checkpoint).activity(bill)
}

pub async fn scenario(client: &Client) -> anyhow::Result<()> {
    let run = client.start(finetune, "finetune-7", "small-7".into()).await?;
    let left = run.result().await?;
    ensure!(!left.trained && left.checkpoint.as_deref() == Some("checkpoints/small-7"), "{left:?}");
    ensure!(!left.billed, "it goes on, and nobody hears of its end");
    let history = run.history().await?;
    let asked = history.iter().filter(|event| event.kind.name() == "ActivityCancelRequested").count();
    ensure!(asked == 2, "the training and the checkpoint, not the bill");
    Ok(())
}
