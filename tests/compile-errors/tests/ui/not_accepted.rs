use millrace::prelude::*;
use millrace::{AcceptedBy, WorkflowRef};
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
struct Approve;

#[workflow]
async fn pipeline(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(())
}

fn tell<M, F: WorkflowRef<M>, S: Signal + AcceptedBy<F::Workflow>>(_workflow: F, _signal: S) {}

fn main() {
    tell(pipeline, Approve);
}
