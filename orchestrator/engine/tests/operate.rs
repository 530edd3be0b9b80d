//! What people do to runs, through the engine: pause, retry at once, reset, fork; and signals that have an order (G1, G2, G4,
//! G7, G9, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may, and so may what they share"
)]

mod stage;
mod toy;

use std::sync::Arc;

use millrace_core::{EventKind, Status};
use millrace_engine::Orchestrator;
use millrace_engine::ports::{Counting, QueueName};
use serde_json::{Value, json};
use stage::{HOUR, MINUTE, SECOND, Stage, Working, boom, cpu, payload};
use toy::faults::{Faulty, Write};
use toy::{World, turn_all};

/// An activity that fails at first, and then says which attempt it is.
fn fails_until(stage: &Stage, attempt: u32) {
    stage.activity("charge", move |at, _| async move {
        let n = at.task().attempt;
        if n < attempt { Err(boom("no")) } else { Ok(payload(json!(n))) }
    });
}

fn every(seconds: u64) -> Value {
    json!({"retry": {"initial_interval_ms": seconds * 1000, "backoff_coefficient": 1.0}})
}

fn counted_worker(stage: &Stage) -> (Working, Arc<Counting>) {
    let mut counting = None;
    let worker = stage.worker_with(
        "w",
        |config| config,
        |_, ports| {
            let (counter, ports) = Counting::wrap(&ports);
            counting = Some(counter);
            ports
        },
    );
    (worker, counting.unwrap())
}

fn run_id(stage: &Stage, id: &str) -> String {
    stage.history(id).0.header.run_id.to_string()
}

fn reset(stage: &Stage, id: &str, event: u64, request_id: &str) {
    let run_id = run_id(stage, id);
    stage
        .send(json!({"type": "reset", "id": id, "run_id": run_id, "event": event, "request_id": request_id}));
}

#[test]
fn each_attempt_after_the_first_asks_the_log_once() {
    let stage = Stage::running(1);
    fails_until(&stage, 4);
    let (_worker, counting) = counted_worker(&stage);
    stage.call("a", "charge", every(1));
    assert_eq!(stage.result("a", MINUTE), json!(4));
    stage.comes_to_rest(MINUTE);
    assert_eq!(counting.counts().gets, 3, "none for the first");
}

#[test]
fn g7_an_attempt_that_waits_is_dropped_once_paused_and_made_once_unpaused() {
    let stage = Stage::running(2);
    fails_until(&stage, 2);
    let _worker = stage.worker("w");
    stage.call("a", "charge", every(60));
    stage.until_ran(1, MINUTE);
    stage.pass(5 * SECOND);
    assert_eq!(stage.memory.messages_in(&QueueName::task(&cpu())), 1, "attempt 2 waits for its time");
    stage.send(json!({"type": "pause", "id": "a", "activity_id": 1}));
    stage.pass(HOUR);
    assert_eq!(stage.attempts(), [1]);
    assert!(stage.memory.all_messages().is_empty(), "the task of attempt 2 is gone");
    let pending = stage.history("a").0.header.activities;
    assert!(pending[0].paused && pending[0].withheld, "{pending:?}");
    stage.send(json!({"type": "unpause", "id": "a", "activity_id": 1}));
    assert_eq!(stage.result("a", MINUTE), json!(3), "at once: its time has come long ago");
    assert_eq!(stage.attempts(), [1, 3]);
}

#[test]
fn a_paused_activity_s_attempt_ends_and_no_other_is_sent() {
    let stage = Stage::running(3);
    stage.activity("charge", |at, clock| async move {
        stage::pause(&*clock, 10 * SECOND).await;
        let n = at.task().attempt;
        if n == 1 { Err(boom("no")) } else { Ok(payload(json!(n))) }
    });
    let _worker = stage.worker("w");
    stage.call("a", "charge", every(1));
    stage.until_ran(1, MINUTE);
    stage.send(json!({"type": "pause", "id": "a", "activity_id": 1}));
    stage.pass(HOUR);
    assert_eq!(stage.failed_attempts("a"), [(1, 2, boom("no"))]);
    assert!(stage.memory.all_messages().is_empty(), "attempt 2 was never sent");
    stage.send(json!({"type": "unpause", "id": "a", "activity_id": 1}));
    assert_eq!(stage.result("a", MINUTE), json!(3));
}

#[test]
fn a_retry_at_once_runs_the_activity_once_and_the_task_that_waited_is_dropped() {
    let stage = Stage::running(4);
    fails_until(&stage, 2);
    let (_worker, counting) = counted_worker(&stage);
    stage.call("a", "charge", every(600));
    stage.until_ran(1, MINUTE);
    stage.pass(5 * SECOND);
    // A copy of the request counts once.
    for _ in 0..2 {
        stage.send(json!({"type": "retry", "id": "a", "activity_id": 1, "request_id": "r"}));
    }
    assert_eq!(stage.result("a", MINUTE), json!(3));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.attempts(), [1, 3]);
    assert_eq!(counting.counts().gets, 2, "one for attempt 3, one for the copy of attempt 2 that came late");
    assert_eq!(stage.dead(&QueueName::inbox()), []);
}

#[test]
fn g10_a_retry_of_what_does_not_wait_is_refused_with_a_reason() {
    let stage = Stage::running(5);
    stage.activity("charge", |_, clock| async move {
        stage::pause(&*clock, MINUTE).await;
        Ok(payload(json!(1)))
    });
    let _worker = stage.worker("w");
    stage.call("a", "charge", json!({}));
    stage.until_ran(1, MINUTE);
    stage.send(json!({"type": "retry", "id": "a", "activity_id": 1}));
    stage.send(json!({"type": "retry", "id": "a", "activity_id": 9}));
    stage.pass(SECOND);
    let mut reasons: Vec<_> = stage.dead(&QueueName::inbox()).into_iter().map(|(_, reason)| reason).collect();
    reasons.sort();
    assert!(reasons[0].contains("attempt 1 of activity 1 is under way"), "{reasons:?}");
    assert!(reasons[1].contains("the run has no open activity 9"), "{reasons:?}");
    assert_eq!(stage.result("a", HOUR), json!(1));
}

#[test]
fn g9_a_cold_orchestrator_absorbs_for_a_paused_run_without_its_code() {
    let stage = Stage::new(6);
    let first = stage.orchestrator("o1");
    stage.start("a", json!({}));
    stage.send(json!({"type": "pause", "id": "a", "reason": "the vendor is down"}));
    stage.pass(SECOND);
    first.kill();
    stage.orchestrator("o2");
    stage.signal("a", "note");
    stage.send(json!({"type": "signal", "id": "a", "name": "end", "input": 7}));
    stage.pass(HOUR);
    let (head, events) = stage.history("a");
    assert!(head.header.status.is_open() && head.header.blocked.is_none());
    assert_eq!(head.header.paused.unwrap().reason, "the vendor is down");
    assert_eq!(events.len(), 4);
    stage.send(json!({"type": "unpause", "id": "a"}));
    assert_eq!(stage.result("a", MINUTE), json!(7));
}

#[test]
fn a_reset_makes_a_run_that_goes_on_from_the_event() {
    let stage = Stage::running(7);
    fails_until(&stage, 1);
    let _worker = stage.worker("w");
    stage.start("a", json!({"activity": "charge", "n": 2}));
    assert_eq!(stage.result("a", MINUTE), json!(1));
    let (closed, all) = stage.history("a");
    // Up to where the first activity has ended.
    let is_end = |kind: &EventKind| matches!(kind, EventKind::ActivityCompleted(_));
    let event = all.iter().position(is_end).unwrap() as u64 + 1;
    reset(&stage, "a", event, "x");
    stage.pass(5 * SECOND);
    assert_eq!(stage.result("a", MINUTE), json!(1));
    assert_eq!(stage.ran().len(), 3, "the activity that had no end was called again, the other was not");
    let (head, events) = stage.history("a");
    assert_ne!(head.header.run_id, closed.header.run_id);
    let EventKind::RunStarted(started) = &events[0] else { panic!() };
    let from = started.forked_from.as_ref().unwrap();
    assert_eq!((from.run_id, from.event), (closed.header.run_id, event));
    assert_eq!(events[1..event as usize], all[1..event as usize]);
    stage.comes_to_rest(MINUTE);
}

#[test]
fn g10_two_resets_at_once_make_two_runs_one_after_the_other() {
    for seed in 0..20 {
        let stage = Stage::new(seed);
        (0..2).for_each(|n| drop(stage.orchestrator(&format!("o{n}"))));
        fails_until(&stage, 1);
        stage.start("a", json!({}));
        stage.pass(SECOND);
        stage.signal("a", "note");
        stage.pass(SECOND);
        let first = run_id(&stage, "a");
        for request_id in ["x", "y"] {
            stage.send(
                json!({"type": "reset", "id": "a", "run_id": first, "event": 1, "request_id": request_id}),
            );
        }
        stage.pass(MINUTE);
        let (head, events) = stage.history("a");
        assert!(head.header.status.is_open(), "seed {seed}");
        assert_eq!(stage.events("a"), ["RunStarted", "SignalReceived"], "seed {seed}: told again");
        let EventKind::RunStarted(started) = &events[0] else { panic!() };
        assert_eq!(started.forked_from.as_ref().unwrap().run_id.to_string(), first, "seed {seed}");
        assert_eq!(stage.dead(&QueueName::inbox()), [], "seed {seed}");
        stage.comes_to_rest(MINUTE);
    }
}

#[test]
fn g10_what_is_told_between_two_resets_of_one_run_is_not_lost() {
    let stage = Stage::running(13);
    stage.start("a", json!({}));
    stage.pass(SECOND);
    let first = run_id(&stage, "a");
    for n in 1..=2 {
        stage.send(
            json!({"type": "reset", "id": "a", "run_id": first, "event": 1, "request_id": format!("x-{n}")}),
        );
        stage.pass(SECOND);
        stage.send(json!({"type": "signal", "id": "a", "name": "note", "request_id": format!("n-{n}")}));
        stage.pass(SECOND);
    }
    assert_eq!(stage.events("a"), ["RunStarted", "SignalReceived", "SignalReceived"]);
}

#[test]
fn the_source_may_be_long_and_may_be_an_archived_run() {
    let stage = Stage::running(9);
    stage.start("a", json!({}));
    let long = "x".repeat(2_000);
    for n in 0..100 {
        stage.send(json!({"type": "signal", "id": "a", "name": "note", "input": long, "request_id": format!("s-{n}")}));
    }
    stage.pass(MINUTE);
    let (head, events) = stage.history("a");
    assert!(!head.header.parts.is_empty() && events.len() == 101);
    let first = head.header.run_id;
    reset(&stage, "a", 20, "x");
    stage.pass(MINUTE);
    let (head, told) = stage.history("a");
    let inputs = |events: &[EventKind]| -> Vec<String> {
        let request = |kind: &EventKind| match kind {
            EventKind::SignalReceived(e) => Some(e.request_id.to_string()),
            _ => None,
        };
        events.iter().filter_map(request).collect()
    };
    assert_ne!(head.header.run_id, first);
    assert_eq!(inputs(&told), inputs(&events), "twenty events taken over, the rest told again");
    // The first run lies in its archive now.
    stage.send(
        json!({"type": "reset", "id": "a", "run_id": first.to_string(), "event": 90, "reapply": false}),
    );
    stage.pass(MINUTE);
    assert_eq!(stage.events("a").len(), 90);
    stage.send(json!({"type": "signal", "id": "a", "name": "end", "input": 7}));
    assert_eq!(stage.result("a", MINUTE), json!(7));
    assert!(!stage.history("a").0.header.parts.is_empty(), "what was taken over is sealed like any other");
}

#[test]
fn a_fork_leaves_the_source_alone() {
    let stage = Stage::running(10);
    stage.start("a", json!({}));
    stage.signal("a", "note");
    stage.pass(SECOND);
    let before = stage.history("a");
    let fork = json!({"type": "fork", "id": "b", "from": "a", "event": 2, "request_id": "f"});
    (0..2).for_each(|_| stage.send(fork.clone()));
    stage.pass(SECOND);
    assert_eq!(stage.events("b"), ["RunStarted", "SignalReceived"]);
    assert_eq!(stage.history("a").0.header.nonce, before.0.header.nonce);
    for (id, input) in [("a", 1), ("b", 2)] {
        stage.send(json!({"type": "signal", "id": id, "name": "end", "input": input}));
        assert_eq!(stage.result(id, MINUTE), json!(input));
    }
    assert_eq!(stage.dead(&QueueName::inbox()), []);
}

#[test]
fn g10_what_cannot_be_taken_over_is_a_dead_letter_with_its_reason() {
    let stage = Stage::running(11);
    stage.start("a", json!({}));
    stage.pass(SECOND);
    let nobody = "0198c0de-0000-4000-8000-000000000007";
    for (message, reason) in [
        (
            json!({"type": "fork", "id": "b", "from": "nobody", "event": 1}),
            "from: there is no workflow `nobody`",
        ),
        (json!({"type": "fork", "id": "a", "from": "b", "event": 1}), "from: there is no workflow `b`"),
        (json!({"type": "reset", "id": "a", "run_id": nobody, "event": 1}), "with a run 0198c0de"),
        (json!({"type": "reset", "id": "a", "run_id": run_id(&stage, "a"), "event": 2}), "events 1 to 1"),
        (json!({"type": "reset", "id": "a", "event": 1}), "run_id: name the run"),
        (json!({"type": "signal", "id": "a", "name": "x", "after": "lost"}), "after: the signal `lost`"),
    ] {
        stage.send(message.clone());
        stage.pass(4 * MINUTE);
        let dead = stage.dead(&QueueName::inbox());
        assert!(dead.iter().any(|(_, error)| error.contains(reason)), "{message}: {dead:?}");
    }
    assert_eq!(stage.events("a"), ["RunStarted"], "nothing was ended for it");
    assert!(stage.history("a").0.header.blocked.is_none());
}

#[test]
fn signals_that_come_in_the_wrong_order_wait_for_one_another() {
    let stage = Stage::running(12);
    stage.start("a", json!({}));
    for n in [4, 3, 2, 1] {
        let mut signal =
            json!({"type": "signal", "id": "a", "name": "note", "input": n, "request_id": format!("s-{n}")});
        if n > 1 {
            signal["after"] = json!(format!("s-{}", n - 1));
        }
        stage.send(signal);
        stage.pass(7 * SECOND);
    }
    stage.comes_to_rest(MINUTE);
    let (head, events) = stage.history("a");
    let told: Vec<_> = events[1..].iter().map(EventKind::describe).collect();
    assert_eq!(events.len(), 5, "{told:?}");
    let order = events[1..].iter().map(|kind| match kind {
        EventKind::SignalReceived(e) => e.input.read::<u32>().unwrap(),
        other => panic!("{other:?}"),
    });
    assert_eq!(order.collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(head.header.blocked.is_none(), "waiting makes nothing suspect");
    assert_eq!(stage.dead(&QueueName::inbox()), []);
}

/// A chain of three steps whose first has ended, and its run id.
fn chain(world: &World, orchestrator: &Orchestrator) -> String {
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":3,"request_id":"s"}"#);
    turn_all(orchestrator);
    world.work(&world.ports);
    turn_all(orchestrator);
    let id = "a".parse().unwrap();
    let head = futures::executor::block_on(world.client().head(&id, None)).unwrap();
    head.header.run_id.to_string()
}

#[test]
fn g4_a_reset_that_dies_between_its_commits_is_finished_by_its_redelivery() {
    // The commit that ends the run, the archive, the new head.
    for fault in [Write::Down, Write::ReplyLost, Write::Lost, Write::Refused] {
        for at in 0..3 {
            let world = World::new();
            let (faulty, ports) = Faulty::wrap(&world.ports);
            let run_id = chain(&world, &world.orchestrator(&ports));
            assert_eq!(world.events("a").len(), 4);
            (0..at).for_each(|_| faulty.next_write(Write::Through));
            faulty.next_write(fault);
            let reset = json!({"type": "reset", "id": "a", "run_id": run_id, "event": 3, "request_id": "x"});
            world.send(&reset.to_string());
            turn_all(&world.orchestrator(&ports));
            // Another process, when the message comes again.
            for _ in 0..3 {
                world.clock.advance(MINUTE);
                turn_all(&world.orchestrator(&ports));
            }
            assert_eq!(
                world.events("a"),
                ["RunStarted", "ActivityScheduled", "ActivityCompleted", "ActivityScheduled"],
                "{fault:?} at {at}"
            );
            let id = "a".parse().unwrap();
            let first = Some(run_id.parse().unwrap());
            let closed = futures::executor::block_on(world.client().head(&id, first)).unwrap();
            assert_eq!(closed.header.status, Status::Terminated, "{fault:?} at {at}");
            for _ in 0..3 {
                world.work(&ports);
                turn_all(&world.orchestrator(&ports));
            }
            assert_eq!(world.status("a"), "completed", "{fault:?} at {at}");
            assert_eq!(world.dead("inbox"), [], "{fault:?} at {at}");
        }
    }
}

#[test]
fn g4_a_start_between_the_commits_of_a_reset_is_replaced_and_not_reset_to_its_own_events() {
    let world = World::new();
    let (faulty, ports) = Faulty::wrap(&world.ports);
    let run_id = chain(&world, &world.orchestrator(&ports));
    faulty.next_write(Write::Through);
    faulty.next_write(Write::Down);
    let reset = json!({"type": "reset", "id": "a", "run_id": run_id, "event": 3, "request_id": "x"});
    world.send(&reset.to_string());
    turn_all(&world.orchestrator(&ports));
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":9,"request_id":"other"}"#);
    turn_all(&world.orchestrator(&ports));
    assert_eq!(world.events("a"), ["RunStarted", "ActivityScheduled"]);
    for _ in 0..3 {
        world.clock.advance(MINUTE);
        turn_all(&world.orchestrator(&ports));
    }
    let (_, events) =
        futures::executor::block_on(world.client().history(&"a".parse().unwrap(), None)).unwrap();
    let EventKind::RunStarted(started) = &events[0].kind else { panic!() };
    assert_eq!(started.forked_from.as_ref().unwrap().run_id.to_string(), run_id);
    assert_eq!(started.input.read::<u64>().unwrap(), 3);
}
