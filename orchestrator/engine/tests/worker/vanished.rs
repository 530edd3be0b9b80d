//! Workers that vanish: which attempts that uses up, and when a task is given up (G10, G11).

use std::sync::Arc;

use millrace_core::{EventKind, Payload};
use millrace_engine::WorkerConfig;
use millrace_local::QueueConfig;
use serde_json::json;

use super::stage::{HOUR, MINUTE, SECOND, Stage, boom, pause, payload};
use super::tasks;

#[test]
fn g11_a_vanished_worker_s_attempt_is_delivered_again_and_counts_as_used() {
    let stage = Stage::running(13);
    stage.activity("fails", |attempt, clock| async move {
        pause(&*clock, 10 * SECOND).await;
        if attempt.task().attempt == 1 { Err(boom("no")) } else { Ok(payload(json!(attempt.task().attempt))) }
    });
    for n in 1..=2 {
        let worker = stage.worker(&format!("w{n}"));
        if n == 1 {
            stage.call("a", "fails", json!({}));
        }
        stage.until_ran(n, 5 * MINUTE);
        worker.process.kill();
    }
    let _third = stage.worker("w3");
    assert_eq!(stage.result("a", HOUR), json!(4));
    assert_eq!(stage.attempts(), [1, 1, 1, 4], "the same attempt for each worker that vanished");
    assert_eq!(stage.failed_attempts("a"), [(1, 4, boom("no"))], "two vanished, one failed");
}

#[test]
fn g11_vanished_workers_use_up_the_attempts_of_a_leased_activity_too() {
    let stage = Stage::running(14);
    stage.activity("fails", |attempt, clock| async move {
        pause(&*clock, 28 * SECOND).await;
        attempt.heartbeat(Payload::default())?;
        Err(boom("no"))
    });
    for n in 1..=2 {
        let worker = stage.worker(&format!("w{n}"));
        if n == 1 {
            stage.call("a", "fails", json!({"heartbeat_ms": 30_000, "retry": {"maximum_attempts": 3}}));
        }
        stage.until_ran(n, 5 * MINUTE);
        stage.pass(25 * SECOND); // The lease has been renewed, so it outlives the task's visibility.
        worker.process.kill();
    }
    let _third = stage.worker("w3");
    assert_eq!(stage.fault("a", HOUR), boom("no"));
    assert_eq!(stage.attempts(), [1, 1, 1]);
    let failed = |kind: &EventKind| matches!(kind, EventKind::ActivityFailed(e) if e.failure.attempts == 3);
    assert!(stage.history("a").1.iter().any(failed), "two vanished, one failed");
}

/// `poison` kills the worker that runs its first attempt; a new worker comes after each, until `n` attempts have begun.
fn poisoned(stage: &Stage, options: serde_json::Value, n: usize) {
    let kill = Arc::new(std::sync::Mutex::new(None::<millrace_conformance::Process>));
    let victim = kill.clone();
    stage.activity("poison", move |attempt, clock| {
        let victim = victim.clone();
        async move {
            if attempt.task().attempt == 1 {
                let process = victim.lock().unwrap().clone();
                clock.sleep_until(clock.now().plus(SECOND)).await;
                process.unwrap().kill();
                futures::future::pending::<()>().await;
            }
            Ok(payload(json!(attempt.task().attempt)))
        }
    });
    stage.call("a", "poison", options);
    for n in 1..=n {
        let most_vanished = 3;
        let worker = stage.worker_with(
            &format!("w{n}"),
            |config| WorkerConfig { most_vanished, ..config },
            |_, ports| ports,
        );
        *kill.lock().unwrap() = Some(worker.process.clone());
        stage.until_ran(n, 20 * MINUTE);
        stage.pass(2 * SECOND);
        std::mem::forget(worker); // dropping it would ask it to stop
    }
}

/// A world whose tasks are dead letters after three receives.
fn three_receives(seed: u64, told: u32) -> Stage {
    let mut stage = Stage::new(seed);
    stage.max_receive = told;
    stage.memory.configure(&tasks(), QueueConfig { max_receive: 3 });
    stage.orchestrator("orchestrator");
    stage.ticker("ticker");
    stage
}

#[test]
fn g10_a_task_that_keeps_killing_its_workers_is_reported_as_vanished() {
    // The consumer knows how many receives it took, or it does not.
    for (told, next) in [(3, 4), (1, 2)] {
        let stage = three_receives(21, told);
        poisoned(&stage, json!({}), 4);
        assert_eq!(stage.result("a", HOUR), json!(next));
        assert_eq!(stage.attempts(), [1, 1, 1, next]);
        let failed = stage.failed_attempts("a");
        assert!(failed[0].2.is("WorkerVanished"), "{failed:?}");
        assert_eq!(
            failed[0].2.to_string(),
            "WorkerVanished: attempt 1 vanished with its workers: received 3 times"
        );
        assert_eq!(stage.memory.messages_in(&tasks().dead_letters()), 0);
    }
}

#[test]
fn g10_each_worker_that_vanished_uses_up_an_attempt_whoever_reports_it() {
    for options in [json!({}), json!({"heartbeat_ms": 30_000}), json!({"exclusive": true})] {
        let stage = three_receives(25, 3);
        let mut limited = options.clone();
        limited["retry"] = json!({"maximum_attempts": 3});
        poisoned(&stage, limited, 3);
        let _last =
            stage.worker_with("w4", |config| WorkerConfig { most_vanished: 3, ..config }, |_, ports| ports);
        assert!(stage.fault("a", HOUR).is("WorkerVanished"), "{options}");
        assert_eq!(stage.attempts(), [1, 1, 1], "{options}: three attempts, as the policy says");
        let failed =
            |kind: &EventKind| matches!(kind, EventKind::ActivityFailed(e) if e.failure.attempts == 3);
        assert!(stage.history("a").1.iter().any(failed), "{options}");
    }
}

#[test]
fn g11_an_exclusive_activity_of_one_attempt_does_not_follow_a_worker_that_vanished() {
    let stage = Stage::running(27);
    poisoned(&stage, json!({"exclusive": true, "retry": {"maximum_attempts": 1}}), 1);
    let _next = stage.worker("w2");
    let fault = stage.fault("a", HOUR);
    assert_eq!(
        fault.to_string(),
        "WorkerVanished: attempt 1 vanished with its workers: its worker vanished, and it runs at most once"
    );
    assert_eq!(stage.attempts(), [1], "it runs at most once");
    stage.comes_to_rest(HOUR);
}

#[test]
fn g10_a_leased_task_that_kills_every_worker_is_reported_instead_of_killing_another() {
    for options in [json!({"heartbeat_ms": 30_000}), json!({"exclusive": true})] {
        let stage = Stage::running(26); // its queue would take a hundred receives
        poisoned(&stage, options.clone(), 4);
        assert_eq!(stage.result("a", HOUR), json!(4), "{options}");
        assert_eq!(stage.attempts(), [1, 1, 1, 4], "{options}: and the next attempt runs");
        let [(1, 4, fault)] = &stage.failed_attempts("a")[..] else { panic!("{options}") };
        assert_eq!(
            fault.to_string(),
            "WorkerVanished: attempt 1 vanished with its workers: its lease was taken 3 times without an end"
        );
        stage.comes_to_rest(HOUR);
    }
}
