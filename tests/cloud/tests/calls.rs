//! What a step costs on the emulator's S3 and SQS: calls counted by the engine's own port wrapper (DESIGN §11).
//!
//! Prints one line for each workload, `FIGURE` and JSON:
//! `cargo test -p millrace-cloud-tests --test calls -- --nocapture --test-threads 1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_cloud_tests::foreign::Depth;
use millrace_cloud_tests::in_process::{Site, never, orchestrator, turn_all, worker};
use millrace_cloud_tests::poll::Watch;
use millrace_cloud_tests::{Deadline, History};
use millrace_engine::ports::{CallCounts, Counting, QueueName};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const FAN: u64 = 1_000;
/// What the ports of one orchestrator wait for a first message.
const POLL: Duration = Duration::from_secs(1);

fn figure(workload: &str, figures: Value) {
    println!("FIGURE {}", json!({ "workload": workload, "figures": figures }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g12_a_warm_step_is_one_put_no_get_and_two_messages() {
    let Some(site) = Site::new().await else { return };
    let (counting, ports) = Counting::wrap(&site.real_ports());
    let orchestrator = orchestrator(ports.clone(), Duration::ZERO);
    let worker = worker(ports, Duration::ZERO);
    site.start("Chain", "chain", &json!(30));
    turn_all(&orchestrator).await;
    let step = async || {
        worker.drain(never()).await;
        turn_all(&orchestrator).await;
    };
    for _ in 0..5 {
        step().await;
    }
    let before = counting.counts();
    for _ in 0..20 {
        step().await;
    }
    let used = counting.counts() - before;
    let objects = (used.puts, used.puts_failed, used.gets, used.lists, used.deletes);
    assert_eq!(objects, (20, 0, 0, 0, 0), "{used:?}");
    assert_eq!((used.sends, used.messages_sent), (40, 40), "a task and an outcome for each step: {used:?}");
    assert_eq!((used.receives, used.messages_received), (40, 40), "{used:?}");
    assert_eq!((used.queue_deletes, used.messages_deleted), (40, 40), "{used:?}");
    assert_eq!(used.visibility_changes, 0, "{used:?}");
    for _ in 0..5 {
        step().await;
    }
    let history = site.history("chain");
    history.check();
    assert_eq!(history.result(), &json!(465));
    let each = |n: u64| n as f64 / 20.0;
    figure(
        "chain of 30, warm, per step",
        json!({
            "put": each(used.puts), "get": each(used.gets), "send": each(used.sends),
            "receive": each(used.receives), "delete": each(used.queue_deletes),
        }),
    );
}

/// A run whose thousand outcomes wait when the orchestrators begin; what these then called.
async fn fan_in(orchestrators: usize) -> Option<(History, CallCounts)> {
    let site = Site::new().await?;
    let ports = site.real_ports();
    site.start("FanOut", "fan", &json!(FAN));
    let first = orchestrator(ports.clone(), POLL);
    assert_eq!(first.poll(&QueueName::inbox()).await, Ok(1));
    worker(ports, Duration::ZERO).drain(never()).await;
    let events = site.queue("events");
    assert_eq!(site.foreign.depth(&events), Depth { visible: FAN, ..Depth::default() });

    let (watch, done) = (Watch::start(), Arc::new(AtomicBool::new(false)));
    let (mut counted, mut running) = (Vec::new(), JoinSet::new());
    for _ in 0..orchestrators {
        let (counting, ports) = Counting::wrap(&site.real_ports());
        counted.push(counting);
        let (orchestrator, done) = (orchestrator(ports, POLL), done.clone());
        running.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                orchestrator.poll(&QueueName::events()).await.unwrap();
            }
        });
    }
    let deadline = Deadline::in_secs(300);
    while site.foreign.depth(&events) != Depth::default() {
        deadline.pause(|| format!("events are left: {:?}", site.foreign.depth(&events)));
    }
    done.store(true, Ordering::Relaxed);
    let took = watch.elapsed();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    let used = counted.iter().fold(CallCounts::default(), |sum, one| plus(sum, one.counts()));
    let each = |n: u64| n as f64 / FAN as f64;
    figure(
        &format!("fan-in of 1,000, {orchestrators} orchestrators, per completion"),
        json!({
            "put": each(used.puts), "put_failed": each(used.puts_failed), "get": each(used.gets),
            "received": each(used.messages_received), "sent": each(used.messages_sent),
            "visibility": each(used.visibility_changes), "seconds": took.as_secs_f64(),
        }),
    );
    let history = site.history("fan");
    history.check();
    assert_eq!(history.completed() as u64, FAN, "nothing is lost");
    assert_eq!(history.result(), &json!(FAN * (FAN + 1) / 2));
    assert!(history.of("RunBlocked").is_empty(), "nobody is suspected");
    assert_eq!(site.foreign.depth(&site.queue("events-dead")), Depth::default());
    Some((history, used))
}

fn plus(mut sum: CallCounts, one: CallCounts) -> CallCounts {
    sum.puts += one.puts;
    sum.puts_failed += one.puts_failed;
    sum.gets += one.gets;
    sum.messages_received += one.messages_received;
    sum.messages_sent += one.messages_sent;
    sum.visibility_changes += one.visibility_changes;
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_one_orchestrator_absorbs_a_fan_in_with_a_quarter_put_per_completion() {
    let Some((_, used)) = fan_in(1).await else { return };
    assert!(used.puts * 4 <= FAN, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_sixteen_orchestrators_racing_on_one_run_lose_nothing_and_pay_one_put_per_completion_at_most() {
    let Some((_, used)) = fan_in(16).await else { return };
    assert!(used.puts <= FAN, "failed ones included: {used:?}");
}
