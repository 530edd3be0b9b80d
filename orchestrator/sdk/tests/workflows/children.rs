//! Workflows that start, tell and stop each other.

use millrace::client::Status;
use millrace::{Fault, OnCancel, ParentClose, RunError, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{cold_and_warm, fault, kinds};

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Approve {
    by: String,
}

#[workflow(name = "Greeter")]
async fn greet(ctx: WorkflowContext, name: String) -> Result<String, WorkflowError> {
    ctx.sleep(secs(1)).await?;
    if name.is_empty() {
        return Err(ApplicationFailure::new("NoName", "who?").into());
    }
    Ok(format!("hello {name}"))
}

#[workflow(accepts(Approve))]
async fn approval(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.signals::<Approve>().recv().await?.by)
}

#[workflow]
async fn parent(ctx: WorkflowContext) -> Result<Vec<String>, WorkflowError> {
    let one = ctx.child(greet, "ann".into()).id("greet-ann").await?;
    let approval = ctx.child(approval, ()).id("child-approval").start(); // runs beside
    approval.signal(Approve { by: "parent".into() }).await?;
    let (two, three) = try_join!(ctx.child(greet, "bob".into()), ctx.child(greet, "eve".into()))?;
    Ok(vec![one, approval.result().await?, two, three])
}

#[workflow]
async fn luckless(ctx: WorkflowContext, id: String) -> Result<String, WorkflowError> {
    let failure = match ctx.child(greet, String::new()).await {
        Err(failure) => failure,
        Ok(_) => return Err("it should have failed".into()),
    };
    assert!(failure.is("NoName") && failure.workflow == "Greeter");
    let taken = ctx.child(greet, "ann".into()).id(id).await.unwrap_err();
    assert!(taken.is("ChildNotStarted"), "{taken}");
    let unknown = ctx.child(approval, ()).id("no\u{0}id").await.unwrap_err();
    Ok(format!("{}; {}", failure.fault, unknown.is("InvalidOption")))
}

/// Leaves a child behind, with what the author wants to become of it.
#[workflow]
async fn leaves(ctx: WorkflowContext, policy: String) -> Result<(), WorkflowError> {
    let policy = match policy.as_str() {
        "abandon" => ParentClose::Abandon,
        "cancel" => ParentClose::Cancel,
        _ => ParentClose::Terminate,
    };
    let _child = ctx.child(approval, ()).id("left").parent_close(policy).start();
    Ok(ctx.sleep(secs(1)).await?)
}

#[workflow]
async fn impatient(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    let slow = ctx.child(approval, ()).id("slow").start();
    ctx.sleep(secs(1)).await?;
    slow.cancel("too slow");
    match slow.result().await {
        Err(failure) => Ok(failure.fault.to_string()),
        Ok(by) => Ok(by),
    }
}

/// Wants no child after all.
#[workflow]
async fn fickle(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    let child = ctx.child(approval, ()).id("taken").on_cancel(OnCancel::Wait).start();
    child.cancel("never mind");
    match child.result().await {
        Err(failure) => Ok(failure.fault.to_string()),
        Ok(by) => Ok(by),
    }
}

#[workflow]
async fn considerate(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.child(greet, "ann".into()).id("waited-for").on_cancel(OnCancel::Wait).await?)
}

#[workflow]
async fn messenger(ctx: WorkflowContext, to: String) -> Result<(), WorkflowError> {
    ctx.signal(&to, Approve { by: "messenger".into() }).await?;
    ctx.request_cancel("another", "by order").await
}

fn env() -> TestEnv {
    TestEnv::new().workflow(greet).workflow(approval)
}

#[tokio::test]
async fn a_parent_has_children() {
    for env in cold_and_warm(|| env().workflow(parent)) {
        let run = env.start(parent, "p", ()).await.unwrap();
        let got = run.result().await.unwrap();
        assert_eq!(got, ["hello ann", "parent", "hello bob", "hello eve"]);
        let child = env.handle(greet, "greet-ann").unwrap();
        assert_eq!(child.result().await.unwrap(), "hello ann");
        assert_eq!(kinds(&child).await.last(), Some(&"RunCompleted"));
    }
}

#[tokio::test]
async fn a_child_that_fails_or_cannot_be_started_tells_its_parent() {
    let env = env().workflow(luckless);
    env.start(approval, "taken", ()).await.unwrap();
    let run = env.start(luckless, "l", "taken".into()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "NoName: who?; true");
}

#[tokio::test]
async fn what_becomes_of_a_child_when_its_parent_ends() {
    for (policy, status) in
        [("terminate", Status::Terminated), ("cancel", Status::Canceled), ("abandon", Status::Running)]
    {
        for env in cold_and_warm(|| env().workflow(leaves)) {
            env.start(leaves, "p", policy.to_owned()).await.unwrap().result().await.unwrap();
            env.advance(secs(1)).await;
            let child = env.handle(approval, "left").unwrap();
            assert_eq!(child.describe().await.unwrap().status, status, "{policy}");
        }
    }
}

#[tokio::test]
async fn a_child_is_asked_to_stop() {
    for env in cold_and_warm(|| env().workflow(impatient)) {
        let run = env.start(impatient, "i", ()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "canceled: too slow");
    }
}

#[tokio::test]
async fn a_child_that_never_was_is_stopped_without_a_dead_letter() {
    let env = env().workflow(fickle);
    let taken = env.start(approval, "taken", ()).await.unwrap();
    let run = env.start(fickle, "f", ()).await.unwrap();
    let got = run.result().await.unwrap();
    assert!(got.contains("`taken` is used by run"), "{got}");
    let Err(RunError::Unavailable(text)) = taken.result().await else { panic!() };
    assert!(!text.contains("was lost"), "{text}");
}

/// A parent that ends ends its child, unless it waits for how the child takes the request.
#[tokio::test]
async fn a_canceled_parent_may_wait_for_its_child_to_stop() {
    let env = env().workflow(parent).workflow(considerate);
    let run = env.start(parent, "p", ()).await.unwrap();
    run.cancel("why").await.unwrap();
    assert_eq!(fault(&run).await, Fault::Canceled { reason: "why".into() });
    let child = env.handle(greet, "greet-ann").unwrap();
    assert!(matches!(fault(&child).await, Fault::Terminated { .. }));

    let run = env.start(considerate, "c", ()).await.unwrap();
    run.cancel("why").await.unwrap();
    assert_eq!(fault(&run).await, Fault::Canceled { reason: "why".into() });
    let child = env.handle(greet, "waited-for").unwrap();
    assert_eq!(fault(&child).await, Fault::Canceled { reason: "why".into() });
}

#[tokio::test]
async fn a_workflow_tells_others() {
    let env = env().workflow(messenger);
    let told = env.start(approval, "told", ()).await.unwrap();
    let another = env.start(approval, "another", ()).await.unwrap();
    env.start(messenger, "m", "told".into()).await.unwrap().result().await.unwrap();
    assert_eq!(told.result().await.unwrap(), "messenger");
    assert_eq!(fault(&another).await, Fault::Canceled { reason: "by order".into() });
}

#[tokio::test]
async fn a_signal_to_a_workflow_that_comes_later_waits_for_it_a_minute() {
    let env = env().workflow(messenger);
    env.start(messenger, "m", "later".into()).await.unwrap();
    env.advance(secs(30)).await;
    let later = env.start(approval, "later", ()).await.unwrap();
    assert_eq!(later.result().await.unwrap(), "messenger");
    let early = env.handle(approval, "never").unwrap();
    assert_eq!(early.signal(Approve { by: "ann".into() }).await.unwrap().run_id, None);
    env.advance(minutes(2)).await;
    let never = env.start(approval, "never", ()).await.unwrap();
    let Err(RunError::Unavailable(text)) = never.result().await else { panic!() };
    assert!(text.contains("the signal `approve` for `never` was lost"), "{text}");
}

#[activity]
async fn tidy() -> Result<(), ActivityError>;

#[workflow]
async fn tidies(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let slept = ctx.sleep(days(1)).await;
    ctx.shielded().activity(tidy, ()).await?;
    Ok(slept?)
}

#[workflow]
async fn asks(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let _ = ctx.child(tidies, ()).parent_close(ParentClose::Abandon).await;
    Ok(())
}

#[workflow]
async fn loses_patience(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    select! {
        _ = ctx.child(asks, ()) => {}
        _ = ctx.sleep(secs(1)) => {}
    }
    Ok(ctx.sleep(secs(1)).await?)
}

/// The reason with which a dropped child is asked to stop is the child's own, too: its children still hear of it.
#[tokio::test]
async fn a_child_that_is_dropped_asks_its_own_children_to_stop() {
    let env = TestEnv::new().workflow(tidies).workflow(asks).workflow(loses_patience).mock(tidy, |()| Ok(()));
    env.start(loses_patience, "p", ()).await.unwrap().result().await.unwrap();
    env.advance(secs(1)).await;
    assert_eq!(env.calls(tidy).len(), 1);
}
