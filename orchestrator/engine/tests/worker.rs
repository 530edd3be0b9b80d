//! The worker (§6): time limits, heartbeats, cancellation, vanished workers, tasks that cannot run (G6, G7, G10, G11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;
#[path = "worker/vanished.rs"]
mod vanished;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millrace_core::{Fault, Payload, TimeoutKind};
use millrace_engine::WorkerConfig;
use millrace_engine::ports::{Counting, QueueName};
use serde_json::json;
use stage::{DAY, HOUR, MINUTE, SECOND, Stage, boom, cpu, pause, payload};

fn tasks() -> QueueName {
    QueueName::task(&cpu())
}

fn timeout(kind: TimeoutKind) -> Fault {
    Fault::TimedOut { kind, cause: None }
}

/// `slow` takes so long, and returns its attempt's number.
fn slow(stage: &Stage, time: Duration) {
    stage.activity("slow", move |attempt, clock| async move {
        pause(&*clock, time).await;
        Ok(payload(json!(attempt.task().attempt)))
    });
}

/// `beats` beats every five seconds, as often as said, with the count as its details; begins where the last stopped.
fn beats(stage: &Stage, until: u32) {
    stage.activity("beats", move |attempt, clock| async move {
        let mut n: u32 = attempt.progress().map_or(0, |progress| progress.read().unwrap());
        while n < until {
            pause(&*clock, 5 * SECOND).await;
            n += 1;
            attempt.heartbeat(Payload::of(&n).unwrap())?;
        }
        Ok(payload(json!(n)))
    });
}

#[test]
fn start_to_close_stops_the_attempt_and_the_next_one_runs() {
    let stage = Stage::running(1);
    let ended = Arc::new(AtomicU32::new(0));
    let seen = ended.clone();
    stage.activity("late", move |attempt, clock| {
        let seen = seen.clone();
        async move {
            let n = attempt.task().attempt;
            pause(&*clock, if n == 1 { HOUR } else { SECOND }).await;
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(payload(json!(n)))
        }
    });
    let _worker = stage.worker("w");
    stage.call("a", "late", json!({"start_to_close_ms": 30_000}));
    assert_eq!(stage.result("a", 10 * MINUTE), json!(2));
    assert_eq!(stage.failed_attempts("a"), [(1, 2, timeout(TimeoutKind::StartToClose))]);
    let gap = stage.ran()[1].at.since(stage.ran()[0].at);
    assert!(gap >= 30 * SECOND && gap <= 32 * SECOND, "{gap:?}");
    stage.pass(2 * HOUR);
    assert_eq!(ended.load(Ordering::SeqCst), 1, "the first attempt was stopped, not left running");
}

#[test]
fn a_silent_attempt_is_stopped_by_its_heartbeat_limit_and_retried_with_its_details() {
    let stage = Stage::running(2);
    stage.activity("silent", |attempt, clock| async move {
        if attempt.task().attempt == 1 {
            attempt.heartbeat(payload(json!("half way")))?;
            pause(&*clock, HOUR).await;
        }
        Ok(attempt.progress().unwrap_or_default())
    });
    let _worker = stage.worker("w");
    stage.call("a", "silent", json!({"heartbeat_ms": 20_000}));
    assert_eq!(stage.result("a", 10 * MINUTE), json!("half way"));
    assert_eq!(stage.failed_attempts("a"), [(1, 2, timeout(TimeoutKind::Heartbeat))]);
    let gap = stage.ran()[1].at.since(stage.ran()[0].at);
    assert!(gap >= 20 * SECOND && gap <= 23 * SECOND, "{gap:?}");
}

#[test]
fn a_beating_attempt_may_take_longer_than_its_heartbeat_limit() {
    let stage = Stage::running(3);
    beats(&stage, 100);
    let _worker = stage.worker("w");
    stage.call("a", "beats", json!({"heartbeat_ms": 20_000}));
    assert_eq!(stage.result("a", HOUR), json!(100));
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn schedule_to_start_is_reported_at_receive_and_is_final() {
    let stage = Stage::running(4);
    slow(&stage, SECOND);
    stage.call("a", "slow", json!({"schedule_to_start_ms": 60_000}));
    stage.pass(2 * MINUTE);
    assert_eq!(stage.history("a").0.header.status.to_string(), "running", "nobody could tell");
    let _worker = stage.worker("w");
    assert_eq!(stage.fault("a", MINUTE), timeout(TimeoutKind::ScheduleToStart));
    assert!(stage.ran().is_empty());
}

#[test]
fn schedule_to_start_counts_the_wait_for_a_worker_not_the_time_after_one_took_it() {
    let stage = Stage::running(5);
    slow(&stage, 10 * MINUTE);
    let options = json!({"schedule_to_start_ms": 60_000});
    // A worker vanishes, and the task comes again when its visibility lapses.
    let first = stage.worker("w1");
    stage.call("a", "slow", options.clone());
    stage.until_ran(1, MINUTE);
    stage.pass(5 * MINUTE);
    first.process.kill();
    let mut second = stage.worker("w2");
    stage.until_ran(2, 5 * MINUTE);
    // A worker stops after five minutes and gives the task back.
    stage.pass(5 * MINUTE);
    second.stop();
    let _third = stage.worker("w3");
    assert_eq!(stage.result("a", HOUR), json!(1));
    assert_eq!(stage.attempts(), [1, 1, 1]);
}

#[test]
fn schedule_to_close_ends_the_activity_with_no_worker_alive() {
    let stage = Stage::running(6);
    let began = stage.sim.clock().now();
    stage.call("a", "slow", json!({"schedule_to_close_ms": 7_200_000}));
    assert_eq!(stage.fault("a", 3 * HOUR), timeout(TimeoutKind::ScheduleToClose));
    let took = stage.sim.clock().now().since(began);
    assert!(took >= 2 * HOUR && took <= 2 * HOUR + 10 * SECOND, "{took:?}");
    // The task is still there; whoever takes it learns that it is too late, and that changes nothing.
    slow(&stage, SECOND);
    let _worker = stage.worker("w");
    stage.comes_to_rest(HOUR);
    assert!(stage.ran().is_empty());
    assert_eq!(stage.events("a"), ["RunStarted", "ActivityScheduled", "ActivityFailed", "RunFailed"]);
}

#[test]
fn heartbeat_details_reach_the_attempt_after_a_failure() {
    let stage = Stage::running(7);
    stage.activity("fails", |attempt, _| async move {
        match attempt.progress() {
            None => {
                attempt.heartbeat(payload(json!({"done": 41})))?;
                Err(boom("at once: the lease had no time to be written"))
            }
            Some(progress) => Ok(progress),
        }
    });
    let _worker = stage.worker("w");
    stage.call("a", "fails", json!({"heartbeat_ms": 30_000}));
    assert_eq!(stage.result("a", MINUTE), json!({"done": 41}));
    assert_eq!(stage.attempts(), [1, 2]);
}

#[test]
fn heartbeat_details_reach_the_worker_that_takes_over_after_a_crash() {
    let stage = Stage::running(8);
    beats(&stage, 60);
    let first = stage.worker("w1");
    stage.call("a", "beats", json!({"heartbeat_ms": 30_000}));
    stage.until_ran(1, MINUTE);
    stage.pass(2 * MINUTE);
    first.process.kill();
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", HOUR), json!(60));
    let progress: u32 = stage.ran()[1].progress.as_ref().unwrap().read().unwrap();
    assert!((20..=24).contains(&progress), "{progress}");
    assert_eq!((stage.attempts(), stage.ran()[1].epoch), (vec![1, 1], 2));
}

/// A heartbeating attempt is told to stop within a lease's renewal; what told it is on record.
fn canceled_by(seed: u64, stop: impl FnOnce(&Stage)) -> (Stage, Option<Fault>) {
    let stage = Stage::running(seed);
    let told = Arc::new(std::sync::Mutex::new(None));
    let seen = told.clone();
    stage.activity("waits", move |attempt, clock| {
        let seen = seen.clone();
        async move {
            loop {
                pause(&*clock, 5 * SECOND).await;
                if let Err(fault) = attempt.heartbeat(Payload::default()) {
                    *seen.lock().unwrap() = Some(fault.clone());
                    return Err(fault);
                }
            }
        }
    });
    let _worker = stage.worker("w");
    stage.call("a", "waits", json!({"heartbeat_ms": 60_000, "start_to_close_ms": 36_000_000}));
    stage.until_ran(1, MINUTE);
    stage.pass(MINUTE);
    stop(&stage);
    stage.pass(MINUTE);
    let fault = told.lock().unwrap().clone();
    (stage, fault)
}

#[test]
fn a_dropped_call_stops_its_beating_attempt_and_the_workflow_goes_on() {
    let (stage, fault) = canceled_by(9, |stage| stage.signal("a", "drop"));
    assert_eq!(fault, Some(Fault::Canceled { reason: "the workflow no longer waits for it".into() }));
    stage.comes_to_rest(HOUR);
    stage.signal("a", "end");
    stage.end("a", MINUTE);
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn terminating_a_run_stops_its_beating_attempt() {
    let (stage, fault) = canceled_by(10, |stage| stage.send(json!({"type": "terminate", "id": "a"})));
    assert_eq!(fault, Some(Fault::Canceled { reason: "the run is terminated".into() }));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.attempts(), [1]);
}

#[test]
fn a_task_whose_call_was_dropped_before_a_worker_took_it_is_not_run() {
    let stage = Stage::running(11);
    beats(&stage, 3);
    stage.call("a", "beats", json!({"heartbeat_ms": 60_000}));
    stage.pass(SECOND);
    stage.signal("a", "drop");
    stage.pass(SECOND);
    let _worker = stage.worker("w");
    stage.comes_to_rest(HOUR);
    assert!(stage.ran().is_empty());
}

#[test]
fn visibility_is_extended_while_an_attempt_runs() {
    let stage = Stage::running(12);
    slow(&stage, 30 * MINUTE);
    let counting = Arc::new(std::sync::Mutex::new(None));
    let slot = counting.clone();
    let _worker = stage.worker_with(
        "w1",
        |config| config,
        move |_, ports| {
            let (counter, ports) = Counting::wrap(&ports);
            *slot.lock().unwrap() = Some(counter);
            ports
        },
    );
    let _idle = stage.worker("w2");
    let _other = stage.worker("w3");
    stage.call("a", "slow", json!({"start_to_close_ms": 3_600_000}));
    assert_eq!(stage.result("a", HOUR), json!(1));
    assert_eq!(stage.attempts(), [1], "no second delivery");
    let changes = stage.ran()[0].process == "w1";
    if changes {
        let counts = counting.lock().unwrap().as_ref().unwrap().counts();
        assert_eq!(counts.visibility_changes, 30 * 60 / 40 - 1, "every 40 s of 60");
    }
}

#[test]
fn an_unknown_activity_names_what_is_registered_and_is_tried_again() {
    let stage = Stage::running(18);
    slow(&stage, SECOND);
    let _worker = stage.worker("w");
    stage.call("a", "solw", json!({}));
    stage.pass(5 * SECOND);
    let failed = stage.failed_attempts("a");
    assert!(!failed.is_empty());
    assert_eq!(
        failed[0].2.to_string(),
        "UnknownActivity: no activity `solw` is registered at this worker (registered: slow)"
    );
    // A deploy brings it, and the run goes on.
    stage.activity("solw", |_, _| async { Ok(payload(json!("here"))) });
    assert_eq!(stage.result("a", HOUR), json!("here"));
}

#[test]
fn a_panic_fails_the_attempt_and_the_worker_lives() {
    let stage = Stage::running(19);
    stage.activity("late panic", |attempt, clock| async move {
        pause(&*clock, SECOND).await;
        assert!(attempt.task().attempt > 1, "the answer was 43");
        Ok(payload(json!(attempt.task().attempt)))
    });
    // Panics where its future is made, before anything of it runs.
    stage.activity("early panic", |attempt, _| {
        assert!(attempt.task().attempt > 1, "no future at all");
        async { Ok(payload(json!("ok"))) }
    });
    slow(&stage, 30 * SECOND);
    let worker = stage.worker("w");
    stage.call("beside", "slow", json!({}));
    stage.call("a", "late panic", json!({}));
    stage.call("b", "early panic", json!({}));
    assert_eq!(stage.result("a", HOUR), json!(2));
    assert_eq!(stage.result("b", HOUR), json!("ok"));
    for (id, text) in [("a", "the answer was 43"), ("b", "no future at all")] {
        let failed = stage.failed_attempts(id);
        assert!(failed[0].2.is("Panic"), "{failed:?}");
        assert!(failed[0].2.to_string().contains(text), "{failed:?}");
    }
    assert_eq!(stage.result("beside", HOUR), json!(1), "its neighbor was not touched");
    assert!(worker.process.is_alive() && !worker.has_ended());
}

#[test]
fn g10_a_task_that_is_none_is_dead_lettered_with_the_reason_and_stays_there() {
    let stage = Stage::running(20);
    slow(&stage, SECOND);
    let _worker = stage.worker("w");
    stage.send_to(&tasks(), "plain text".into());
    stage.send_to(&tasks(), json!({"v": 1, "workflow_id": "a"}).to_string());
    stage.call("a", "slow", json!({}));
    assert_eq!(stage.result("a", MINUTE), json!(1));
    stage.pass(3 * HOUR); // the consumer of dead letters has looked at them
    let dead = stage.memory.messages_in(&tasks().dead_letters());
    assert_eq!(dead, 2);
    stage.pass(HOUR);
    let mut reasons: Vec<String> = Vec::new();
    for _ in 0..7_200 {
        reasons.extend(stage.dead(&tasks()).into_iter().map(|(_, reason)| reason));
        if reasons.len() >= 2 {
            break;
        }
        stage.pass(SECOND);
    }
    assert!(reasons.iter().all(|reason| reason.starts_with("not a task: ")), "{reasons:?}");
}

#[test]
fn g6_a_redelivered_task_whose_outcome_is_in_the_log_is_deleted_without_running() {
    for options in [json!({}), json!({"heartbeat_ms": 60_000}), json!({"exclusive": true})] {
        let stage = Stage::running(22);
        stage.activity("once", |_, _| async { Ok(payload(json!("done"))) });
        let worker = stage.worker_with("w1", |config| WorkerConfig { slots: 1, ..config }, |_, ports| ports);
        // It reports, and dies before it deletes the task.
        worker.gate.freeze_before("delete", HOUR);
        stage.start("a", json!({"activity": "once", "n": 2, "options": options.clone()}));
        stage.until(|| stage.memory.messages_in(&tasks()) == 2 && stage.ran().len() == 1, MINUTE);
        stage.pass(10 * SECOND);
        worker.process.kill();
        let _second = stage.worker("w2");
        assert_eq!(stage.result("a", HOUR), json!("done"));
        stage.comes_to_rest(HOUR);
        assert_eq!(stage.attempts(), [1, 1], "{options}: each call ran once");
    }
}

#[test]
fn g6_duplicates_of_a_leased_task_wait_and_are_dropped_when_the_attempt_is_done() {
    for options in [
        json!({"heartbeat_ms": 60_000}),
        json!({"exclusive": true}),
        json!({"start_to_close_ms": DAY.as_millis() as u64}),
    ] {
        let stage = Stage::running(23);
        slow(&stage, 50 * SECOND);
        stage.call("a", "slow", options.clone());
        stage.pass(SECOND);
        let (queues, queue) = (stage.memory.clone(), tasks());
        let body = stage.block_on(async move {
            use millrace_engine::ports::Queues;
            let taken = queues.receive(&queue, 1, SECOND, Duration::ZERO).await.unwrap();
            taken[0].body.clone()
        });
        let _one = stage.worker("w1");
        let _two = stage.worker("w2");
        stage.until_ran(1, MINUTE);
        for _ in 0..3 {
            stage.send_to(&tasks(), body.clone());
        }
        assert_eq!(stage.result("a", HOUR), json!(1), "{options}");
        stage.comes_to_rest(HOUR);
        assert_eq!(stage.attempts(), [1], "{options}: a duplicate waits, and is then not needed");
    }
}

#[test]
fn g7_a_late_success_of_an_earlier_attempt_is_welcome() {
    let stage = Stage::running(24);
    stage.activity("slow", |attempt, clock| async move {
        pause(&*clock, if attempt.task().attempt == 1 { 2 * SECOND } else { HOUR }).await;
        Ok(payload(json!(attempt.task().attempt)))
    });
    let worker = stage.worker("w1");
    stage.call("a", "slow", json!({"start_to_close_ms": 7_200_000}));
    stage.until_ran(1, MINUTE);
    // The outcome is held back, while another says that the attempt has failed.
    worker.gate.freeze_before("send", 2 * MINUTE);
    let run_id = stage.history("a").0.header.run_id.to_string();
    stage.pass(5 * SECOND);
    let failure = json!({"type": "outcome", "v": 1, "workflow_id": "a", "run_id": run_id, "activity_id": 1, "attempt": 1, "receive_count": 1,
        "result": {"failed": {"application": {"type": "WorkerVanished", "message": "x"}}}});
    stage.send_to(&QueueName::events(), failure.to_string());
    let _second = stage.worker("w2");
    assert_eq!(stage.result("a", 10 * MINUTE), json!(1));
    assert_eq!(stage.attempts()[..2], [1, 2]);
    assert!(stage.failed_attempts("a").len() == 1);
}
