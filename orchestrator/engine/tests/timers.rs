//! Timers, near and far (§7): bucket keys, tickers, early arrivals (G1, G2, G4, G6).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::sync::Arc;
use std::time::Duration;

use millrace_conformance::{Fault, Faults, Faulty, Injector};
use millrace_core::{RunId, Timestamp, WorkflowId};
use millrace_engine::ports::{Condition, Counting, ObjectStore, QueueName};
use millrace_format::TimerEntry;
use serde_json::json;
use stage::{DAY, HOUR, MINUTE, SECOND, Stage, boom, keys, payload};

fn timer_keys(stage: &Stage) -> Vec<String> {
    let store = stage.memory.clone();
    stage.block_on(async move { store.list(&keys().timers(), None, None, 1_000).await }).unwrap()
}

/// Runs timers, and checks when they fired.
fn runs_timers(stage: &Stage, n: u64, each: Duration) {
    stage.start("t", json!({"timers": n, "timer_s": each.as_secs_f64()}));
    assert_eq!(stage.result("t", 50 * DAY), json!(n));
    let took = stage.took("t");
    let expected = each * u32::try_from(n).unwrap();
    assert!(took >= expected && took <= expected + 5 * SECOND, "{took:?} instead of {expected:?}");
    let fired = stage.events("t").iter().filter(|name| *name == "TimerFired").count();
    assert_eq!(fired as u64, n);
    stage.comes_to_rest(DAY);
    assert!(timer_keys(stage).is_empty(), "nothing is left behind");
}

#[test]
fn a_timer_of_up_to_fifteen_minutes_is_a_delayed_message() {
    let stage = Stage::new(1);
    stage.orchestrator("o"); // no ticker
    runs_timers(&stage, 3, 15 * MINUTE);
}

#[test]
fn a_timer_further_away_waits_in_its_bucket_and_fires_on_time() {
    let stage = Stage::running(2);
    stage.start("look", json!({"timers": 1, "timer_s": 901}));
    stage.pass(SECOND);
    let waiting = timer_keys(&stage);
    assert_eq!(waiting.len(), 1);
    let due = (stage.sim.clock().now().as_millis() / 1000 + 900) / 900;
    assert!(waiting[0].starts_with(&format!("default/timer/{due:010}/")), "{waiting:?}");
    stage.send(json!({"type": "terminate", "id": "look"}));
    runs_timers(&stage, 3, 100 * MINUTE);
}

#[test]
fn g2_a_run_of_forty_days() {
    runs_timers(&Stage::running(3), 2, 20 * DAY);
}

#[test]
fn g6_two_tickers_fire_each_timer_once() {
    let stage = Stage::running(4);
    stage.ticker("ticker-2");
    stage.ticker("ticker-3");
    runs_timers(&stage, 4, 40 * MINUTE);
}

#[test]
fn g6_a_tick_that_dies_between_send_and_delete_is_finished_by_the_next() {
    let stage = Stage::new(5);
    stage.orchestrator("o");
    // It dies after its first send, every time it gets there.
    let injector = Injector::new(Faults::none().with(Fault::CrashAfter, 4_000).seeded(5));
    let world = stage.clone();
    stage.sim.supervise("ticker", move |process| {
        let dying = process.clone();
        let ports = Faulty::wrap(&world.ports(&process), injector.clone(), move || dying.kill());
        let (ticker, clock) = (millrace_engine::Ticker::new(ports, keys()), world.sim.clock());
        process.spawn(async move {
            loop {
                let _ = ticker.tick().await;
                stage::pause(&*clock, MINUTE).await;
            }
        });
    });
    runs_timers(&stage, 5, 30 * MINUTE);
    let died = stage.sim.trace().iter().filter(|line| line.contains("is killed")).count();
    assert!(died > 5, "{died}");
}

#[test]
fn a_ticker_that_was_away_sends_what_is_overdue() {
    let stage = Stage::new(6);
    stage.orchestrator("o");
    stage.start("t", json!({"timers": 1, "timer_s": 3600}));
    stage.pass(5 * HOUR);
    assert_eq!(timer_keys(&stage).len(), 1);
    stage.ticker("t");
    assert_eq!(stage.result("t", MINUTE), json!(1));
}

/// Puts a timer's key, as dispatch does.
fn put_timer(stage: &Stage, name: &str, due: Timestamp) {
    let body =
        TimerEntry { v: 1, due, queue: "events".into(), message: payload(json!({"timer": name})) }.encode();
    let key = keys().timer(due, &WorkflowId::new(name).unwrap(), RunId::from_random(1), "1");
    let store = stage.memory.clone();
    stage.block_on(async move { store.put(&key, body.into(), Condition::Always).await }).unwrap();
}

#[test]
fn a_tick_lists_no_further_than_its_horizon_and_misses_nothing_that_is_overdue() {
    let stage = Stage::new(9);
    let start = stage.sim.clock().now();
    stage.pass(40 * DAY);
    let (counting, ports) = Counting::wrap(&stage.ports(&stage.sim.process("ticker")));
    let ticker = Arc::new(millrace_engine::Ticker::new(ports, keys()));
    let tick = || {
        let (before, ticker) = (counting.counts(), ticker.clone());
        let sent = stage.block_on(async move { ticker.tick().await }).unwrap();
        let used = counting.counts() - before;
        (sent, used.lists, used.gets, used.deletes)
    };
    let now = stage.sim.clock().now();
    for n in 0..5_000 {
        put_timer(&stage, &format!("far-{n}"), now.plus(DAY + n * 20 * MINUTE));
    }
    assert_eq!(tick(), (0, 1, 0, 0), "months of sleepers cost one LIST");
    for days in [1, 33, 39] {
        put_timer(&stage, "overdue", start.plus(days * DAY));
    }
    put_timer(&stage, "near", now.plus(14 * MINUTE));
    assert_eq!(tick(), (4, 1, 4, 4), "however old");
    for n in 0..1_500 {
        put_timer(&stage, &format!("same-{n}"), now.plus(10 * MINUTE));
    }
    assert_eq!(tick(), (1_500, 2, 1_500, 1_500));
    assert_eq!(tick(), (0, 1, 0, 0));
}

#[test]
fn g2_an_early_arrival_is_sent_again_with_the_rest_and_commits_nothing() {
    let stage = Stage::running(7);
    stage.start("t", json!({"timers": 1, "timer_s": 600}));
    stage.pass(MINUTE);
    let (head, events) = stage.history("t");
    let body = json!({"type": "timer", "v": 1, "workflow_id": "t", "run_id": head.header.run_id.to_string(), "timer_id": 1});
    stage.send_to(&QueueName::events(), body.to_string());
    stage.pass(MINUTE);
    let (later, same) = stage.history("t");
    assert_eq!((head.header.nonce, events), (later.header.nonce, same), "no commit");
    assert_eq!(stage.memory.messages_in(&QueueName::events()), 2, "the copy waits for its time, too");
    assert_eq!(stage.result("t", HOUR), json!(1));
    stage.comes_to_rest(HOUR);
    assert_eq!(stage.events("t").iter().filter(|name| *name == "TimerFired").count(), 1);
}

#[test]
fn a_retry_more_than_fifteen_minutes_away_is_a_key_in_the_bucket() {
    let stage = Stage::running(8);
    stage.activity("fails", |attempt, _| async move {
        if attempt.task().attempt == 1 { Err(boom("no")) } else { Ok(payload(json!("ok"))) }
    });
    let _worker = stage.worker("w");
    let options = json!({"schedule_to_start_ms": 60_000, "retry": {"initial_interval_ms": 7_200_000, "maximum_interval_ms": 7_200_000}});
    stage.call("a", "fails", options);
    stage.pass(MINUTE);
    assert_eq!(timer_keys(&stage).len(), 1);
    assert_eq!(stage.result("a", 3 * HOUR), json!("ok"));
    let gap = stage.ran()[1].at.since(stage.ran()[0].at);
    // The jitter takes up to a tenth off.
    assert!(gap >= 108 * MINUTE && gap <= 120 * MINUTE + SECOND, "{gap:?}");
}
