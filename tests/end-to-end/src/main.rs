//! A small app, for the tests of the command line.

use std::process::ExitCode;

use millrace::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
struct Approve {
    by: String,
}

#[activity]
async fn greet(name: String) -> Result<String, ActivityError> {
    Ok(format!("hello {name}"))
}

#[activity]
async fn refuse() -> Result<(), ActivityError> {
    Err(ApplicationFailure::new("Refused", "never").non_retryable().into())
}

#[workflow]
async fn welcome(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
    Ok(ctx.activity(greet, name).await?)
}

#[workflow]
async fn doomed(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(ctx.activity(refuse, ()).await?)
}

#[workflow(accepts(Approve))]
async fn approval(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.signals::<Approve>().recv().await?.by)
}

fn main() -> ExitCode {
    let app = App::new().workflow(welcome).workflow(doomed).workflow(approval);
    app.activity(greet).activity(refuse).main()
}
