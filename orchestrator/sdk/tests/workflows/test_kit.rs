//! The test kit itself.

use futures::executor::block_on;
use millrace::client::{Filter, Status};
use millrace::{Client, Fault, IdConflict, IdReuse, RunError, TestEnv, prelude::*};
use millrace_format::message::InboxMessage;
use serde::{Deserialize, Serialize};

use crate::kit::{blocked, cold_and_warm, fails, fault};

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Go;
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Stop;

#[activity]
async fn work(n: u32) -> Result<u32, ActivityError>;
#[activity]
async fn pause(n: u64) -> Result<u64, ActivityError> {
    #[allow(clippy::disallowed_methods, reason = "real time, as activities may")]
    tokio::time::sleep(millis(n)).await; // needs a runtime of tokio
    Ok(n)
}
#[activity(heartbeat = "30s", max_attempts = 3)]
async fn steps(ctx: ActivityContext, upto: u32) -> Result<u32, ActivityError> {
    let first = ctx.progress::<u32>().unwrap_or(0);
    for step in first..upto {
        ctx.heartbeat(&(step + 1))?;
        if step % 2 == 1 {
            return Err("stumbled".into());
        }
    }
    Ok(first)
}
/// Tells the workflow that calls it.
#[activity]
async fn nudge(client: Shared<Client>, id: String) -> Result<(), ActivityError> {
    let sent = client.handle(waiting, &id)?.signal(Go).await?;
    assert!(sent.run_id.is_some());
    Ok(())
}

#[activity(completes_later)]
async fn sign(ctx: ActivityContext, text: String) -> Result<String, ActivityError> {
    assert!(ctx.token().is_some() && !text.is_empty());
    Err(ActivityError::CompletesLater) // somebody signs it some day
}

#[workflow]
async fn signs(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(ctx.activity(sign, "contract".into()).await?)
}
#[workflow]
async fn locals(ctx: WorkflowContext, n: u32) -> Result<u32, WorkflowError> {
    let (a, b) = try_join!(ctx.local(work, n), ctx.local(work, n + 1))?;
    Ok(ctx.local(work, a + b).await?)
}
#[workflow]
async fn worker(ctx: WorkflowContext, n: u32) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(work, n).await?)
}
#[workflow]
async fn limited(ctx: WorkflowContext, n: u32) -> Result<u32, WorkflowError> {
    Ok(ctx
        .activity(work, n)
        .schedule_to_start(minutes(1))
        .schedule_to_close(hours(1))
        .max_attempts(1)
        .await?)
}
#[workflow]
async fn pauses(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    Ok(ctx.activity(pause, 1).await?)
}
#[workflow]
async fn stepper(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(steps, 5).await?)
}
#[workflow(accepts(Go, Stop))]
async fn waiting(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let state = ctx.state(false).on_signal(|stop, Stop| *stop = true);
    ctx.signals::<Go>().recv().await?;
    Ok(state.until(|stop| *stop).await?)
}
#[workflow(accepts(Go))]
async fn nudged(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    ctx.activity(nudge, ctx.workflow_id().to_string()).await?;
    ctx.signals::<Go>().recv().await?;
    Ok(())
}
#[workflow]
async fn keeper(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    Ok(ctx.child(waiting, ()).id("child").await?)
}
#[workflow]
async fn endless(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    loop {
        ctx.sleep(hours(1)).await?;
    }
}
#[workflow]
async fn long(ctx: WorkflowContext, steps: u32) -> Result<u32, WorkflowError> {
    for _ in 0..steps {
        ctx.sleep(secs(1)).await?;
    }
    Ok(steps)
}
static WORLD: std::sync::OnceLock<TestEnv> = std::sync::OnceLock::new();

#[workflow]
async fn impolite(_ctx: WorkflowContext) -> Result<String, WorkflowError> {
    Ok(WORLD.get().unwrap().now().to_string())
}
#[workflow]
async fn meddler(_ctx: WorkflowContext) -> Result<(), WorkflowError> {
    panic!("on purpose");
}

#[tokio::test]
async fn a_run_that_waits_for_ever_says_for_what() {
    let env = TestEnv::new().workflow(waiting).workflow(keeper);
    let run = env.start(waiting, "w", ()).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("`w` waits for ever") && error.contains("waits for signal `go`"), "{error}");
    run.signal(Go).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("waits for a change of its state"), "{error}");

    let run = env.start(keeper, "k", ()).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(
        error.contains("child 1 `child`") && error.contains("`child` (workflow `Waiting`) waits for"),
        "{error}"
    );
}

#[tokio::test]
async fn a_blocked_child_is_named() {
    let env = TestEnv::new().workflow(keeper); // nobody knows the child's type
    let run = env.start(keeper, "k", ()).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("`child` is blocked: no workflow `Waiting` is registered"), "{error}");
}

#[tokio::test]
async fn failed_attempts_are_tried_again_in_virtual_time() {
    let mut tries = 0;
    let env = TestEnv::new().workflow(worker).mock(work, move |n| {
        tries += 1;
        if tries < 4 { fails("Busy", "later") } else { Ok(n) }
    });
    let begin = env.now();
    assert_eq!(env.start(worker, "w", 7).await.unwrap().result().await, Ok(7));
    assert_eq!(env.calls(work), [7, 7, 7, 7]);
    let took = env.now() - begin;
    assert!(took > secs(6) && took <= secs(7), "1 + 2 + 4 seconds, a little less by chance: {took:?}");
}

#[tokio::test]
async fn an_activity_that_always_fails_ends_the_wait() {
    let env = TestEnv::new().workflow(worker).mock(work, |_| fails("Busy", "later"));
    let error = env.start(worker, "w", 7).await.unwrap().result().await.unwrap_err();
    assert!(error.to_string().contains("activity `work` of `w` is at attempt 1000"), "{error}");
}

#[tokio::test]
async fn a_workflow_without_an_end_ends_the_wait() {
    let env = TestEnv::new().workflow(endless);
    let run = env.start(endless, "e", ()).await.unwrap();
    let error = run.result().await.unwrap_err();
    assert!(error.to_string().contains("`e` has no end"), "{error}");
    let begin = env.now();
    env.advance(hours(3)).await;
    assert_eq!(env.now() - begin, hours(3));
}

#[tokio::test]
async fn a_long_run_is_still_checked() {
    let env = TestEnv::new().workflow(long);
    let run = env.start(long, "l", 1_000).await.unwrap();
    assert_eq!(run.result().await, Ok(1_000));
    assert_eq!(run.history().await.unwrap().len(), 2_002);
}

#[tokio::test]
async fn held_tasks_wait_until_they_are_released() {
    let env = TestEnv::new().workflow(worker).mock(work, |n| Ok(n + 1));
    env.hold(work);
    let run = env.start(worker, "w", 7).await.unwrap();
    env.advance(days(1)).await;
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("activity 1 `work` (held)"), "{error}");
    assert!(env.calls(work).is_empty());
    env.release(work).await;
    assert_eq!(run.result().await, Ok(8));
}

#[tokio::test]
async fn time_limits_that_need_no_worker_hold() {
    let env = TestEnv::new().workflow(limited).mock(work, Ok);
    env.hold(work);
    let begin = env.now();
    let fault_ = fault(&env.start(limited, "a", 7).await.unwrap()).await;
    assert!(
        matches!(fault_, Fault::TimedOut { kind: millrace::TimeoutKind::ScheduleToClose, .. }),
        "{fault_:?}"
    );
    assert_eq!(env.now() - begin, hours(1));
    let run = env.start(limited, "b", 7).await.unwrap();
    env.advance(minutes(2)).await;
    env.release(work).await;
    let fault = fault(&run).await;
    assert!(
        matches!(fault, Fault::TimedOut { kind: millrace::TimeoutKind::ScheduleToStart, .. }),
        "{fault:?}"
    );
    let env = env.workflow(endless);
    let run = env.start(endless, "c", ()).run_timeout(days(2)).await.unwrap();
    assert!(crate::kit::fault(&run).await.is_timeout());
}

#[tokio::test]
async fn real_activities_run_within_tokio() {
    let env = TestEnv::new().workflow(pauses).activity(pause);
    assert_eq!(env.start(pauses, "p", ()).await.unwrap().result().await, Ok(1));
}

#[test]
fn and_without_a_runtime() {
    let env = TestEnv::new().workflow(pauses).activity(pause);
    assert_eq!(block_on(async { env.start(pauses, "p", ()).await?.result().await }), Ok(1));
}

#[tokio::test]
async fn progress_reaches_the_next_attempt() {
    let env = TestEnv::new().workflow(stepper).activity(steps);
    assert_eq!(env.start(stepper, "s", ()).await.unwrap().result().await, Ok(4));
    assert_eq!(env.calls(steps).len(), 3);
}

#[tokio::test]
async fn an_activity_may_use_the_client() {
    let env = TestEnv::new().workflow(nudged).activity(nudge);
    let env = env.clone().share((*env).clone());
    let run = env.start(nudged, "n", ()).await.unwrap();
    // `nudge` takes it for another workflow's handle; the id is what counts.
    run.result().await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "not what the test expected")]
async fn an_assertion_within_a_mock_fails_the_test() {
    let env = TestEnv::new().workflow(worker).mock(work, |n| {
        assert_eq!(n, 8, "not what the test expected");
        Ok(n)
    });
    env.start(worker, "w", 7).await.unwrap();
}

#[tokio::test]
async fn ids_and_requests_mean_what_they_mean_to_the_engine() {
    let env = TestEnv::new().workflow(waiting).workflow(worker).mock(work, Ok);
    let run = env.start(waiting, "w", ()).await.unwrap();
    let refused = env.start(waiting, "w", ()).await.unwrap_err();
    assert!(matches!(&refused, RunError::Rejected(text) if text.contains("is open")), "{refused}");
    let same = env.start(waiting, "w", ()).or_existing().await.unwrap();
    assert_eq!(same.run_id(), run.run_id());
    let new = env.start(waiting, "w", ()).id_conflict(IdConflict::TerminateExisting).await.unwrap();
    assert!(matches!(fault(&run).await, Fault::Terminated { .. }));
    assert_ne!(new.run_id(), run.run_id());
    assert!(matches!(run.signal(Go).await, Err(RunError::Rejected(_))), "it has ended");
    new.terminate("enough").await.unwrap();
    assert!(
        matches!(new.cancel("late").await, Err(RunError::Rejected(text)) if text.contains("terminated already"))
    );
    assert!(matches!(new.resume().await, Err(RunError::Rejected(_))));
    assert!(matches!(env.handle(waiting, "x").unwrap().cancel("who?").await, Err(RunError::NotFound(_))));
    assert!(matches!(env.handle(waiting, "x").unwrap().result().await, Err(RunError::NotFound(_))));

    let start = || env.start(worker, "r", 1).request_id("once");
    let first = start().await.unwrap();
    assert_eq!(first.result().await, Ok(1));
    assert_eq!(start().await.unwrap().run_id(), first.run_id(), "the same request counts once");
    assert!(env.start(worker, "r", 1).id_reuse(IdReuse::RejectDuplicate).await.is_err());

    let listed = |status| Filter { status, ..Filter::default() };
    assert_eq!(env.list(&listed(None)).await.unwrap().len(), 3);
    assert_eq!(env.list(&listed(Some(Status::Terminated))).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_test_happens_the_same_way() {
    let ids = || async {
        let env = TestEnv::new().workflow(worker).mock(work, Ok);
        env.start(worker, "w", 7).await.unwrap().history().await.unwrap()
    };
    assert_eq!(ids().await, ids().await);
}

#[tokio::test]
async fn a_blocked_run_is_tried_again_and_can_be_ended() {
    let env = TestEnv::new().workflow(meddler);
    let run = env.start(meddler, "m", ()).await.unwrap();
    env.advance(hours(1)).await; // four wakes
    let before = run.history().await.unwrap().len();
    run.resume().await.unwrap();
    assert_eq!(run.history().await.unwrap().len(), before + 1);
    run.terminate("broken").await.unwrap();
    assert!(matches!(fault(&run).await, Fault::Terminated { .. }));
}

#[tokio::test]
async fn local_activities_run_within_their_turn() {
    for env in cold_and_warm(|| TestEnv::new().workflow(locals)) {
        let mut tries = 0;
        let env = env.mock(work, move |n| {
            tries += 1;
            if tries == 1 { fails("Busy", "later") } else { Ok(n * 2) }
        });
        let begin = env.now();
        let run = env.start(locals, "l", 1).await.unwrap();
        assert_eq!(run.result().await, Ok(12));
        assert_eq!((env.calls(work), env.now() - begin), (vec![1, 1, 2, 6], secs(0)));
        env.replay(locals, &run.history().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn what_completes_later_waits_for_its_token() {
    let registered = TestEnv::new().workflow(signs).activity(sign);
    let mocked = TestEnv::new().workflow(signs).mock(sign, |_| Err(ActivityError::CompletesLater));
    for env in [registered, mocked] {
        let run = env.start(signs, "s", ()).await.unwrap();
        let error = run.result().await.unwrap_err().to_string();
        assert!(error.contains("waits for activity 1 `sign`"), "{error}");
        let token = env.tokens(sign).remove(0);
        let complete = |token: &str| {
            let text = format!(r#"{{"type":"complete","token":"{token}","result":"signed"}}"#);
            env.backend().send(InboxMessage::Complete(serde_json::from_str(&text).unwrap()))
        };
        let forged = token.replace(token.split('.').nth(3).unwrap(), &"0".repeat(32));
        assert!(matches!(complete(&forged).await, Err(RunError::Rejected(_))));
        complete(&token).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "signed");
    }
}

#[tokio::test]
async fn workflow_code_cannot_reach_for_the_world() {
    let env = TestEnv::new().workflow(impolite);
    WORLD.set(env.clone()).unwrap();
    let run = env.start(impolite, "i", ()).await.unwrap();
    let reason = blocked(&run).await.to_string();
    assert!(reason.contains("uses the test's client"), "{reason}");
}
