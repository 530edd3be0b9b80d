use millrace::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
pub struct Approve {
    by: String,
}

#[activity]
async fn remind(who: String) -> Result<(), ActivityError> {
    println!("mail to {who}: an order waits for you");
    Ok(())
}

#[workflow(accepts(Approve))]
async fn approval(ctx: WorkflowContext, patience_s: u64) -> Result<String, WorkflowError> {
    let approvals = ctx.signals::<Approve>();
    if let Some(approve) = approvals.recv().within(secs(patience_s)).await? {
        return Ok(format!("approved by {}", approve.by));
    }
    ctx.activity(remind, "the boss".to_string()).await?;
    select! {
        approve = approvals.recv() => Ok(format!("approved late by {}", approve?.by)),
        _ = ctx.sleep(days(7)) => Err(ApplicationFailure::new("NoAnswer", "nobody cared for a week").into()),
    }
}

pub fn add(app: App) -> App {
    app.workflow(approval).activity(remind)
}
