//! Activities of which only so many run at a time in a process: tasks that wait for room cost nothing (G11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_core::{Fault, TimeoutKind};
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, pause, payload};

/// `heavy` takes so long; gives the most of them that ran at a time.
fn heavy(stage: &Stage, time: Duration) -> Arc<AtomicU32> {
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = most.clone();
    stage.activity("heavy", move |attempt, clock| {
        let (running, most) = (running.clone(), most.clone());
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pause(&*clock, time).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(payload(json!(attempt.task().attempt)))
        }
    });
    seen
}

/// Starts so many runs that call `heavy`, one after the other.
fn call(stage: &Stage, n: usize, options: &serde_json::Value) -> Vec<String> {
    let ids: Vec<String> = (0..n).map(|i| format!("h{i}")).collect();
    for id in &ids {
        stage.call(id, "heavy", options.clone());
        stage.pass(SECOND);
    }
    ids
}

#[test]
fn g11_tasks_wait_for_room_for_longer_than_their_visibility_and_cost_nothing() {
    let stage = Stage::running(61);
    stage.limit("heavy", 2);
    let most = heavy(&stage, 9 * MINUTE);
    stage.activity("light", |_, _| async { Ok(payload(json!("at once"))) });
    let _worker = stage.worker("w");
    let ids = call(&stage, 6, &json!({}));
    // What has room is not held up.
    stage.call("l", "light", json!({}));
    assert_eq!(stage.result("l", MINUTE), json!("at once"));
    for id in &ids {
        assert_eq!(stage.result(id, HOUR), json!(1));
        assert!(stage.failed_attempts(id).is_empty());
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    let heavy: Vec<_> = stage.ran().into_iter().filter(|ran| ran.activity == "heavy").collect();
    assert_eq!(heavy.len(), 6, "nothing was delivered twice");
    let last = heavy[5].at.since(heavy[0].at);
    assert!(last >= 18 * MINUTE && last < 19 * MINUTE, "one after the other without a gap: {last:?}");
}

#[test]
fn g11_a_stopping_worker_gives_waiting_tasks_back_at_once() {
    let stage = Stage::running(62);
    stage.limit("heavy", 1);
    heavy(&stage, 5 * MINUTE);
    let mut first = stage.worker("w1");
    call(&stage, 2, &json!({}));
    stage.until_ran(1, MINUTE);
    stage.pass(30 * SECOND);
    first.stop();
    let asked = stage.sim.clock().now();
    let _second = stage.worker("w2");
    stage.until_ran(2, MINUTE);
    let waited = stage.ran()[1].at.since(asked);
    assert!(waited <= SECOND, "{waited:?}");
    for id in ["h0", "h1"] {
        assert_eq!(stage.result(id, HOUR), json!(1));
        assert!(stage.failed_attempts(id).is_empty());
    }
}

#[test]
fn the_time_to_start_runs_on_while_a_task_waits_for_room() {
    let stage = Stage::running(63);
    stage.limit("heavy", 1);
    heavy(&stage, 9 * MINUTE);
    let _worker = stage.worker("w");
    let options = json!({"schedule_to_start_ms": 90_000, "retry": {"maximum_attempts": 1}});
    call(&stage, 2, &options);
    let fault = stage.fault("h1", HOUR);
    assert_eq!(fault, Fault::TimedOut { kind: TimeoutKind::ScheduleToStart, cause: None });
    let took = stage.took("h1");
    assert!(took >= 90 * SECOND && took <= 95 * SECOND, "{took:?}");
    assert_eq!(stage.result("h0", HOUR), json!(1));
}

#[test]
fn a_task_that_nobody_wants_any_more_does_not_run_when_there_is_room() {
    let stage = Stage::running(64);
    stage.limit("heavy", 1);
    heavy(&stage, 9 * MINUTE);
    let _worker = stage.worker("w");
    call(&stage, 2, &json!({}));
    stage.until_ran(1, MINUTE);
    stage.send(json!({"type": "terminate", "id": "h1", "reason": "superseded"}));
    assert_eq!(stage.result("h0", HOUR), json!(1));
    stage.pass(HOUR);
    assert_eq!(stage.ran().len(), 1);
}

#[test]
fn a_function_that_has_no_time_left_puts_a_waiting_task_off() {
    let stage = Stage::running(65);
    stage.limit("heavy", 1);
    let most = heavy(&stage, 4 * MINUTE);
    let _function = stage.function_with("f", 10 * MINUTE, 10);
    let ids = ["a", "b", "c"];
    for id in ids {
        stage.call(id, "heavy", json!({"start_to_close_ms": 300_000}));
    }
    for id in ids {
        assert_eq!(stage.result(id, HOUR), json!(1));
        assert!(stage.failed_attempts(id).is_empty(), "{:?}", stage.failed_attempts(id));
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(stage.ran().len(), 3);
}
