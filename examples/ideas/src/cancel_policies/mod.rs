//! **What a canceled call does**: try, wait, abandon.
//!
//! When: by default a canceled activity is asked to stop and nobody waits (`Try`). A checkpoint that is being written should
//! be waited for (`Wait`), and what must happen in any case is let go on (`Abandon`).
//!
//! Costs: none; for each open activity that beats, a lease: 1 GET, 1 PUT. `docs/language.md`, Stopping.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use millrace::client::Event;
use millrace::{Client, OnCancel, prelude::*};
use serde::{Deserialize, Serialize};

/// What was left when it was stopped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    pub trained: bool,
    pub checkpoint: Option<PathBuf>,
    pub billed: bool,
}

/// Trains for as long as somebody has use for the model.
#[activity(start_to_close = "5h", heartbeat = "10m", max_attempts = 1)]
pub async fn train_epochs(ctx: ActivityContext, model: PathBuf) -> Result<u32, ActivityError> {
    let mut epochs = 0;
    while model.exists() {
        ctx.heartbeat(&epochs)?; // says when it was asked to stop
        tokio::time::sleep(millis(20)).await;
        epochs += 1;
    }
    Ok(epochs)
}

/// Half a checkpoint is worth nothing: it looks at no cancel, and ends well.
#[activity(start_to_close = "10m")]
pub async fn save_checkpoint(model: PathBuf) -> Result<PathBuf, ActivityError> {
    is_written(&model).await;
    Ok(model.with_extension("checkpoint"))
}

/// What was used is paid for, whether or not anybody waits.
#[activity(start_to_close = "10m")]
pub async fn bill(model: PathBuf) -> Result<(), ActivityError> {
    is_written(&model).await;
    Ok(())
}

/// It takes longer than the budget lasts: here, as long as there is the file.
async fn is_written(model: &Path) {
    while model.exists() {
        tokio::time::sleep(millis(20)).await;
    }
}

#[workflow]
pub async fn finetune(ctx: WorkflowContext, model: PathBuf) -> Result<Left, WorkflowError> {
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
    let model = tempfile::NamedTempFile::new()?;
    let run = client.start(finetune, "finetune-7", model.path().into()).await?;
    let spent = async || Ok((asked(&run.history().await?) > 0).then_some(()));
    crate::eventually("the budget to be spent", spent).await?;
    let checkpoint = model.path().with_extension("checkpoint");
    drop(model);
    let left = run.result().await?;
    ensure!(!left.trained && left.checkpoint == Some(checkpoint), "{left:?}");
    ensure!(!left.billed, "it goes on, and nobody hears of its end");
    ensure!(asked(&run.history().await?) == 2, "the training and the checkpoint, not the bill");
    Ok(())
}

/// How many activities were asked to stop.
fn asked(history: &[Event]) -> usize {
    history.iter().filter(|event| event.kind.name() == "ActivityCancelRequested").count()
}
