//! Turns that are cut off: nothing is lost, nothing is doubled (G1–G7, G9, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod toy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_core::{Fault, Payload, WorkflowId};
use millrace_engine::ports::{Condition, QueueName};
use millrace_engine::{Attempt, OrchestratorConfig};
use millrace_format::Keys;
use toy::faults::{Faulty, Write};
use toy::{Toy, World, turn_all};

const START: &str = r#"{"type":"start","workflow":"chain","id":"a","input":2,"request_id":"s1"}"#;
const STEPS: [&str; 6] = [
    "RunStarted",
    "ActivityScheduled",
    "ActivityCompleted",
    "ActivityScheduled",
    "ActivityCompleted",
    "RunCompleted",
];

/// Works and turns until nothing is left, letting time pass for what was given back.
fn finish(world: &World, orchestrator: &millrace_engine::Orchestrator) {
    for _ in 0..8 {
        turn_all(orchestrator);
        world.work(&world.ports);
        world.clock.advance(Duration::from_secs(61));
    }
}

#[test]
fn g1_no_task_is_sent_for_a_turn_that_was_not_committed() {
    let world = World::new();
    let (faults, ports) = Faulty::wrap(&world.ports);
    let orchestrator = world.orchestrator(&ports);
    world.send(START);
    faults.next_write(Write::Down);
    futures::executor::block_on(orchestrator.poll(&QueueName::inbox())).unwrap();
    assert_eq!(faults.sent_to("task-cpu"), 0);
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS);
}

#[test]
fn g4_a_turn_whose_dispatch_failed_is_repaired_by_its_guard() {
    let world = World::new();
    let (faults, ports) = Faulty::wrap(&world.ports);
    let orchestrator = world.orchestrator(&ports);
    world.send(START);
    *faults.sends_fail.lock().unwrap() = 1;
    turn_all(&orchestrator);
    assert_eq!((world.events("a").len(), faults.sent_to("task-cpu")), (2, 0), "committed, not dispatched");
    assert_eq!((orchestrator.stats().turns, orchestrator.stats().turns_failed), (1, 1));
    world.clock.advance(Duration::from_secs(3));
    let other = world.orchestrator(&ports); // another process
    turn_all(&other);
    assert_eq!((other.stats().turns, other.stats().repaired), (0, 1));
    assert_eq!(
        (world.events("a").len(), faults.sent_to("task-cpu")),
        (2, 1),
        "dispatched by the guard's redelivery"
    );
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS);
}

#[test]
fn g5_a_lost_reply_is_recognised_by_its_nonce() {
    for write in [Write::ReplyLost, Write::Lost, Write::Busy] {
        let world = World::new();
        let (faults, ports) = Faulty::wrap(&world.ports);
        let orchestrator = world.orchestrator(&ports);
        world.send(START);
        faults.next_write(write);
        turn_all(&orchestrator);
        assert_eq!(
            (world.events("a").len(), faults.sent_to("task-cpu")),
            (2, 1),
            "{write:?}: one task, sent once"
        );
        finish(&world, &orchestrator);
        assert_eq!(world.events("a"), STEPS, "{write:?}");
    }
}

#[test]
fn g2_a_start_sent_twice_starts_once() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(START);
    world.send(START);
    turn_all(&orchestrator);
    world.send(START);
    finish(&world, &orchestrator);
    world.send(START); // after the run has closed, too
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS);
    assert!(world.memory.all_messages().is_empty(), "{:?}", world.memory.all_messages());
}

#[test]
fn g3_two_orchestrators_on_one_workflow_lose_nothing() {
    let world = World::new();
    let (one, two) = (world.orchestrator(&world.ports), world.orchestrator(&world.ports));
    world.send(START);
    // Each has its own cache, and each turn of one makes the other's stale.
    for _ in 0..8 {
        turn_all(&one);
        world.work(&world.ports);
        turn_all(&two);
        world.work(&world.ports);
        world.clock.advance(Duration::from_secs(61));
    }
    assert_eq!(world.events("a"), STEPS);
}

#[test]
fn g7_an_id_is_used_again_and_late_messages_of_the_old_run_change_nothing() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(START);
    finish(&world, &orchestrator);
    world.send(&START.replace("s1", "s2"));
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS);
    let archives =
        futures::executor::block_on(world.ports.store.list("default/workflow/", None, None, 100)).unwrap();
    assert_eq!(
        archives.iter().filter(|key| key.ends_with("/history")).count(),
        2,
        "head and archive: {archives:?}"
    );
    world.send(START); // the first request again: the second run remembers it
    finish(&world, &orchestrator);
    assert_eq!(world.events("a").len(), STEPS.len());
    assert!(world.dead("inbox").is_empty());
}

#[test]
fn g9_an_unknown_workflow_is_blocked_not_lost_and_terminates_without_code() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(r#"{"type":"start","workflow":"nope","id":"b"}"#);
    world.send(START);
    turn_all(&orchestrator);
    assert_eq!(world.events("b"), ["RunStarted", "RunBlocked"]);
    assert_eq!(world.events("a").len(), 2, "the other run goes on");
    world.clock.advance(Duration::from_secs(901));
    turn_all(&orchestrator);
    assert_eq!(world.events("b"), ["RunStarted", "RunBlocked"], "once for each reason and build");
    world.send(r#"{"type":"terminate","id":"b","reason":"typo"}"#);
    turn_all(&orchestrator);
    assert_eq!(world.status("b"), "terminated");
}

#[test]
fn g10_bad_messages_are_dead_lettered_with_the_reason_and_the_batch_goes_on() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    for body in ["plain text", r#"{"type":"outcome"}"#, r#"{"type":"start","workflow":"chain","id":"../x"}"#]
    {
        world.send(body);
    }
    world.send(START);
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS);
    let mut reasons: Vec<String> = world.dead("inbox").into_iter().map(|(_, reason)| reason).collect();
    reasons.sort();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].starts_with("id: the workflow id contains"), "{reasons:?}");
    assert!(reasons[1].starts_with("the message is not JSON"), "{reasons:?}");
    assert!(reasons[2].starts_with("type: `outcome` is an internal message"), "{reasons:?}");
}

#[test]
fn g10_a_signal_waits_a_minute_for_its_run() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(r#"{"type":"signal","id":"w","name":"go","input":7}"#);
    turn_all(&orchestrator);
    world.send(r#"{"type":"start","workflow":"wait","id":"w"}"#);
    turn_all(&orchestrator);
    world.clock.advance(Duration::from_secs(2));
    turn_all(&orchestrator);
    assert_eq!(world.events("w"), ["RunStarted", "SignalReceived", "RunCompleted"]);

    world.send(r#"{"type":"signal","id":"never","name":"go"}"#);
    for _ in 0..30 {
        turn_all(&orchestrator);
        world.clock.advance(Duration::from_secs(3));
    }
    let dead = world.dead("inbox");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].1, "there is no workflow `never`");
}

#[test]
fn a_corrupt_history_stops_its_run_only() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(r#"{"type":"start","workflow":"wait","id":"w"}"#);
    turn_all(&orchestrator);
    let id: WorkflowId = "w".parse().unwrap();
    let key = Keys::new(Default::default()).history(&id);
    let object = futures::executor::block_on(world.ports.store.get(&key)).unwrap().unwrap();
    let text = String::from_utf8(object.body.to_vec()).unwrap();
    let cut = Bytes::from(text.lines().next().unwrap().to_owned() + "\n");
    futures::executor::block_on(world.ports.store.put(&key, cut, Condition::Always)).unwrap();

    world.send(r#"{"type":"signal","id":"w","name":"go","input":7,"request_id":"g"}"#);
    world.send(START);
    let fresh = world.orchestrator(&world.ports);
    finish(&world, &fresh);
    assert_eq!(world.events("a"), STEPS);
    let error = futures::executor::block_on(world.client().head(&id, None)).unwrap_err().to_string();
    assert!(error.contains(&key) && error.contains("corrupt at line 1"), "{error}");

    // Restored, it goes on: its messages have waited, at most ten minutes more.
    world.clock.advance(Duration::from_secs(600));
    futures::executor::block_on(world.ports.store.put(&key, Bytes::from(text), Condition::Always)).unwrap();
    finish(&world, &fresh);
    assert_eq!(world.status("w"), "completed");
}

#[test]
fn a_tail_that_has_grown_is_sealed_and_the_run_goes_on_cold() {
    let world = World::new();
    world.send(r#"{"type":"start","workflow":"chain","id":"long","input":400}"#);
    for _ in 0..401 {
        turn_all(&world.orchestrator(&world.ports)); // cold at every turn
        world.work(&world.ports);
    }
    assert_eq!(world.status("long"), "completed");
    assert_eq!(world.events("long").len(), 802);
    let keys =
        futures::executor::block_on(world.ports.store.list("default/workflow/", None, None, 100)).unwrap();
    assert!(keys.iter().filter(|key| key.contains("/events/")).count() >= 2, "{keys:?}");
}

struct TooMuch;

impl millrace_engine::ActivityCode for TooMuch {
    fn knows(&self, _activity: &str) -> bool {
        true
    }

    fn names(&self) -> Vec<String> {
        vec!["step".into()]
    }

    fn run(&self, _: Arc<dyn Attempt>) -> BoxFuture<'static, Result<Payload, Fault>> {
        async { Ok(Payload::of(&"x".repeat(17 << 20)).unwrap()) }.boxed()
    }
}

#[test]
fn a_result_that_no_queue_takes_fails_its_activity_once() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(START);
    turn_all(&orchestrator);
    world.work_with(&world.ports, Arc::new(TooMuch));
    turn_all(&orchestrator);
    assert_eq!(world.events("a"), ["RunStarted", "ActivityScheduled", "ActivityFailed", "RunFailed"]);
    assert!(world.memory.all_messages().is_empty());
}

#[test]
fn internal_messages_of_another_namespace_are_left_to_their_own() {
    let world = World::new();
    let orchestrator = world.orchestrator(&world.ports);
    world.send(START);
    turn_all(&orchestrator);
    world.work(&world.ports); // the outcome is in the events queue now
    let config = OrchestratorConfig {
        poll: Duration::ZERO,
        namespace: "prod".parse().unwrap(),
        ..OrchestratorConfig::default()
    };
    turn_all(&millrace_engine::Orchestrator::new(world.ports.clone(), Arc::new(Toy), config));
    assert_eq!(world.events("a").len(), 2, "not absorbed there");
    finish(&world, &orchestrator);
    assert_eq!(world.events("a"), STEPS, "and not lost");
}
