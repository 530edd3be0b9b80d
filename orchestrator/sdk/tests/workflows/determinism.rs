//! Time, chance and logs in replay; code that has changed.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use millrace::{Blocked, RunError, TestEnv, prelude::*};
use tracing_subscriber::prelude::*;

use crate::kit::cold_and_warm;

#[activity]
async fn send_mail(to: String, text: String) -> Result<(), ActivityError>;

#[workflow]
async fn trial(ctx: WorkflowContext, who: String) -> Result<u64, WorkflowError> {
    let begin = ctx.now();
    ctx.activity(send_mail, (who.clone(), "welcome".into())).await?;
    ctx.sleep(days(30)).await?;
    ctx.activity(send_mail, (who, "your trial ends".into())).await?;
    Ok((ctx.now() - begin).as_secs() / 86_400)
}

#[workflow]
async fn chatty(ctx: WorkflowContext) -> Result<(u64, u64, String), WorkflowError> {
    tracing::info!("before");
    let (first, id) = (ctx.random(), ctx.uuid());
    for _ in 0..5 {
        ctx.sleep(secs(1)).await?;
        tracing::info!("tick");
    }
    Ok((first, ctx.random(), id.to_string()))
}

mod v1 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

mod v2 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        ctx.sleep(secs(1)).await?;
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

mod v3 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        if ctx.patched("wait first") {
            ctx.sleep(secs(1)).await?;
        }
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

mod v4 {
    use super::*;
    #[workflow(name = "Change")]
    pub async fn change(ctx: WorkflowContext) -> Result<(), WorkflowError> {
        ctx.sleep(secs(1)).await?; // no run from before the change is open any more
        Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
    }
}

/// Goes another way whenever it is run.
#[workflow]
async fn fickle(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    if RUNS.fetch_add(1, SeqCst).is_multiple_of(2) {
        ctx.sleep(secs(1)).await?;
    }
    Ok(ctx.activity(send_mail, ("ann".into(), "x".into())).await?)
}

/// Shows what no replay will show again.
#[workflow]
async fn vain(ctx: WorkflowContext) -> Result<(), WorkflowError> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    ctx.publish(&RUNS.fetch_add(1, SeqCst));
    Ok(ctx.sleep(secs(1)).await?)
}

struct Count(&'static AtomicU32);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Count {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target().starts_with("workflows") {
            self.0.fetch_add(1, SeqCst);
        }
    }
}

fn env() -> TestEnv {
    TestEnv::new().mock(send_mail, |_| Ok(()))
}

#[tokio::test]
async fn thirty_days_take_no_time() {
    let env = env().workflow(trial);
    let run = env.start(trial, "t", "ann".into()).await.unwrap();
    assert_eq!(env.calls(send_mail).len(), 1);
    assert_eq!(run.result().await, Ok(30));
    assert_eq!(env.calls(send_mail)[1], ("ann".to_owned(), "your trial ends".to_owned()));
}

#[test]
fn a_line_is_logged_once_however_often_it_is_replayed() {
    static LINES: AtomicU32 = AtomicU32::new(0);
    let _guard = tracing_subscriber::registry().with(Count(&LINES)).set_default();
    for env in cold_and_warm(|| TestEnv::new().workflow(chatty)) {
        LINES.store(0, SeqCst);
        let run = futures::executor::block_on(env.start(chatty, "c", ()).into_future()).unwrap();
        let (first, second, id) = futures::executor::block_on(run.result()).unwrap();
        assert_eq!(LINES.load(SeqCst), 6);
        assert!(first != second && id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
    }
}

#[tokio::test]
async fn changed_code_is_found_out_at_the_event_that_differs() {
    let env = env().workflow(v1::change);
    let run = env.start(v1::change, "c", ()).await.unwrap();
    run.result().await.unwrap();
    let history = run.history().await.unwrap();
    env.replay(v1::change, &history).unwrap();
    let blocked = env.replay(v2::change, &history).unwrap_err();
    let Blocked::Nondeterminism { event: 2, expected, got } = &blocked else { panic!("{blocked}") };
    assert_eq!(expected, "ActivityScheduled `send_mail` (activity 1)");
    assert_eq!(got, "TimerStarted (timer 1)");
    assert!(env.replay(trial, &history).is_err(), "another workflow's history");
    assert!(env.replay(v1::change, &history[1..]).is_err(), "not a history");
}

#[tokio::test]
async fn a_change_that_is_marked_disturbs_no_run_from_before_it() {
    let old = env().workflow(v1::change);
    let run = old.start(v1::change, "c", ()).await.unwrap();
    run.result().await.unwrap();
    old.replay(v3::change, &run.history().await.unwrap()).unwrap();

    for new in cold_and_warm(|| env().workflow(v3::change)) {
        let begin = new.now();
        let run = new.start(v3::change, "c", ()).await.unwrap();
        run.result().await.unwrap();
        assert_eq!(new.now() - begin, secs(1), "it takes the new way");
        let history = run.history().await.unwrap();
        new.replay(v3::change, &history).unwrap();
        new.replay(v4::change, &history).unwrap();
        assert!(new.replay(v1::change, &history).is_err());
    }
}

#[tokio::test]
async fn code_that_is_not_deterministic_fails_its_test() {
    let env = env().workflow(fickle).workflow(vain);
    let started = env.start(fickle, "f", ()).await;
    let Err(RunError::Blocked(Blocked::Nondeterminism { .. })) = started else { panic!("{started:?}") };
    let run = env.handle(fickle, "f").unwrap();
    assert!(matches!(run.result().await, Err(RunError::Blocked(_))), "and stays so");
    let started = env.start(vain, "v", ()).await;
    let Err(RunError::Blocked(reason)) = started else { panic!("{started:?}") };
    assert!(reason.to_string().contains("published state"), "{reason}");
}
