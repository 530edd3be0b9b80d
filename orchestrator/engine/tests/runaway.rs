//! G9: a run that goes round and round is blocked at its limit; everything else goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use millrace_core::{Blocked, EventKind, Runaway};
use serde_json::json;
use stage::{HOUR, MINUTE, SECOND, Stage, boom, pause, payload};

const LIMIT: u32 = 100;

/// A world whose runs may make a hundred turns an hour on their own, with one that would make thousands.
fn world(seed: u64) -> Stage {
    let mut stage = Stage::new(seed);
    stage.runaway = Some(Runaway::per_hour(LIMIT));
    stage.orchestrator("orchestrator");
    stage.ticker("ticker");
    stage.activity("step", |attempt, clock| async move {
        pause(&*clock, SECOND / 5).await;
        Ok(attempt.task().input.clone())
    });
    stage.start("loop", json!({"activity": "step", "endless": true}));
    stage
}

fn count(stage: &Stage, id: &str, name: &str) -> usize {
    stage.events(id).iter().filter(|event| *event == name).count()
}

fn is_held(stage: &Stage, id: &str) -> bool {
    let blocked = stage.history(id).0.header.blocked;
    matches!(blocked.map(|mark| mark.reason), Some(Blocked::Runaway { turns: LIMIT, .. }))
}

#[test]
fn g9_a_runaway_is_blocked_at_its_limit_and_other_runs_are_not_touched() {
    let stage = world(1);
    let _worker = stage.worker("w");
    stage.start("calm", json!({"timers": 30, "timer_s": 120.0}));
    stage.start("wide", json!({"activity": "step", "n": 300}));
    stage.pass(30 * MINUTE);
    assert!(is_held(&stage, "loop"));
    assert_eq!(count(&stage, "loop", "ActivityScheduled"), 1 + LIMIT as usize);
    assert_eq!(count(&stage, "loop", "ActivityCompleted"), 1 + LIMIT as usize, "its last fact is recorded");
    assert_eq!(count(&stage, "wide", "RunCompleted"), 1, "300 outcomes in far fewer turns");
    assert_eq!(stage.result("calm", HOUR), json!(30));
}

#[test]
fn g9_a_runaway_that_is_left_alone_gets_its_turns_once_an_hour() {
    let stage = world(2);
    let _worker = stage.worker("w");
    stage.pass(5 * HOUR + 30 * MINUTE);
    let steps = count(&stage, "loop", "ActivityScheduled");
    // In each window, the turn that is woken and those that follow; in the first, the start too.
    assert_eq!(steps, 6 * LIMIT as usize + 1, "six windows");
    assert_eq!(count(&stage, "loop", "RunBlocked"), 6, "told once each");
    assert!(is_held(&stage, "loop"));
    let turns = stage.history("loop").0.header.turn;
    assert!(
        turns <= 6 * (u64::from(LIMIT) + 3),
        "{turns} turns: blocked, it costs no more than its last facts"
    );
}

#[test]
fn g9_a_held_run_is_resumed_at_once_and_a_signal_may_end_it() {
    let stage = world(3);
    let _worker = stage.worker("w");
    stage.pass(10 * MINUTE);
    assert!(is_held(&stage, "loop"));
    stage.send(json!({"type": "resume", "id": "loop"}));
    stage.pass(SECOND);
    assert!(!is_held(&stage, "loop"), "it goes on at once");
    stage.pass(10 * MINUTE);
    assert!(is_held(&stage, "loop"));
    assert_eq!(count(&stage, "loop", "ActivityScheduled"), 2 * (1 + LIMIT as usize), "as many turns again");
    stage.signal("loop", "end");
    assert!(matches!(stage.end("loop", MINUTE), EventKind::RunCompleted(_)));
    stage.comes_to_rest(HOUR);
}

#[test]
fn g9_attempts_that_fail_at_once_for_ever_are_held_too() {
    let stage = world(4);
    stage.send(json!({"type": "terminate", "id": "loop"}));
    stage.activity("fails", |_, _| async { Err(boom("at once")) });
    let _worker = stage.worker("w");
    let options = json!({"retry": {"initial_interval_ms": 0, "maximum_interval_ms": 0}});
    stage.call("hot", "fails", options);
    stage.pass(30 * MINUTE);
    assert!(is_held(&stage, "hot"));
    let attempts = stage.ran().len();
    assert!(attempts <= LIMIT as usize + 2, "{attempts} attempts");
    stage.activity("fails", |_, _| async { Ok(payload(json!("repaired"))) });
    assert_eq!(stage.result("hot", HOUR), json!("repaired"), "when the window has passed");
}

#[test]
fn g9_without_a_limit_nothing_is_counted() {
    let mut stage = Stage::new(5);
    stage.runaway = None;
    stage.orchestrator("orchestrator");
    stage.activity("step", |attempt, _| async move { Ok(attempt.task().input.clone()) });
    let _worker = stage.worker("w");
    stage.start("wide", json!({"activity": "step", "n": 50}));
    stage.start("waits", json!({}));
    stage.end("wide", MINUTE);
    for id in ["wide", "waits"] {
        assert_eq!(stage.history(id).0.header.pace, None);
    }
}
