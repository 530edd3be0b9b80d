//! Activities in parallel, by ordinary combinators.

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use millrace::{TestEnv, prelude::*};

use crate::kit::kinds;

#[activity]
async fn resize(n: u32) -> Result<u32, ActivityError> {
    if n == 13 {
        Err(ApplicationFailure::new("Unlucky", n).non_retryable())?
    }
    Ok(n * 2)
}

#[workflow]
async fn fan_out(ctx: WorkflowContext) -> Result<(u32, u32, u32), WorkflowError> {
    let bounded = ctx.join_all_bounded(4, (0..9).map(|i| ctx.activity(resize, i))).await;
    let all = join_all((20..60).map(|i| ctx.activity(resize, i))).await;
    let mut first: FuturesUnordered<_> = (0..3).map(|i| ctx.activity(resize, i)).collect();
    let Some(one) = first.next().await else { return Err("nothing came".into()) };
    drop(first); // the losers are canceled
    let (a, b) = try_join!(ctx.activity(resize, 1), ctx.activity(resize, 2))?;
    let (c, d) = join!(ctx.activity(resize, 13), ctx.activity(resize, 2));
    assert!(c.unwrap_err().is("Unlucky"));
    Ok((bounded.into_iter().flatten().sum(), all.into_iter().flatten().sum(), one? + a + b + d?))
}

#[workflow]
async fn bounded(ctx: WorkflowContext) -> Result<Vec<u32>, WorkflowError> {
    let results = ctx.join_all_bounded(4, (0..20).map(|i| ctx.activity(resize, i))).await;
    Ok(results.into_iter().map(|r| r.unwrap_or(99)).collect())
}

/// A timer outside the loop, by reference.
#[workflow]
async fn patient(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let (mut deadline, mut ticks) = (ctx.sleep(minutes(7)), 0);
    loop {
        select! {
            _ = &mut deadline => return Ok(ticks),
            tick = ctx.sleep(minutes(1)) => { tick?; ticks += 1 }
        }
    }
}

#[workflow]
async fn thousand(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    let all = join_all((100..1100).map(|i| ctx.activity(resize, i))).await;
    Ok(all.into_iter().flatten().sum())
}

/// Branches that are made anew in each round come out the same in every replay, even if the combinator draws lots.
#[workflow]
async fn shuffled(ctx: WorkflowContext) -> Result<Vec<u32>, WorkflowError> {
    let mut got = vec![];
    for i in 20..40 {
        let (mut a, mut b) = (ctx.activity(resize, i), ctx.activity(resize, 100 + i));
        futures::select! { x = a => got.push(x?), x = b => got.push(x?) }
    }
    Ok(got)
}

fn env() -> TestEnv {
    TestEnv::new().activity(resize)
}

#[tokio::test]
async fn combinators_fan_out() {
    let run = env().workflow(fan_out).start(fan_out, "f", ()).await.unwrap();
    assert_eq!(run.result().await, Ok((72, 3160, 10)));
    let canceled = kinds(&run).await.into_iter().filter(|kind| *kind == "ActivityCancelRequested").count();
    assert_eq!(canceled, 2);
}

#[tokio::test]
async fn no_more_than_the_limit_run_at_once_and_results_keep_their_order() {
    let env = env().workflow(bounded);
    env.hold(resize);
    let run = env.start(bounded, "b", ()).await.unwrap();
    assert_eq!(run.describe().await.unwrap().activities.len(), 4);
    env.release(resize).await;
    let expected: Vec<u32> = (0..20).map(|i| if i == 13 { 99 } else { i * 2 }).collect();
    assert_eq!(run.result().await.unwrap(), expected);
}

#[tokio::test]
async fn a_timer_by_reference_outlives_the_rounds() {
    let run = TestEnv::new().workflow(patient).start(patient, "p", ()).await.unwrap();
    assert_eq!(run.result().await, Ok(6));
}

#[tokio::test]
async fn a_thousand_activities_are_asked_for_in_their_order() {
    let env = env().workflow(thousand);
    env.hold(resize);
    let run = env.start(thousand, "t", ()).await.unwrap();
    let described = run.describe().await.unwrap();
    assert_eq!(described.events, 1001);
    let activities: Vec<u64> = described.activities.iter().map(|activity| activity.activity_id).collect();
    assert_eq!(activities, (1..=1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn fresh_branches_are_stable_under_a_random_select() {
    let env = env().workflow(shuffled);
    let run = env.start(shuffled, "s", ()).await.unwrap();
    run.result().await.unwrap();
    for _ in 0..20 {
        env.replay(shuffled, &run.history().await.unwrap()).unwrap();
    }
}
