//! Cancel requests, shields, and calls that are dropped.

use millrace::{Fault, OnCancel, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{cold_and_warm, fault, kinds};

#[activity]
async fn rent_gpu() -> Result<String, ActivityError>;
#[activity(heartbeat = "30s")]
async fn run_job(gpu: String) -> Result<u32, ActivityError>;
#[activity]
async fn release(gpu: String) -> Result<(), ActivityError>;
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Go;

#[workflow]
async fn gpu_job(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let gpu = ctx.activity(rent_gpu, ()).await?;
    let result = async {
        ctx.sleep(hours(1)).await?;
        Ok(ctx.activity(run_job, gpu.clone()).await?)
    }
    .await;
    ctx.shielded().activity(release, gpu).await?; // whatever happened, also when canceled
    result
}

/// Waits for everything at once and tells how each wait ended.
#[workflow(accepts(Go))]
async fn waits(ctx: WorkflowContext) -> Result<Vec<String>, WorkflowError> {
    let (go, cell) = (ctx.signals::<Go>(), ctx.state(0));
    let (a, b, c, d, e) = join!(
        ctx.activity(run_job, "a".into()),
        ctx.sleep(hours(1)),
        go.recv(),
        cell.until(|n| *n > 0),
        ctx.activity(run_job, "b".into()).within(hours(1)),
    );
    let later = ctx.activity(run_job, "c".into()).await;
    let texts = [
        a.unwrap_err().to_string(),
        b.unwrap_err().to_string(),
        c.unwrap_err().to_string(),
        d.unwrap_err().to_string(),
        e.unwrap_err().to_string(),
        later.unwrap_err().to_string(),
        ctx.sleep(secs(1)).await.unwrap_err().to_string(),
    ];
    assert_eq!(ctx.canceled(), Some(Canceled { reason: "why".into() }));
    Ok(texts.into())
}

#[workflow]
async fn stubborn(ctx: WorkflowContext) -> Result<String, WorkflowError> {
    let _canceled = ctx.sleep(hours(1)).await;
    ctx.shielded().sleep(hours(1)).await?;
    Ok("done anyway".into())
}

#[workflow]
async fn drops(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    let job = ctx.activity(run_job, "slow".into()).within(minutes(1)).await?;
    assert_eq!(job, None);
    let unpolled = ctx.activity(run_job, "never".into());
    let mut dropped_at_once = Box::pin(ctx.activity(run_job, "taken back".into()));
    let _pending = futures::poll!(&mut dropped_at_once);
    drop((unpolled, dropped_at_once));
    ctx.sleep(minutes(1)).await?;
    Ok(())
}

#[workflow]
async fn scoped(ctx: WorkflowContext) -> Result<(u32, u32), WorkflowError> {
    let jobs = ctx.scope();
    let stop = ctx.spawn({
        let (ctx, jobs) = (ctx.clone(), jobs.clone());
        async move {
            ctx.sleep(minutes(1)).await?;
            jobs.cancel("superseded");
            ctx.sleep(minutes(1)).await
        }
    });
    let (inside, outside) = join!(jobs.activity(run_job, "in".into()), ctx.activity(rent_gpu, ()));
    assert_eq!(inside.unwrap_err().fault, Fault::Canceled { reason: "superseded".into() });
    assert!(outside.is_ok() && ctx.canceled().is_none() && jobs.canceled().is_some());
    assert!(jobs.sleep(secs(1)).await.is_err(), "what is called later, too");
    stop.await?;
    Ok((1, 2))
}

/// How a call ends that is asked to stop, by what the author wants then.
#[workflow]
async fn by_policy(ctx: WorkflowContext, on_cancel: String) -> Result<String, WorkflowError> {
    let policy = match on_cancel.as_str() {
        "wait" => OnCancel::Wait,
        "abandon" => OnCancel::Abandon,
        _ => OnCancel::Try,
    };
    let ended = ctx.activity(run_job, "job".into()).on_cancel(policy).await;
    ctx.shielded().sleep(minutes(1)).await?; // the run's own end would tell the attempt
    Ok(ended.map_or_else(|failure| failure.to_string(), |n| n.to_string()))
}

fn env() -> TestEnv {
    TestEnv::new().mock(rent_gpu, |()| Ok("h200".into())).mock(run_job, |_| Ok(7)).mock(release, |_| Ok(()))
}

#[tokio::test]
async fn a_canceled_run_cleans_up_and_ends_as_canceled() {
    for env in cold_and_warm(|| env().workflow(gpu_job)) {
        let run = env.start(gpu_job, "g", ()).await.unwrap();
        env.advance(minutes(1)).await;
        run.cancel("superseded").await.unwrap();
        assert_eq!(fault(&run).await, Fault::Canceled { reason: "superseded".into() });
        assert_eq!((env.calls(run_job).len(), env.calls(release)), (0, vec!["h200".to_owned()]));
        let kinds = kinds(&run).await;
        assert_eq!(kinds[4..7], ["CancelRequested", "TimerCanceled", "ActivityScheduled"]);
        assert_eq!(kinds.last(), Some(&"RunCanceled"));
    }
}

#[tokio::test]
async fn without_a_cancel_request_it_ends_well() {
    let env = env().workflow(gpu_job);
    assert_eq!(env.start(gpu_job, "g", ()).await.unwrap().result().await, Ok(7));
}

#[tokio::test]
async fn every_wait_ends_and_those_to_come_as_well() {
    let env = env().workflow(waits);
    env.hold(run_job);
    let run = env.start(waits, "w", ()).await.unwrap();
    run.cancel("why").await.unwrap();
    let texts = run.result().await.unwrap();
    assert!(texts.len() == 7 && texts.iter().all(|text| text.ends_with("canceled: why")), "{texts:#?}");
    env.release(run_job).await;
    assert!(env.calls(run_job).is_empty(), "the run has ended, and nobody wants it done");
}

#[tokio::test]
async fn a_run_may_answer_a_cancel_request_with_a_result() {
    let run = TestEnv::new().workflow(stubborn).start(stubborn, "s", ()).await.unwrap();
    run.cancel("why").await.unwrap();
    run.cancel("again").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "done anyway");
}

#[tokio::test]
async fn a_dropped_call_is_canceled_and_one_that_was_not_sent_leaves_no_trace() {
    for env in cold_and_warm(|| env().workflow(drops)) {
        env.hold(run_job); // nobody runs the slow job
        let run = env.start(drops, "d", ()).await.unwrap();
        run.result().await.unwrap();
        let kinds = kinds(&run).await;
        let rest = ["TimerFired", "ActivityCancelRequested", "TimerStarted", "TimerFired", "RunCompleted"];
        assert_eq!(kinds[..3], ["RunStarted", "ActivityScheduled", "TimerStarted"]);
        assert_eq!(kinds[3..], rest);
    }
}

#[tokio::test]
async fn a_scope_is_canceled_on_its_own() {
    for env in cold_and_warm(|| env().workflow(scoped)) {
        env.hold(run_job);
        let run = env.start(scoped, "s", ()).await.unwrap();
        assert_eq!(run.result().await, Ok((1, 2)));
    }
}

#[tokio::test]
async fn a_canceled_call_stops_goes_on_or_is_waited_for() {
    for (policy, ends, calls) in [
        ("try", "activity `run_job` (attempts: 0): canceled: why", 0),
        ("abandon", "activity `run_job` (attempts: 0): canceled: why", 1),
        ("wait", "activity `run_job` (attempts: 1): canceled: ", 0), // it beats, so it hears of it
    ] {
        let env = env().workflow(by_policy);
        env.hold(run_job);
        let run = env.start(by_policy, "p", policy.to_owned()).await.unwrap();
        run.cancel("why").await.unwrap();
        env.release(run_job).await;
        let ended = run.result().await.unwrap();
        assert!(ended.starts_with(ends), "{policy}: {ended}");
        assert_eq!(env.calls(run_job).len(), calls, "{policy}");
    }
}
