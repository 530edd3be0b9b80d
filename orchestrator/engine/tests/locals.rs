//! Local activities: run within the turn that asks for them, many for one commit; at least once (§6, G1, G3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_core::{EventKind, Fault, TimeoutKind};
use millrace_engine::ports::Counting;
use serde_json::{Value, json};
use stage::{HOUR, MINUTE, SECOND, Stage, boom, pause, payload};

/// A run that waits for the signal `local` to run `n` of them.
fn waiting(stage: &Stage, n: u64, activity: &str, options: Value) {
    stage.start("a", json!({"activity": activity, "n": n, "local": true, "options": options}));
    stage.comes_to_rest(MINUTE);
}

fn echo(stage: &Stage, takes: Duration) {
    stage.activity("echo", move |attempt, clock| async move {
        pause(&*clock, takes).await;
        Ok(attempt.task().input.clone())
    });
}

fn attempts(stage: &Stage) -> Vec<u32> {
    let ends = stage.history("a").1.into_iter();
    ends.filter_map(|kind| match kind {
        EventKind::LocalActivityCompleted(e) => Some(e.attempts),
        EventKind::LocalActivityFailed(e) => Some(e.failure.attempts),
        _ => None,
    })
    .collect()
}

#[test]
fn g3_ten_in_a_turn_cost_one_put_and_no_message() {
    let stage = Stage::new(1);
    let counting = Mutex::new(None);
    stage.orchestrator_with("o", |_, ports| {
        let (counter, ports) = Counting::wrap(&ports);
        *counting.lock().unwrap() = Some(counter);
        ports
    });
    let counting = counting.into_inner().unwrap().unwrap();
    echo(&stage, SECOND);
    // One more than are run would end the run, and move its index entry.
    stage.start("a", json!({"activity": "echo", "n": 10, "local": true}));
    stage.comes_to_rest(MINUTE);
    let before = counting.counts();
    stage.signal("a", "local");
    stage.result("a", MINUTE);
    stage.comes_to_rest(MINUTE);
    let used = counting.counts() - before;
    println!("10 local activities, and the end of the run: {used:?}");
    // The commit, and the entry in the index of closed runs.
    assert_eq!((used.puts, used.puts_failed, used.gets, used.deletes), (2, 0, 0, 1), "{used:?}");
    assert_eq!((used.messages_sent, used.messages_received, used.messages_deleted), (0, 1, 1), "{used:?}");
    assert_eq!(stage.ran().len(), 10);
    assert_eq!(stage.took("a"), SECOND, "side by side");
    assert_eq!(attempts(&stage), [1; 10]);
}

#[test]
fn a_failed_attempt_is_followed_by_another_within_the_turn() {
    let stage = Stage::running(2);
    stage.activity("third", |attempt, _| async move {
        if attempt.task().attempt < 3 { Err(boom("not yet")) } else { Ok(payload(json!(3))) }
    });
    waiting(&stage, 1, "third", json!({}));
    stage.signal("a", "local");
    assert_eq!(stage.result("a", MINUTE), json!(3));
    assert_eq!((stage.attempts(), attempts(&stage)), (vec![1, 2, 3], vec![3]));
    assert_eq!(stage.events("a")[1..], ["SignalReceived", "LocalActivityCompleted", "RunCompleted"]);
}

#[test]
fn the_policy_ends_the_attempts() {
    let stage = Stage::running(3);
    stage.activity("never", |_, _| async move { Err(boom("no")) });
    waiting(&stage, 1, "never", json!({"retry": {"maximum_attempts": 2}}));
    stage.signal("a", "local");
    assert_eq!(stage.fault("a", MINUTE), boom("no"));
    assert_eq!(attempts(&stage), [2]);
}

/// Else the turn's message would come to another orchestrator while this one still runs them.
#[test]
fn attempts_end_when_half_of_the_messages_time_is_over() {
    let stage = Stage::running(4);
    echo(&stage, HOUR);
    waiting(&stage, 1, "echo", json!({}));
    stage.signal("a", "local");
    assert_eq!(stage.fault("a", MINUTE), Fault::TimedOut { kind: TimeoutKind::StartToClose, cause: None });
    assert_eq!(stage.ran().len(), 1);
    // And when start-to-close says so.
    let stage = Stage::running(5);
    echo(&stage, HOUR);
    waiting(&stage, 1, "echo", json!({"start_to_close_ms": 2_000, "retry": {"maximum_attempts": 1}}));
    stage.signal("a", "local");
    stage.fault("a", 5 * SECOND);
}

#[test]
fn a_panic_and_an_unknown_name_are_failures() {
    let stage = Stage::running(6);
    stage.activity("bad", |_, _| async move { panic!("a bug") });
    waiting(&stage, 1, "bad", json!({"retry": {"maximum_attempts": 1}}));
    stage.signal("a", "local");
    let Fault::Application(failure) = stage.fault("a", MINUTE) else { panic!() };
    assert_eq!(failure.kind, "Panic");
    assert!(failure.message.contains("a bug"), "{failure:?}");

    let stage = Stage::running(7);
    waiting(&stage, 1, "nobody", json!({}));
    stage.signal("a", "local");
    let Fault::Application(failure) = stage.fault("a", MINUTE) else { panic!() };
    assert_eq!((failure.kind.as_str(), failure.non_retryable), ("UnknownActivity", true));
    assert!(failure.message.contains("`nobody`"), "{failure:?}");
}

#[test]
fn g1_a_lost_race_uses_the_results_that_are_there() {
    let stage = Stage::new(8);
    let _one = stage.orchestrator("one");
    echo(&stage, 5 * SECOND);
    waiting(&stage, 3, "echo", json!({}));
    stage.signal("a", "local");
    stage.until_ran(3, MINUTE);
    let _two = stage.orchestrator("two");
    stage.signal("a", "note");
    stage.result("a", MINUTE);
    stage.comes_to_rest(2 * MINUTE);
    assert_eq!(stage.ran().len(), 3, "none ran twice");
    let events = stage.events("a");
    assert_eq!(events[1..3], ["SignalReceived", "SignalReceived"], "the other's came first: {events:?}");
    assert_eq!(events.iter().filter(|name| *name == "LocalActivityCompleted").count(), 3);
}

#[test]
fn g1_a_turn_that_dies_before_its_commit_runs_them_again() {
    let stage = Stage::new(9);
    let one = stage.orchestrator("one");
    echo(&stage, 5 * SECOND);
    waiting(&stage, 3, "echo", json!({}));
    stage.signal("a", "local");
    stage.until_ran(3, MINUTE);
    one.kill();
    let _two = stage.orchestrator("two");
    stage.result("a", 5 * MINUTE);
    stage.comes_to_rest(2 * MINUTE);
    assert_eq!(stage.ran().len(), 6, "at least once");
    assert_eq!(attempts(&stage), [1; 3], "recorded once");
}

/// Whoever runs the code need not wait for what it does not wait for.
#[test]
fn code_that_has_ended_lets_the_others_go() {
    let stage = Stage::running(10);
    stage.activity("either", |attempt, clock| async move {
        if attempt.task().activity_id == 1 {
            return Err(boom("at once"));
        }
        pause(&*clock, 20 * SECOND).await;
        Ok(payload(json!(2)))
    });
    waiting(&stage, 2, "either", json!({"retry": {"maximum_attempts": 1}}));
    stage.signal("a", "local");
    assert_eq!(stage.fault("a", 5 * SECOND), boom("at once"));
}

/// An activity that completes later: what its worker was given, and what the inbox takes.
fn review(stage: &Stage) -> Arc<Mutex<Vec<String>>> {
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let given = tokens.clone();
    stage.activity("review", move |attempt, _| {
        let given = given.clone();
        async move {
            given.lock().unwrap().push(attempt.task().token.as_ref().unwrap().to_string());
            assert!(attempt.leave());
            Err(boom("what it returns counts for nothing"))
        }
    });
    tokens
}

#[test]
fn an_activity_that_completes_later_is_ended_by_its_token() {
    let stage = Stage::running(11);
    let tokens = review(&stage);
    let _worker = stage.worker("w");
    stage.call("a", "review", json!({"completes_later": true}));
    stage.until_ran(1, MINUTE);
    stage.comes_to_rest(MINUTE);
    stage.pass(HOUR);
    assert_eq!(
        stage.events("a"),
        ["RunStarted", "ActivityScheduled"],
        "the task is gone, and no outcome came"
    );
    let token = tokens.lock().unwrap()[0].clone();
    let (head, tail) = token.split_at(60);
    let forged = format!("{head}{}", tail.replacen(|c: char| c.is_ascii_hexdigit(), "x", 1));
    stage.send(json!({"type": "complete", "token": forged, "result": 6}));
    stage.pass(MINUTE);
    let dead = stage.dead(&millrace_engine::ports::QueueName::inbox());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].1, "token: it is not the one of this activity");
    assert_eq!(stage.events("a").len(), 2);
    stage.send(json!({"type": "complete", "token": token, "result": 7}));
    assert_eq!(stage.result("a", MINUTE), json!(7));
    stage.send(json!({"type": "complete", "token": token, "result": 8}));
    let memory = stage.memory.clone();
    stage.until(move || memory.messages_in(&millrace_engine::ports::QueueName::inbox()) == 0, MINUTE);
}

#[test]
fn a_token_that_says_fail_brings_the_next_attempt() {
    let stage = Stage::running(12);
    let tokens = review(&stage);
    let _worker = stage.worker("w");
    stage.call("a", "review", json!({"completes_later": true}));
    stage.until_ran(1, MINUTE);
    let first = tokens.lock().unwrap()[0].clone();
    stage.send(json!({"type": "fail", "token": first, "failure": {"type": "Boom", "message": "x"}}));
    stage.until_ran(2, MINUTE);
    let second = tokens.lock().unwrap()[1].clone();
    assert_ne!(first, second);
    let failure = json!({"type": "Rejected", "message": "no", "non_retryable": true});
    stage.send(json!({"type": "fail", "token": second, "failure": failure}));
    let Fault::Application(failure) = stage.fault("a", MINUTE) else { panic!() };
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("Rejected", "no"));
}
