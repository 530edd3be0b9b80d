//! Activities in parallel, by ordinary combinators.

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use millrace::prelude::*;

use crate::driver::World;

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

#[test]
fn combinators_fan_out() {
    let mut world = World::new(App::new().workflow(fan_out).activity(resize));
    world.start(fan_out, ()).finish();
    assert_eq!(world.result::<(u32, u32, u32)>().unwrap(), (72, 3160, 10));
    let canceled = world.kinds().into_iter().filter(|kind| *kind == "ActivityCancelRequested").count();
    assert_eq!(canceled, 2);
}

#[test]
fn no_more_than_the_limit_run_at_once_and_results_keep_their_order() {
    let mut world = World::new(App::new().workflow(bounded).activity(resize));
    world.start(bounded, ()).finish();
    let expected: Vec<u32> = (0..20).map(|i| if i == 13 { 99 } else { i * 2 }).collect();
    assert_eq!(world.result::<Vec<u32>>().unwrap(), expected);
    assert_eq!(world.most_tasks_at_once(), 4);
}

#[test]
fn a_timer_by_reference_outlives_the_rounds() {
    let mut world = World::new(App::new().workflow(patient));
    world.start(patient, ()).finish();
    assert_eq!(world.result::<u32>().unwrap(), 6);
}

#[test]
fn a_thousand_activities_are_asked_for_in_their_order() {
    let mut world = World::new(App::new().workflow(thousand));
    world.start(thousand, ());
    assert_eq!(world.history.len(), 1001);
    let activities: Vec<u64> = world.live.as_ref().unwrap().run.activities.keys().copied().collect();
    assert_eq!(activities, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn fresh_branches_are_stable_under_a_random_select() {
    let mut world = World::new(App::new().workflow(shuffled).activity(resize));
    world.start(shuffled, ()).finish();
    for _ in 0..20 {
        world.replay().unwrap();
    }
}
