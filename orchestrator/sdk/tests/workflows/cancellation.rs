//! Cancel requests, shields, and calls that are dropped.

use millrace::{Fault, prelude::*};
use serde::{Deserialize, Serialize};

use crate::driver::World;

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

fn world(app: App) -> World {
    World::new(app).mock(rent_gpu, |()| Ok("h200".into())).mock(run_job, |_| Ok(7)).mock(release, |_| Ok(()))
}

#[test]
fn a_canceled_run_cleans_up_and_ends_as_canceled() {
    for cold in [false, true] {
        let mut world = world(App::new().workflow(gpu_job));
        world.cold = cold;
        world.start(gpu_job, ()).advance(minutes(1)).cancel("superseded").finish();
        assert_eq!(world.result::<u32>().unwrap_err(), Fault::Canceled { reason: "superseded".into() });
        assert_eq!((world.inputs(run_job).len(), world.inputs(release)), (0, vec!["h200".to_owned()]));
        assert_eq!(world.kinds()[4..7], ["CancelRequested", "TimerCanceled", "ActivityScheduled"]);
        assert_eq!(world.kinds().last(), Some(&"RunCanceled"));
    }
}

#[test]
fn without_a_cancel_request_it_ends_well() {
    let mut world = world(App::new().workflow(gpu_job));
    world.start(gpu_job, ()).finish();
    assert_eq!(world.result::<u32>().unwrap(), 7);
}

#[test]
fn every_wait_ends_and_those_to_come_as_well() {
    let mut world = World::new(App::new().workflow(waits));
    world.start(waits, ()).cancel("why");
    let texts: Vec<String> = world.result().unwrap();
    assert!(texts.len() == 7 && texts.iter().all(|text| text.ends_with("canceled: why")), "{texts:#?}");
    assert_eq!(world.canceled, [1, 3], "the run's end tells the attempts");
}

#[test]
fn a_run_may_answer_a_cancel_request_with_a_result() {
    let mut world = World::new(App::new().workflow(stubborn));
    world.start(stubborn, ()).cancel("why").cancel("again").finish();
    assert_eq!(world.result::<String>().unwrap(), "done anyway");
}

#[test]
fn a_dropped_call_is_canceled_and_one_that_was_not_sent_leaves_no_trace() {
    let mut world = World::new(App::new().workflow(drops));
    world.hold_tasks = true; // nobody runs the slow job
    world.start(drops, ()).finish();
    world.result::<()>().unwrap();
    let kinds = world.kinds();
    let rest = ["TimerFired", "ActivityCancelRequested", "TimerStarted", "TimerFired", "RunCompleted"];
    assert_eq!(kinds[..3], ["RunStarted", "ActivityScheduled", "TimerStarted"]);
    assert_eq!(kinds[3..], rest);
    assert_eq!(world.canceled, [1], "a heartbeating attempt is told");
}
