//! Workers that are called instead of receiving, and workers of machines that go when there is nothing to do (§6).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::time::Duration;

use millrace_core::{Fault, TimeoutKind};
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, pause, payload};

/// What a function has.
const TIME: Duration = Duration::from_secs(900);

/// `slow` takes so long at its first attempt and a second at the next, and returns its attempt's number.
fn slow_at_first(stage: &Stage, time: Duration) {
    stage.activity("slow", move |attempt, clock| async move {
        let n = attempt.task().attempt;
        pause(&*clock, if n == 1 { time } else { SECOND }).await;
        Ok(payload(json!(n)))
    });
}

#[test]
fn an_attempt_ends_with_the_function_and_says_that_it_did() {
    let stage = Stage::running(1);
    slow_at_first(&stage, 5 * HOUR);
    let _function = stage.function("f", TIME);
    stage.call("a", "slow", json!({"start_to_close_ms": 18_000_000}));
    assert_eq!(stage.result("a", HOUR), json!(2));
    let failed = stage.failed_attempts("a");
    let (1, _, Fault::TimedOut { kind: TimeoutKind::StartToClose, cause: Some(cause) }) = &failed[0] else {
        unreachable!("{failed:?}")
    };
    assert!(cause.kind == "OutOfTime" && cause.message.contains("18000s"), "{cause}");
}

#[test]
fn start_to_close_holds_in_a_function_as_it_does_elsewhere() {
    let stage = Stage::running(2);
    slow_at_first(&stage, HOUR);
    let _function = stage.function("f", TIME);
    stage.call("a", "slow", json!({"start_to_close_ms": 30_000}));
    assert_eq!(stage.result("a", HOUR), json!(2));
    let timeout = Fault::TimedOut { kind: TimeoutKind::StartToClose, cause: None };
    assert_eq!(stage.failed_attempts("a"), [(1, 2, timeout)]);
}

#[test]
fn a_short_attempt_whose_function_dies_is_tried_again_soon() {
    let stage = Stage::running(3);
    slow_at_first(&stage, HOUR);
    let first = stage.function("f1", TIME);
    stage.call("a", "slow", json!({"start_to_close_ms": 60_000}));
    stage.until_ran(1, MINUTE);
    first.kill();
    let _second = stage.function("f2", TIME);
    stage.until_ran(2, 2 * MINUTE);
    let gap = stage.ran()[1].at.since(stage.ran()[0].at);
    assert!(gap >= MINUTE && gap <= 2 * MINUTE, "not the 15 minutes that the queue hides it: {gap:?}");
}

#[test]
fn an_attempt_that_needs_the_functions_time_runs_once() {
    let stage = Stage::running(4);
    slow_at_first(&stage, 10 * MINUTE);
    let _function = stage.function("f", TIME);
    stage.call("a", "slow", json!({"start_to_close_ms": 800_000}));
    assert_eq!(stage.result("a", HOUR), json!(1), "it ran once, for ten minutes");
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn a_worker_leaves_when_it_has_been_idle_and_not_before() {
    let stage = Stage::running(5);
    slow_at_first(&stage, 30 * MINUTE);
    let idle = |config| millrace_engine::WorkerConfig { leave_when_idle: Some(10 * MINUTE), ..config };
    let worker = stage.worker_with("w", idle, |_, ports| ports);
    stage.call("a", "slow", json!({"start_to_close_ms": 18_000_000}));
    assert_eq!(stage.result("a", HOUR), json!(1), "working is not idling");
    stage.pass(9 * MINUTE);
    assert!(!worker.has_ended());
    stage.pass(2 * MINUTE);
    assert!(worker.has_ended());
}
