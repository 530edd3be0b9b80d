//! A seed that fails is told by the few faults that it takes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use millrace::prelude::*;
use millrace::{App, Workflow};
use millrace_conformance::{Fault, Faults, Spot};
use millrace_engine::ports::Clock;
use millrace_simulation::casts::Named;
use millrace_simulation::shrink::shrink;
use millrace_simulation::workflows::Probe;
use millrace_simulation::{Cast, campaign};
use serde_json::json;

/// Two orchestrators and four workers have an app.
const PROCESSES: u64 = 6;

#[test]
fn what_it_does_not_take_is_left_out() {
    let mut tries = 0;
    let few = shrink((0..1_000).collect(), 200, |left| {
        tries += 1;
        [17, 18, 940].iter().all(|n| left.contains(n))
    });
    assert_eq!(few, [17, 18, 940]);
    assert!(tries < 100, "{tries}");
    assert_eq!(shrink(vec![1, 2, 3], 100, |_| true), Vec::<i32>::new(), "it fails by itself");
    assert_eq!(shrink(vec![1, 2, 3], 2, |left| left.contains(&3)).len(), 1, "the tries are over");
}

/// By then a lot has gone wrong.
const LAST: u64 = 19;

/// Does its work, but the last one, if a process has died: a bug that needs one fault out of many.
#[activity(start_to_close = "1m")]
async fn brittle(probe: Shared<Arc<Probe>>, n: u64) -> Result<u64, ActivityError> {
    if n == LAST && probe.processes() > PROCESSES {
        return Err(ApplicationFailure::new("Planted", "a process has died").non_retryable().into());
    }
    Ok(n)
}

#[workflow]
async fn planted(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    let mut sum = 0;
    for n in 0..=LAST {
        sum += ctx.activity(brittle, n).await?;
        ctx.sleep(minutes(1)).await?;
    }
    Ok(sum)
}

fn app(_clock: Arc<dyn Clock>, probe: Arc<Probe>) -> App {
    App::new().share(probe).workflow(planted).activity(brittle)
}

fn cast() -> Cast {
    let start = json!({"type": "start", "workflow": PlantedWorkflow::NAME, "id": "planted", "input": null, "request_id": "s"});
    Cast { app, ids: vec!["planted".into()], requests: vec![(0, start)], ..Cast::default() }
}

#[test]
fn a_planted_bug_is_told_by_the_one_fault_that_it_takes() {
    let named = Named::new("planted", cast);
    let faults =
        Fault::ALL.into_iter().fold(Faults::none().seeded(3), |faults, fault| faults.with(fault, 150));
    let played = campaign::play(3, &named, faults.clone());
    let why = played.outcome.unwrap_err();
    assert!(why.contains("RunFailed"), "{why}");
    assert!(played.happened.len() > 50, "{} faults", played.happened.len());
    let text = campaign::explain(3, &named, &faults);
    assert!(text.contains("fails with 1 faults alone"), "{text}");
    assert!(text.contains(":CrashBefore:") || text.contains(":CrashAfter:"), "{text}");
    // What it prints is what plays it again.
    let spots = text.split_once("MILLRACE_FAULTS='").unwrap().1.split_once('\'').unwrap().0;
    let only: Vec<Spot> = spots.split(' ').map(|spot| spot.parse().unwrap()).collect();
    assert!(campaign::play(3, &named, faults.clone().only(only)).outcome.is_err());
    assert!(campaign::play(3, &named, faults.only([])).outcome.is_ok(), "and without it all is well");
}
