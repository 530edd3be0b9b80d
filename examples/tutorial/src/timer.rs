use millrace::prelude::*;

#[workflow]
async fn follow_up(ctx: WorkflowContext, wait_s: u64) -> Result<String, WorkflowError> {
    let begin = ctx.now();
    ctx.sleep(secs(wait_s)).await?;
    Ok(format!("asked again after {} s", (ctx.now() - begin).as_secs()))
}

pub fn add(app: App) -> App {
    app.workflow(follow_up)
}
