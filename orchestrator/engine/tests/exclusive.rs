//! Exclusive activities: at most one attempt holds the lease, and its epoch fences off the others (G11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_conformance::{Fault, Faults, Faulty, Injector};
use millrace_core::Payload;
use millrace_engine::Attempt;
use millrace_engine::ports::{QueueName, Queues};
use serde_json::json;
use stage::{DAY, HOUR, MINUTE, SECOND, Stage, boom, cpu, pause, payload};

fn tasks() -> QueueName {
    QueueName::task(&cpu())
}

/// A resource that checks its fencing token, as the thing behind an exclusive activity should.
#[derive(Default)]
struct Resource {
    highest: u64,
    refused: u64,
    /// Per epoch: how often somebody used it.
    used: Vec<u64>,
}

/// `uses` takes so long and uses the resource every second with its epoch; the result is the epoch.
fn uses(stage: &Stage, seconds: u32) -> Arc<Mutex<Resource>> {
    let resource = Arc::new(Mutex::new(Resource::default()));
    let shared = resource.clone();
    stage.activity("uses", move |attempt, clock| {
        let resource = shared.clone();
        async move {
            for _ in 0..seconds {
                pause(&*clock, SECOND).await;
                let mut resource = resource.lock().unwrap();
                if attempt.epoch() < resource.highest {
                    resource.refused += 1;
                } else {
                    resource.highest = attempt.epoch();
                    resource.used.push(attempt.epoch());
                }
            }
            Ok(payload(json!(attempt.epoch())))
        }
    });
    resource
}

/// The task's body, as it is in the queue.
fn body(stage: &Stage) -> String {
    let (queues, queue) = (stage.memory.clone(), tasks());
    stage.block_on(async move {
        let taken = queues.receive(&queue, 1, SECOND, Duration::ZERO).await.unwrap();
        taken[0].body.clone()
    })
}

#[test]
fn g11_duplicates_wait_for_the_holder_and_send_its_stored_outcome() {
    let stage = Stage::running(1);
    let resource = uses(&stage, 200);
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.pass(SECOND);
    let body = body(&stage);
    let _workers: Vec<_> = (0..3).map(|n| stage.worker(&format!("w{n}"))).collect();
    for _ in 0..5 {
        stage.send_to(&tasks(), body.clone());
    }
    assert_eq!(stage.result("a", HOUR), json!(1));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.attempts(), [1]);
    let resource = resource.lock().unwrap();
    assert_eq!((resource.used.len(), resource.refused), (200, 0));
}

#[test]
fn g11_a_killed_holder_is_followed_by_one_with_a_higher_epoch() {
    let stage = Stage::running(2);
    let resource = uses(&stage, 100);
    let first = stage.worker("w1");
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, MINUTE);
    stage.pass(50 * SECOND);
    let killed = stage.sim.clock().now();
    first.process.kill();
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(2));
    let wait = stage.ran()[1].at.since(killed);
    assert!(wait >= 30 * SECOND && wait <= 2 * MINUTE, "not before the lease has lapsed: {wait:?}");
    let resource = resource.lock().unwrap();
    assert_eq!((resource.highest, resource.refused), (2, 0));
}

#[test]
fn g11_a_frozen_holder_s_late_outcome_is_refused_and_its_code_is_fenced_off() {
    let stage = Stage::running(3);
    let resource = uses(&stage, 300);
    let first = stage.worker("w1");
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, MINUTE);
    stage.pass(30 * SECOND);
    first.gate.freeze(2 * MINUTE);
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(2), "the second holder's outcome");
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.ran().iter().map(|ran| ran.epoch).collect::<Vec<_>>(), [1, 2]);
    let lease = stage.lease("a").unwrap();
    assert_eq!(
        (lease.epoch, lease.outcome.unwrap().result),
        (2, millrace_core::OutcomeResult::Completed(payload(json!(2))))
    );
    let used = &resource.lock().unwrap().used;
    assert!(used.is_sorted(), "after the second nobody with the first epoch: {used:?}");
}

#[test]
fn g11_a_holder_that_freezes_at_its_last_write_finds_the_lease_gone() {
    let stage = Stage::running(4);
    let resource = uses(&stage, 15); // Ends before the first renewal, so the next write is the outcome's.
    let first = stage.worker("w1");
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, MINUTE);
    first.gate.freeze_before("put", 10 * MINUTE);
    stage.pass(20 * SECOND);
    let second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(2));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.ran().len(), 2);
    assert_eq!(stage.events("a").iter().filter(|name| *name == "ActivityCompleted").count(), 1);
    drop(second);
    assert_eq!(resource.lock().unwrap().used.len(), 30);
}

#[test]
fn g11_an_outcome_stored_by_a_worker_that_died_is_sent_by_the_next_claimant() {
    let stage = Stage::running(5);
    let _resource = uses(&stage, 15);
    let first = stage.worker("w1");
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, MINUTE);
    first.gate.freeze_before("send", DAY); // stored, not sent
    stage.pass(30 * SECOND);
    assert!(stage.lease("a").unwrap().outcome.is_some());
    first.process.kill();
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(1), "the first holder's outcome, from the second");
    assert_eq!(stage.ran().len(), 1, "it ran once");
}

#[test]
fn g11_a_stored_outcome_counts_for_the_attempt_that_the_log_waits_for() {
    let stage = Stage::running(6);
    let _resource = uses(&stage, 15);
    let first = stage.worker("w1");
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, MINUTE);
    first.gate.freeze_before("send", DAY);
    stage.pass(30 * SECOND);
    first.process.kill();
    // Meanwhile the log was told that attempt 1 vanished: attempt 2 finds the outcome of attempt 1.
    let run_id = stage.history("a").0.header.run_id.to_string();
    let vanished = json!({"type": "outcome", "v": 1, "workflow_id": "a", "run_id": run_id, "activity_id": 1, "attempt": 1, "receive_count": 1,
        "result": {"failed": {"application": {"type": "WorkerVanished", "message": "x"}}}});
    stage.send_to(&QueueName::events(), vanished.to_string());
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(1));
    assert_eq!(stage.ran().len(), 1);
    assert_eq!(stage.failed_attempts("a").len(), 1);
}

#[test]
fn g11_lease_writes_that_are_refused_or_not_answered_neither_lose_nor_double_the_activity() {
    for (fault, rate) in [
        (Fault::PutConflict, 3_000),
        (Fault::PutReplyLost, 3_000),
        (Fault::PutReplyLost, 6_000),
        (Fault::PutLost, 3_000),
        (Fault::PutBusy, 5_000),
        (Fault::Unavailable, 1_500),
    ] {
        for seed in 0..6 {
            let stage = Stage::running(seed);
            let resource = uses(&stage, 100);
            let faults = Faults::none().with(fault, rate).seeded(seed);
            let injector = Injector::new(faults);
            let _workers: Vec<_> = (0..2)
                .map(|n| {
                    let injector = injector.clone();
                    stage.worker_with(
                        &format!("w{n}"),
                        |config| config,
                        move |_, ports| Faulty::wrap(&ports, injector, || ()),
                    )
                })
                .collect();
            stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
            let result = stage.result("a", DAY);
            stage.comes_to_rest(DAY);
            let resource = resource.lock().unwrap();
            assert_eq!(resource.refused, 0, "{fault:?} {seed}: two at a time");
            assert!(resource.used.is_sorted(), "{fault:?} {seed}: {:?}", resource.used);
            assert!(result.as_u64().unwrap() <= resource.highest);
        }
    }
}

#[test]
fn g11_a_claim_whose_reply_is_lost_is_a_claim() {
    let stage = Stage::running(7);
    let _resource = uses(&stage, 10);
    let injector = Injector::new(Faults::none().with(Fault::PutReplyLost, 10_000));
    let calm = injector.clone();
    let _worker =
        stage.worker_with("w", |config| config, move |_, ports| Faulty::wrap(&ports, injector, || ()));
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    stage.until_ran(1, 5 * SECOND);
    calm.set_calm(true);
    assert_eq!(stage.result("a", 20 * SECOND), json!(1));
}

#[test]
fn g11_a_claim_that_was_long_in_coming_is_made_again_before_the_code_begins() {
    let stage = Stage::running(8);
    let resource = uses(&stage, 90);
    let worker = stage.worker("w1");
    worker.gate.freeze_before("put", 50 * SECOND); // Its lease of a minute would lapse before its first beat.
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    assert_eq!(stage.result("a", HOUR), json!(2));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.ran().iter().map(|ran| ran.epoch).collect::<Vec<_>>(), [2]);
    assert_eq!(resource.lock().unwrap().refused, 0);
}

/// `ends` ends in this way, and nobody hears of it from the worker that ran it; then another gets a copy of its task.
fn ends_unheard(
    seed: u64,
    call: &'static str,
    end: fn(&dyn Attempt) -> Result<Payload, millrace_core::Fault>,
) -> Stage {
    let stage = Stage::running(seed);
    stage.activity("ends", move |attempt, clock| async move {
        pause(&*clock, SECOND).await;
        end(&*attempt)
    });
    let first = stage.worker("w1");
    let retry = json!({"maximum_attempts": 1});
    stage.call("a", "ends", json!({"exclusive": true, "completes_later": true, "retry": retry}));
    stage.until_ran(1, MINUTE);
    first.gate.freeze_before(call, DAY);
    stage.pass(2 * SECOND);
    let second = stage.worker("w2");
    stage.pass(10 * MINUTE);
    std::mem::forget((first, second)); // Dropping them would ask them to stop.
    stage
}

#[test]
fn g11_what_runs_at_most_once_is_not_begun_again_after_it_failed() {
    let stage = ends_unheard(10, "send", |_| Err(boom("the line is dead")));
    assert_eq!(stage.fault("a", MINUTE), boom("the line is dead"), "its stored outcome is told");
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn g11_what_somebody_else_completes_is_not_begun_again_by_a_copy_of_its_task() {
    let stage = ends_unheard(11, "delete", |attempt| {
        assert!(attempt.leave());
        Ok(Payload::null())
    });
    assert_eq!(stage.attempts(), [1]);
    assert_eq!(stage.memory.messages_in(&tasks()), 0, "the copy is done with");
    assert!(stage.history("a").0.header.status.is_open(), "and the run waits");
}

#[test]
fn g11_the_code_begins_only_when_a_crash_cannot_take_its_claim_back() {
    let stage = Stage::running(9);
    let _resource = uses(&stage, 1);
    let worker = stage.worker("w1");
    worker.gate.freeze_before("settle", 10 * SECOND);
    let began = stage.sim.clock().now();
    stage.start("a", json!({"activity": "uses", "options": {"exclusive": true}}));
    assert_eq!(stage.result("a", HOUR), json!(1));
    let waited = stage.ran()[0].at.since(began);
    assert!(waited >= 10 * SECOND, "{waited:?}");
}
