use millrace::prelude::*;

async fn plain(_n: u32) -> Result<u32, ActivityError> {
    Ok(1)
}

#[workflow]
async fn other(_ctx: WorkflowContext, _n: u32) -> Result<(), WorkflowError> {
    Ok(())
}

#[workflow]
async fn pipeline(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.activity(plain, 1).await?;
    ctx.activity(other, 1).await?;
    Ok(())
}

fn main() {}
