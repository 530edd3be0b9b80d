//! Signals as streams, time limits, declarations without body.

use futures::TryStreamExt;
use millrace::prelude::*;
use serde::{Deserialize, Serialize};

use crate::driver::World;

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Approve {
    by: String,
}
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Deny;
#[derive(Debug, Signal, Serialize, Deserialize)]
#[signal(name = "add")]
pub struct AddPoints(u64);

#[activity]
async fn escalate(to: String) -> Result<(), ActivityError>; // runs elsewhere: this is its type

#[workflow(accepts(Approve, Deny))]
async fn approval(ctx: WorkflowContext, days_to_wait: u64) -> Result<String, WorkflowError> {
    let (approvals, denials) = (ctx.signals::<Approve>(), ctx.signals::<Deny>());
    if let Some(a) = approvals.recv().within(days(days_to_wait)).await? {
        return Ok(format!("approved by {}", a.by));
    }
    ctx.activity(escalate, "the boss".to_string()).await?;
    select! {
        a = approvals.recv() => Ok(format!("approved late by {}", a?.by)),
        d = denials.recv() => { d?; Ok("denied".into()) }
        _ = ctx.sleep(days(7)) => Err(ApplicationFailure::new("NobodyCared", "no answer").into()),
    }
}

#[workflow(accepts(AddPoints))]
async fn points(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    ctx.sleep(hours(1)).await?; // signals that come now are kept
    let mut adds = ctx.signals::<AddPoints>();
    let mut sum = 0;
    while let Some(AddPoints(n)) = adds.try_next().await? {
        if n == 0 {
            break;
        }
        sum += n;
    }
    Ok(sum)
}

#[workflow]
async fn undeclared(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.signals::<Deny>().recv().await?;
    Ok(())
}

fn world() -> World {
    World::new(App::new().workflow(approval)).mock(escalate, |_to| Ok(()))
}

#[test]
fn an_approval_in_time_ends_the_wait_and_drops_its_timer() {
    let mut world = world();
    world.start(approval, 3).signal(&Approve { by: "ann".into() });
    assert_eq!(world.result::<String>().unwrap(), "approved by ann");
    assert_eq!(world.kinds(), ["RunStarted", "TimerStarted", "SignalReceived", "RunCompleted"]);
}

#[test]
fn a_late_denial_comes_after_the_escalation() {
    let mut world = world();
    world.start(approval, 3).advance(days(4));
    assert_eq!(world.inputs(escalate), ["the boss"]);
    world.signal(&Deny);
    assert_eq!(world.result::<String>().unwrap(), "denied");
}

#[test]
fn nobody_cares() {
    let mut world = world();
    let begin = world.now;
    world.start(approval, 3).finish();
    assert!(world.result::<String>().unwrap_err().is("NobodyCared"));
    assert_eq!(world.now - begin, days(10));
}

#[test]
fn signals_are_kept_from_the_start_in_their_order() {
    let mut world = World::new(App::new().workflow(points));
    world.start(points, ());
    for n in [3, 4] {
        world.signal(&AddPoints(n));
    }
    world.advance(hours(1)).signal(&AddPoints(5)).signal(&AddPoints(0));
    assert_eq!(world.result::<u64>().unwrap(), 12);
}

#[test]
fn a_signal_that_is_not_declared_is_named() {
    let mut world = World::new(App::new().workflow(undeclared));
    world.start(undeclared, ());
    let blocked = world.blocked().unwrap().to_string();
    assert!(blocked.contains("workflow `Undeclared` reads the signal `deny`"), "{blocked}");
    assert!(blocked.contains("approval.rs"), "{blocked}");
}
