//! Signals as streams, time limits, declarations without body.

use futures::TryStreamExt;
use millrace::{TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{blocked, fault, kinds};

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

fn env() -> TestEnv {
    TestEnv::new().workflow(approval).mock(escalate, |_to| Ok(()))
}

#[tokio::test]
async fn an_approval_in_time_ends_the_wait_and_drops_its_timer() {
    let run = env().start(approval, "a", 3).await.unwrap();
    run.signal(Approve { by: "ann".into() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "approved by ann");
    assert_eq!(kinds(&run).await, ["RunStarted", "TimerStarted", "SignalReceived", "RunCompleted"]);
}

#[tokio::test]
async fn a_late_denial_comes_after_the_escalation() {
    let env = env();
    let run = env.start(approval, "a", 3).await.unwrap();
    env.advance(days(4)).await;
    assert_eq!(env.calls(escalate), ["the boss"]);
    run.signal(Deny).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "denied");
}

#[tokio::test]
async fn an_approval_may_come_with_the_start() {
    let run = env().start(approval, "a", 3).signal(Approve { by: "ann".into() }).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "approved by ann");
}

#[tokio::test]
async fn nobody_cares() {
    let env = env();
    let begin = env.now();
    let run = env.start(approval, "a", 3).await.unwrap();
    assert!(fault(&run).await.is("NobodyCared"));
    assert_eq!(env.now() - begin, days(10));
}

#[tokio::test]
async fn signals_are_kept_from_the_start_in_their_order() {
    let env = TestEnv::new().workflow(points);
    let run = env.start(points, "p", ()).await.unwrap();
    for n in [3, 4] {
        run.signal(AddPoints(n)).await.unwrap();
    }
    env.advance(hours(1)).await;
    run.signal(AddPoints(5)).await.unwrap();
    run.signal(AddPoints(0)).await.unwrap();
    assert_eq!(run.result().await, Ok(12));
}

#[tokio::test]
async fn a_signal_that_is_not_declared_is_named() {
    let run = TestEnv::new().workflow(undeclared).start(undeclared, "u", ()).await.unwrap();
    let blocked = blocked(&run).await.to_string();
    assert!(blocked.contains("workflow `Undeclared` reads the message `deny`"), "{blocked}");
    assert!(blocked.contains("approval.rs"), "{blocked}");
}
