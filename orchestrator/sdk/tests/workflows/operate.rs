//! What people do to runs: pause, retry at once, reset, fork; signals in order; code in versions. In the test kit, and the
//! same on the embedded engine.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use futures::executor::block_on;
use millrace::client::{EventKind, Filter, Status};
use millrace::dev::{Dev, Options};
use millrace::{ActivityContext, App, Client, RunError, TestEnv, prelude::*};
use serde::{Deserialize, Serialize};

use crate::kit::{cold_and_warm, fails, kinds};

#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Note(u32);
#[derive(Debug, Signal, Serialize, Deserialize)]
pub struct Done;
#[derive(Debug, Query, Serialize, Deserialize)]
#[query(output = Vec<u32>)]
pub struct Notes;
#[derive(Debug, Update, Serialize, Deserialize)]
#[update(output = usize)]
pub struct Count;

#[activity]
async fn draw(n: u64) -> Result<u64, ActivityError> {
    Ok(n)
}

/// Draws, listens, and says what it drew and heard.
#[workflow(accepts(Note, Done, Notes, Count))]
async fn notebook(ctx: WorkflowContext) -> Result<(u64, u64, Vec<u32>), WorkflowError> {
    let notes = ctx
        .state(Vec::<u32>::new())
        .on_signal(|notes, Note(n)| notes.push(n))
        .on_query(|notes, Notes| notes.clone())
        .on_update(|notes, Count| Ok(notes.len()))
        .published();
    let first = ctx.activity(draw, ctx.random()).await?;
    ctx.signals::<Done>().recv().await?;
    Ok((first, ctx.random(), notes.get()))
}

/// Fails until its third attempt, a minute apart.
#[activity]
async fn flaky(ctx: ActivityContext) -> Result<u32, ActivityError> {
    if ctx.attempt < 3 { fails("Down", "the vendor is down") } else { Ok(ctx.attempt) }
}

#[workflow]
async fn patient(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    Ok(ctx.activity(flaky, ()).retry(Retry::default().every(minutes(60))).await?)
}

fn env() -> TestEnv {
    TestEnv::of(app())
}

fn app() -> App {
    App::new().workflow(notebook).workflow(patient).activity(draw).activity(flaky)
}

/// What holds of pausing, whatever runs it.
async fn pauses(client: &Client) {
    let run = client.start(notebook, "p", ()).await.unwrap();
    run.signal(Note(1)).await.unwrap();
    run.pause("the vendor is down").await.unwrap();
    run.signal(Note(2)).await.unwrap();
    let mark = run.describe().await.unwrap().paused.expect("it is paused");
    assert_eq!(mark.reason, "the vendor is down");
    assert_eq!(run.state::<Vec<u32>>().await.unwrap(), Some(vec![1]), "as it was when it was paused");
    assert_eq!(run.query(Notes).await.unwrap(), [1, 2], "from all that the log has");
    let paused = client.list(&Filter { paused: true, ..Filter::default() }).await.unwrap();
    assert_eq!(paused.iter().map(|run| run.entry.workflow_id.as_str()).collect::<Vec<_>>(), ["p"]);
    let Err(RunError::Rejected(text)) = run.pause("again").await else { panic!("it is paused already") };
    assert!(text.contains("paused already"), "{text}");
    run.unpause().await.unwrap();
    assert_eq!(run.state::<Vec<u32>>().await.unwrap(), Some(vec![1, 2]));
    let Err(RunError::Rejected(text)) = run.unpause().await else { panic!("it is not paused") };
    assert!(text.contains("not paused"), "{text}");
    assert_eq!(run.update(Count).await, Ok(2));
    run.signal(Done).await.unwrap();
    assert_eq!(run.result().await.unwrap().2, [1, 2]);
    let Err(RunError::Rejected(text)) = run.pause("late").await else { panic!("it is closed") };
    assert!(text.contains("completed"), "{text}");
}

#[tokio::test]
async fn a_paused_run_is_told_and_hears_it_once_unpaused() {
    for env in cold_and_warm(env) {
        pauses(&env).await;
    }
}

#[test]
fn a_paused_run_on_the_engine() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    block_on(pauses(&dev.client()));
}

#[tokio::test]
async fn an_activity_is_held_back_retried_at_once_and_keeps_its_policy() {
    for env in cold_and_warm(env) {
        let begin = env.now();
        let run = env.start(patient, "a", ()).await.unwrap();
        env.advance(secs(1)).await;
        let activity = run.describe().await.unwrap().activities[0].activity_id;
        run.pause_activity(activity, "the vendor is down").await.unwrap();
        env.advance(hours(10)).await;
        let pending = &run.describe().await.unwrap().activities[0];
        assert!(pending.paused && pending.attempt == 2, "{pending:?}");
        let refused = run.retry_activity(activity).await.unwrap_err();
        assert!(refused.to_string().contains("unpause it"), "{refused}");
        run.unpause_activity(activity).await.unwrap();
        assert_eq!(run.result().await, Ok(3), "attempt 2 was void");
        assert!(env.now() - begin < hours(11));
        let run = env.start(patient, "b", ()).await.unwrap();
        env.advance(secs(1)).await;
        run.retry_activity(activity).await.unwrap();
        assert_eq!(run.result().await, Ok(3));
        assert!(env.now() - begin < hours(11), "without waiting for the hour");
        let refused = run.retry_activity(activity).await.unwrap_err();
        assert!(matches!(refused, RunError::Rejected(_)), "{refused}");
        env.replay(patient, &run.history().await.unwrap()).unwrap();
    }
}

/// What holds of resets and forks, whatever runs them. Returns the history of a reset run.
async fn resets(client: &Client) -> Vec<millrace::client::Event> {
    let run = client.start(notebook, "r", ()).await.unwrap();
    run.signal(Note(1)).await.unwrap();
    run.signal(Note(2)).await.unwrap();
    run.signal(Done).await.unwrap();
    let (first, second, _) = run.result().await.unwrap();
    let events = run.history().await.unwrap();
    let place = |name: &str| events.iter().find(|e| e.kind.name() == name).unwrap().n;
    let fork = run.fork("f", place("SignalReceived"), "what if").await.unwrap();
    assert_eq!(fork.id().as_str(), "f");
    assert_eq!(fork.result().await.unwrap(), (first, second, vec![1, 2]), "told again, and drawn again");
    let again = run.reset(place("ActivityCompleted"), "a bug").await.unwrap();
    assert_ne!(again.run_id(), run.run_id());
    assert_eq!(again.result().await.unwrap(), (first, second, vec![1, 2]));
    assert_eq!(run.result().await.unwrap().2, [1, 2], "the run before it is as it was");
    let refused = again.reset(99, "").await.unwrap_err();
    assert!(refused.to_string().contains("has the events 1 to"), "{refused}");
    let refused = again.fork("f", 2, "").await;
    assert!(refused.is_ok(), "the id of a closed run is free");
    let refused = again.fork("r", 2, "").await.unwrap_err();
    assert!(refused.to_string().contains("use `reset`"), "{refused}");
    again.history().await.unwrap()
}

#[tokio::test]
async fn a_reset_draws_the_same_numbers_and_is_told_the_same() {
    for env in cold_and_warm(env) {
        let events = resets(&env).await;
        env.replay(notebook, &events).unwrap();
        let EventKind::RunStarted(started) = &events[0].kind else { panic!() };
        assert_eq!(started.forked_from.as_ref().unwrap().reason, "a bug");
    }
}

#[test]
fn a_reset_on_the_engine() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    let events = block_on(resets(&dev.client()));
    env().replay(notebook, &events).unwrap();
}

#[tokio::test]
async fn a_reset_of_an_open_run_terminates_it() {
    let env = env();
    let run = env.start(notebook, "o", ()).await.unwrap();
    run.signal(Note(1)).await.unwrap();
    let again = run.reset(1, "from the beginning").await.unwrap();
    let Err(RunError::Failed(failure)) = run.result().await else { panic!("it was terminated") };
    assert!(failure.to_string().contains("reset to event 1: from the beginning"), "{failure}");
    let closed = env.list(&Filter { status: Some(Status::Terminated), ..Filter::default() }).await.unwrap();
    assert_eq!(closed.len(), 1);
    again.signal(Done).await.unwrap();
    assert_eq!(again.result().await.unwrap().2, [1]);
    assert_eq!(env.calls(draw).len(), 2, "the activity had not ended by event 1");
}

async fn in_order(client: &Client) {
    let run = client.start(notebook, "i", ()).await.unwrap();
    let mut notes = run.in_order();
    for n in 1..=9 {
        notes.signal(Note(n)).await.unwrap();
    }
    let last = notes.signal(Note(10)).await.unwrap();
    let mut elsewhere = client.handle(notebook, "i").unwrap().in_order().after(last.request_id);
    elsewhere.signal(Done).await.unwrap();
    assert_eq!(run.result().await.unwrap().2, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn signals_of_one_sender_keep_their_order() {
    in_order(&env()).await;
}

#[test]
fn signals_in_order_on_the_engine() {
    let dev = Dev::start(&app(), Options::in_memory()).unwrap();
    block_on(in_order(&dev.client()));
}

static SHIPPED: AtomicU32 = AtomicU32::new(0);

#[activity]
async fn ship(version: u32) -> Result<u32, ActivityError> {
    SHIPPED.fetch_add(1, SeqCst);
    Ok(version)
}

#[workflow(name = "Delivery", version = "1", accepts(Done))]
async fn delivery_v1(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    ctx.signals::<Done>().recv().await?;
    Ok(ctx.activity(ship, 1).await?)
}

#[workflow(name = "Delivery", version = "2", accepts(Done))]
async fn delivery(ctx: WorkflowContext) -> Result<u32, WorkflowError> {
    ctx.sleep(secs(1)).await?;
    ctx.signals::<Done>().recv().await?;
    Ok(ctx.activity(ship, 2).await?)
}

#[test]
fn versions_live_side_by_side_across_a_deploy() {
    let data = tempfile::tempdir().unwrap();
    let options = Options { port: None, ..Options::new(data.path()) };
    let before = App::new().workflow(delivery_v1).activity(ship);
    let after = || App::new().activity(ship).workflow(delivery);
    block_on(async {
        let dev = Dev::start(&before, options.clone()).unwrap();
        for id in ["old", "older"] {
            dev.client().start(delivery_v1, id, ()).await.unwrap();
        }
        dev.stop().await;
        let dev = Dev::start(&after().pinned(delivery_v1), options.clone()).unwrap();
        let old = dev.client().handle(delivery_v1, "old").unwrap();
        old.signal(Done).await.unwrap();
        assert_eq!(old.result().await, Ok(1));
        let new = dev.client().start(delivery, "new", ()).await.unwrap();
        new.signal(Done).await.unwrap();
        assert_eq!(new.result().await, Ok(2));
        // What was forked from a run goes on with its version.
        let forked = old.fork("forked", 1, "").await.unwrap();
        assert_eq!(forked.result().await, Ok(1));
        drop((old, new, forked));
        dev.stop().await;
        // Version 1 was taken away too early.
        let dev = Dev::start(&after(), options).unwrap();
        let older = dev.client().handle(delivery_v1, "older").unwrap();
        older.signal(Done).await.unwrap();
        let Err(RunError::Blocked(reason)) = older.result().await else { panic!("nobody has its code") };
        assert!(reason.to_string().contains("Delivery@1"), "{reason}");
        dev.stop().await;
    });
}

#[tokio::test]
async fn the_kit_knows_versions_too() {
    let env = TestEnv::of(App::new().workflow(delivery).pinned(delivery_v1).activity(ship));
    let run = env.start(delivery, "a", ()).await.unwrap();
    run.signal(Done).await.unwrap();
    assert_eq!(run.result().await, Ok(2));
    let history = run.history().await.unwrap();
    env.replay(delivery, &history).unwrap();
    assert_eq!(kinds(&run).await[1], "TimerStarted");
}

#[test]
fn what_is_wrong_with_versions_is_said_before_anything_runs() {
    let twice = App::new().workflow(delivery).pinned(delivery).activity(ship).check().unwrap_err();
    assert!(twice.to_string().contains("`Delivery@2` is registered twice"), "{twice}");
    let orphan = App::new().pinned(delivery_v1).activity(ship).check().unwrap_err();
    assert!(orphan.to_string().contains("has pinned code only"), "{orphan}");
}
