//! Fan-in: many completions of one run, one orchestrator or many (§3 Conflicts, §11, G3, G12).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::EventKind;
use millrace_engine::ports::{CallCounts, Counting};
use serde_json::json;
use stage::{Gate, HOUR, MINUTE, Stage};

const CALLS: u64 = 1_000;

/// A run whose thousand outcomes are all waiting when the orchestrators begin; what the orchestrators then called.
fn fan_in(orchestrators: usize, latency: Duration, seed: u64) -> (Stage, CallCounts) {
    let stage = Stage::new(seed);
    stage.activity("step", |attempt, _| async move { Ok(attempt.task().input.clone()) });
    let first = stage.orchestrator("first");
    stage.start("fan", json!({"activity": "step", "n": CALLS}));
    let events = millrace_engine::ports::QueueName::events();
    stage.until(|| stage.memory.all_messages().values().sum::<usize>() >= CALLS as usize, MINUTE);
    first.kill();
    let _worker = stage.worker("worker");
    stage.until(|| stage.memory.messages_in(&events) == CALLS as usize, HOUR);
    let counted: Vec<Arc<Counting>> = (0..orchestrators)
        .map(|n| {
            let mut counting = None;
            stage.orchestrator_with(&format!("o{n}"), |_, ports| {
                let (counter, ports) = Counting::wrap(&Gate::slow(&ports, latency).1);
                counting = Some(counter);
                ports
            });
            counting.unwrap()
        })
        .collect();
    let begin = stage.sim.clock().now();
    stage.result("fan", HOUR);
    let took = stage.sim.clock().now().since(begin);
    stage.comes_to_rest(HOUR);
    let all = counted.iter().map(|c| c.counts());
    let sum = all.fold(CallCounts::default(), |mut sum, one| {
        sum.puts += one.puts;
        sum.puts_failed += one.puts_failed;
        sum.gets += one.gets;
        sum.visibility_changes += one.visibility_changes;
        sum.messages_received += one.messages_received;
        sum.sends += one.sends;
        sum.messages_sent += one.messages_sent;
        sum.queue_deletes += one.queue_deletes;
        sum
    });
    let per = |n: u64| n as f64 / CALLS as f64;
    println!(
        "{orchestrators} orchestrators, store {latency:?} each way, seed {seed}: {:.3} PUT per completion ({:.3} of them failed), {:.2} GET, {:.2} receives, {:.2} visibility changes, {took:?} virtual",
        per(sum.puts),
        per(sum.puts_failed),
        per(sum.gets),
        per(sum.messages_received),
        per(sum.visibility_changes),
    );
    (stage, sum)
}

fn check(stage: &Stage) {
    let (_, events) = stage.history("fan");
    let done = events.iter().filter(|e| matches!(e, EventKind::ActivityCompleted(_))).count();
    let blocked = events.iter().filter(|e| matches!(e, EventKind::RunBlocked(_))).count();
    assert_eq!((done as u64, blocked), (CALLS, 0), "nothing lost, nobody suspected");
    assert!(stage.dead(&millrace_engine::ports::QueueName::events()).is_empty());
}

#[test]
fn g3_one_orchestrator_absorbs_a_fan_in_with_a_quarter_put_per_completion() {
    let (stage, used) = fan_in(1, Duration::from_millis(15), 1);
    check(&stage);
    assert!(used.puts as f64 <= 0.25 * CALLS as f64, "{used:?}");
}

#[test]
fn g3_sixteen_orchestrators_racing_on_one_run_lose_nothing_and_pay_one_put_per_completion_at_most() {
    let (stage, used) = fan_in(16, Duration::from_millis(5), 1);
    check(&stage);
    assert!(used.puts as f64 <= CALLS as f64, "{used:?}");
}
