//! What a step costs in a world of several orchestrators, workers and a ticker in which nothing goes wrong: exactly what
//! `docs/language.md` says. What it costs where something does is asked in every seed, by `millrace_simulation::warrants`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use millrace::prelude::*;
use millrace::{App, Workflow};
use millrace_conformance::Faults;
use millrace_engine::ports::{CallCounts, Clock};
use millrace_simulation::cost::Cost;
use millrace_simulation::workflows::Probe;
use millrace_simulation::{Cast, World};
use serde_json::{Value, json};

#[activity]
async fn add(n: u64) -> Result<u64, ActivityError> {
    Ok(n + 1)
}

#[workflow]
async fn chain(ctx: WorkflowContext, steps: u64) -> Result<u64, WorkflowError> {
    let mut n = 0;
    for _ in 0..steps {
        n = ctx.activity(add, n).await?;
    }
    Ok(n)
}

#[workflow]
async fn naps(ctx: WorkflowContext, times: u64, seconds: u64) -> Result<(), WorkflowError> {
    for _ in 0..times {
        ctx.sleep(secs(seconds)).await?;
    }
    Ok(())
}

#[workflow]
async fn nap(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.sleep(secs(1)).await?;
    Ok(())
}

#[workflow]
async fn parent(ctx: WorkflowContext, children: u64) -> Result<(), WorkflowError> {
    for _ in 0..children {
        ctx.child(nap, ()).await?;
    }
    Ok(())
}

fn app(_clock: Arc<dyn Clock>, probe: Arc<Probe>) -> App {
    App::new().share(probe).workflow(chain).workflow(naps).workflow(nap).workflow(parent).activity(add)
}

/// What a faultless world costs in which this is started.
fn cost(workflow: &str, input: &Value) -> Cost {
    let start = json!({"type": "start", "workflow": workflow, "id": "w", "input": input, "request_id": "s"});
    let cast = Cast { app, ids: vec!["w".into()], requests: vec![(0, start)], ..Cast::default() };
    let report = World::of(0, Faults::none(), cast).run().unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    report.cost
}

/// Twenty more of it cost so many PUT, messages sent, received and deleted each. Which orchestrator a message comes to is
/// left to chance, so a turn may find its run cold.
fn each_costs(workflow: &str, input: impl Fn(u64) -> Value, (each, gets, turns): ([u64; 4], u64, u64)) {
    let [few, many] = [10, 30].map(|n| {
        let CallCounts { puts, gets, messages_sent, messages_received, messages_deleted, .. } =
            cost(workflow, &input(n)).calls;
        ([puts, messages_sent, messages_received, messages_deleted], gets)
    });
    let more: [u64; 4] = std::array::from_fn(|i| many.0[i] - few.0[i]);
    assert_eq!(more, each.map(|n| 20 * n), "{workflow}: PUT, messages sent, received, deleted");
    let cold = many.1 - few.1;
    assert!((20 * gets..=20 * (gets + turns)).contains(&cold), "{workflow}: {cold} GET");
}

#[test]
fn an_activity_costs_what_is_said() {
    each_costs(ChainWorkflow::NAME, |n| json!(n), ([1, 2, 2, 2], 0, 1));
}

#[test]
fn a_timer_costs_what_is_said() {
    each_costs(NapsWorkflow::NAME, |n| json!([n, 60]), ([1, 1, 1, 1], 0, 1));
    each_costs(NapsWorkflow::NAME, |n| json!([n, 3_600]), ([2, 1, 1, 1], 1, 1));
}

#[test]
fn a_child_costs_what_is_said() {
    each_costs(ParentWorkflow::NAME, |n| json!(n), ([5, 3, 3, 3], 1, 3));
}
