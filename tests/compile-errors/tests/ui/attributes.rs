use millrace::prelude::*;

#[activity]
async fn borrowed(path: &str) -> Result<(), ActivityError> {
    Ok(())
}

#[workflow]
async fn shared(ctx: WorkflowContext, db: Shared<String>) -> Result<(), WorkflowError> {
    Ok(())
}

#[workflow]
async fn no_context(n: u32) -> Result<(), WorkflowError> {
    Ok(())
}

#[activity(start_to_close = "5 hours")]
async fn duration() -> Result<(), ActivityError> {
    Ok(())
}

#[activity(timeout = "5h")]
async fn option() -> Result<(), ActivityError> {
    Ok(())
}

#[activity(task_queue = "g p u")]
async fn queue() -> Result<(), ActivityError> {
    Ok(())
}

fn main() {}
