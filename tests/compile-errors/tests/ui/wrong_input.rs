use millrace::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Spec;
#[derive(Serialize, Deserialize)]
struct Model;

#[activity]
async fn train(_spec: Spec) -> Result<Model, ActivityError> {
    Ok(Model)
}

#[workflow]
async fn pipeline(ctx: WorkflowContext, model: Model) -> Result<(), WorkflowError> {
    ctx.activity(train, model).await?;
    Ok(())
}

fn main() {}
