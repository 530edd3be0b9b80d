//! What a start may say beside the input.

use std::time::Duration;

use futures::executor::block_on;
use millrace::client::{EventKind, Status};
use millrace::dev::{Dev, Options};
use millrace::{Fault, RunError, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Debug, Signal, Serialize, Deserialize)]
struct Go;

#[workflow(accepts(Go))]
async fn waits(ctx: WorkflowContext) -> Result<u64, WorkflowError> {
    ctx.publish("begun");
    ctx.signals::<Go>().recv().await?;
    Ok(1)
}

/// Goes on for ever, run after run.
#[workflow]
async fn restless(ctx: WorkflowContext, runs: u32) -> Result<u32, WorkflowError> {
    ctx.sleep(millis(30)).await?;
    ctx.continue_as_new(restless, runs + 1)
}

/// One after the other, until it was long enough: a machine may stand still for longer than the first.
const TIMES: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(20), Duration::from_secs(100)];

fn dev() -> Dev {
    Dev::start(&App::new().workflow(waits).workflow(restless), Options::in_memory()).unwrap()
}

#[test]
fn the_code_begins_after_the_delay() {
    let dev = dev();
    block_on(async {
        let mut is_kept = false;
        for delay in TIMES {
            is_kept = is_kept || told_before_it_begins(&dev, delay).await;
        }
        assert!(is_kept, "a signal is kept for the code");

        let run = dev.client().start(waits, "b", ()).delay(hours(1)).await.unwrap();
        assert_eq!(run.describe().await.unwrap().status, Status::Running);
        assert_eq!(run.state::<String>().await, Ok(None));
        run.cancel("no longer wanted").await.unwrap();
        let ended = run.result().await;
        assert!(
            matches!(&ended, Err(RunError::Failed(f)) if matches!(f.fault, Fault::Canceled { .. })),
            "{ended:?}"
        );
        let none = dev.client().start(waits, "c", ()).delay(secs(0)).signal(Go).await.unwrap();
        assert_eq!(none.result().await, Ok(1));
    });
}

/// Whether the signal was there before the code.
async fn told_before_it_begins(dev: &Dev, delay: Duration) -> bool {
    let run = dev.client().start(waits, format!("a-{delay:?}"), ()).delay(delay).await.unwrap();
    run.signal(Go).await.unwrap();
    assert_eq!(run.result().await, Ok(1));
    let history = run.history().await.unwrap();
    let at = |name| history.iter().find(|event| event.kind.name() == name).unwrap().t;
    assert!(at("RunCompleted") - at("RunStarted") >= delay);
    at("SignalReceived") < at("TimerFired")
}

#[test]
fn memo_and_attributes_are_in_the_history() {
    let dev = dev();
    block_on(async {
        let start =
            dev.client().start(waits, "a", ()).memo(("for", "people")).attributes([("customer", "ann")]);
        let run = start.await.unwrap();
        let history = run.history().await.unwrap();
        let EventKind::RunStarted(started) = &history[0].kind else { panic!("{history:?}") };
        assert_eq!(started.memo.as_ref().unwrap().as_str(), r#"["for","people"]"#);
        assert_eq!(started.attributes.as_ref().unwrap().as_str(), r#"{"customer":"ann"}"#);
    });
}

#[test]
fn the_execution_timeout_covers_every_run() {
    let dev = dev();
    block_on(async {
        let mut went_on = false;
        for limit in TIMES {
            went_on = went_on || times_out_in_a_later_run(&dev, limit).await;
        }
        assert!(went_on, "the limit is not that of the first run");
    });
}

/// Whether the first run had the time to continue as another.
async fn times_out_in_a_later_run(dev: &Dev, limit: Duration) -> bool {
    let start = dev.client().start(restless, format!("a-{limit:?}"), 0);
    let run = start.execution_timeout(limit).run_timeout(hours(1)).await.unwrap();
    let ended = run.result().await;
    assert!(matches!(&ended, Err(RunError::Failed(f)) if f.is_timeout()), "{ended:?}");
    let last = run.describe().await.unwrap();
    assert_eq!(last.status, Status::TimedOut);
    if Some(last.run_id) == run.run_id() {
        return false;
    }
    assert_eq!(last.first_run_id, run.run_id());
    true
}

#[test]
fn a_time_that_is_none_is_refused() {
    let dev = dev();
    let refused =
        block_on(async { dev.client().start(waits, "a", ()).execution_timeout(secs(0)).await.map(drop) });
    assert!(
        matches!(&refused, Err(RunError::Rejected(text)) if text.contains("execution_timeout_s")),
        "{refused:?}"
    );
}
