//! A timer of more than fifteen minutes, on a clock that the test moves: the engine in process, S3 and SQS emulated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use millrace_cloud_tests::foreign::Depth;
use millrace_cloud_tests::in_process::{DrivenClock, Site, orchestrator, turn_all};
use millrace_cloud_tests::{Deadline, eventually};
use millrace_engine::Ticker;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_timer_waits_in_the_bucket_and_fires_when_its_time_has_come() {
    let Some(site) = Site::new().await else { return };
    let clock = DrivenClock::start();
    let ports = site.ports(clock.clone());
    let (orchestrator, ticker) =
        (orchestrator(ports.clone(), Duration::ZERO), Ticker::new(ports, site.keys()));
    let timers = || site.foreign.keys(&site.settings.bucket, "default/timer/");

    site.start("Nap", "nap", &json!(40));
    site.start("Nap", "short-nap", &json!(14));
    let deadline = Deadline::in_secs(300);
    while ["nap", "short-nap"].iter().any(|id| site.try_history(id).is_none()) {
        turn_all(&orchestrator).await;
        deadline.pause(|| "both to begin".into());
    }
    let waiting = timers();
    assert_eq!(waiting.len(), 1, "only what is more than fifteen minutes away: {waiting:?}");
    assert!(waiting[0].contains("-nap-") && !waiting[0].contains("short"), "{waiting:?}");
    let delayed = Depth { delayed: 1, ..Depth::default() };
    assert_eq!(site.foreign.depth(&site.queue("events")), delayed, "the near one is a delayed message");

    clock.advance(20 * MINUTE);
    assert_eq!(ticker.tick().await.unwrap(), 0, "twenty minutes are left");
    assert_eq!(timers(), waiting);
    turn_all(&orchestrator).await;
    assert_eq!(site.history("nap").status(), "running");

    clock.advance(20 * MINUTE);
    assert_eq!(ticker.tick().await.unwrap(), 1, "it is due");
    assert!(timers().is_empty(), "the key is gone once it is sent");
    assert_eq!(ticker.tick().await.unwrap(), 0, "and is not sent again");
    let deadline = Deadline::in_secs(300);
    while site.history("nap").status() == "running" {
        turn_all(&orchestrator).await;
        deadline.pause(|| format!("the timer has not fired: {}", site.history("nap").outline()));
    }
    let history = site.history("nap");
    history.check();
    assert_eq!(history.types(), ["RunStarted", "TimerStarted", "TimerFired", "RunCompleted"]);
    assert_eq!(history.result(), &json!("rested"));
    assert_eq!(history.of("TimerFired").len(), 1);
    eventually(300, "the events to be gone but for the near timer", || {
        (site.foreign.depth(&site.queue("events")) == delayed).then_some(())
    });
}
