//! The daily sweep (§3): what queues have forgotten is sent again (G4, G6), what was left in the index is put right.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod stage;

use std::time::Duration;

use bytes::Bytes;
use millrace_core::Status;
use millrace_engine::ports::{Condition, Counting, ObjectStore, QueueName, Queues};
use millrace_engine::{ListFilter, SweepReport};
use millrace_format::IndexEntry;
use serde_json::json;
use stage::{DAY, HOUR, MINUTE, SECOND, Stage, cpu, keys, payload};

fn tasks() -> QueueName {
    QueueName::task(&cpu())
}

/// Everything that waits in a queue is gone.
fn forget(stage: &Stage, queue: QueueName) -> usize {
    let queues = stage.memory.clone();
    stage.block_on(async move {
        let queues: &dyn Queues = &*queues;
        let mut gone = 0;
        loop {
            let batch = queues.receive(&queue, 10, Duration::ZERO, MINUTE).await.unwrap();
            if batch.is_empty() {
                return gone;
            }
            gone += batch.len();
            queues.delete(&queue, &batch.into_iter().map(|d| d.receipt).collect::<Vec<_>>()).await.unwrap();
        }
    })
}

/// How many messages can be received: the queue drops those that are too old only then.
fn waiting(stage: &Stage, queue: QueueName) -> usize {
    let queues = stage.memory.clone();
    stage
        .block_on(async move { queues.receive(&queue, 10, Duration::ZERO, Duration::ZERO).await })
        .unwrap()
        .len()
}

fn steps(stage: &Stage) {
    stage.activity("step", |_, _| async { Ok(payload(json!("done"))) });
}

fn open_entries(stage: &Stage) -> Vec<String> {
    let store = stage.memory.clone();
    stage.block_on(async move { store.list("default/index/open/", None, None, 1_000).await }).unwrap()
}

#[test]
fn g4_a_forgotten_task_is_sent_again_once_it_may_be_forgotten_and_not_before() {
    let stage = Stage::running(1);
    steps(&stage);
    stage.call("a", "step", json!({}));
    stage.pass(MINUTE);
    assert_eq!(forget(&stage, tasks()), 1);
    for _ in 0..12 {
        stage.pass(DAY);
        assert_eq!(stage.sweep(), SweepReport { runs: 1, ..SweepReport::default() });
    }
    let _worker = stage.worker("w");
    stage.pass(HOUR);
    assert!(stage.ran().is_empty());
    stage.pass(DAY);
    assert_eq!(stage.sweep(), SweepReport { runs: 1, revived: 1, effects: 1, ..SweepReport::default() });
    assert_eq!(stage.result("a", MINUTE), json!("done"));
    assert_eq!(stage.attempts(), [1]);
    assert_eq!(stage.sweep(), SweepReport::default());
}

#[test]
fn g4_a_timer_that_its_queue_forgot_while_no_orchestrator_lived_fires_after_the_sweep() {
    let stage = Stage::new(2);
    let orchestrator = stage.orchestrator("o1");
    stage.start("t", json!({"timers": 2, "timer_s": 600.0}));
    stage.pass(MINUTE);
    orchestrator.kill();
    stage.pass(15 * DAY);
    stage.orchestrator("o2");
    stage.pass(HOUR);
    assert_eq!(stage.events("t"), ["RunStarted", "TimerStarted"], "the queue has kept it for 14 days");
    assert_eq!(stage.sweep().effects, 1);
    assert_eq!(stage.result("t", HOUR), json!(2));
}

#[test]
fn g4_an_outcome_that_was_forgotten_is_made_again() {
    let stage = Stage::new(3);
    steps(&stage);
    let orchestrator = stage.orchestrator("o1");
    stage.call("a", "step", json!({}));
    stage.pass(MINUTE);
    orchestrator.kill();
    let _worker = stage.worker("w");
    stage.pass(15 * DAY);
    assert_eq!(waiting(&stage, QueueName::events()), 0, "the outcome is forgotten");
    stage.orchestrator("o2");
    stage.sweep();
    assert_eq!(stage.result("a", MINUTE), json!("done"));
    assert_eq!(stage.attempts(), [1, 1], "at least once (G11)");
}

#[test]
fn g6_a_task_that_is_still_there_is_copied_once_and_has_one_result() {
    for options in [json!({}), json!({"exclusive": true}), json!({"heartbeat_ms": 60_000})] {
        let stage = Stage::running(4);
        steps(&stage);
        stage.call("a", "step", options.clone());
        stage.pass(13 * DAY + HOUR);
        for copies in [2, 2, 2] {
            stage.sweep();
            stage.pass(HOUR);
            assert_eq!(stage.memory.messages_in(&tasks()), copies, "{options}");
        }
        let _worker = stage.worker("w");
        assert_eq!(stage.result("a", MINUTE), json!("done"));
        stage.comes_to_rest(HOUR);
        assert_eq!(
            stage.events("a"),
            ["RunStarted", "ActivityScheduled", "ActivityCompleted", "RunCompleted"]
        );
        assert!(stage.attempts().iter().all(|attempt| *attempt == 1), "{options}");
    }
}

#[test]
fn a_queue_that_nobody_serves_for_months_gets_a_copy_for_each_one_that_lapses() {
    let stage = Stage::running(5);
    stage.call("a", "step", json!({}));
    let most = (0..60).map(|_| {
        stage.pass(DAY);
        stage.sweep();
        waiting(&stage, tasks())
    });
    let counts: Vec<_> = most.collect();
    assert!(counts.iter().all(|n| (1..=2).contains(n)), "never without one, never many: {counts:?}");
}

#[test]
fn g9_a_blocked_run_whose_wake_was_lost_is_woken() {
    let stage = Stage::new(6);
    let orchestrator = stage.orchestrator("o1");
    stage.send(json!({"type": "start", "workflow": "nope", "id": "b"}));
    stage.pass(MINUTE);
    orchestrator.kill();
    stage.pass(15 * MINUTE);
    assert_eq!(forget(&stage, QueueName::events()), 1);
    stage.orchestrator("o2");
    assert_eq!(stage.sweep(), SweepReport { runs: 1, ..SweepReport::default() }, "it is not late yet");
    stage.pass(HOUR);
    assert_eq!(stage.sweep(), SweepReport { runs: 1, woken: 1, ..SweepReport::default() });
    stage.pass(MINUTE);
    let header = stage.history("b").0.header;
    assert_eq!(
        (header.wakes_absorbed, header.wake.map(|wake| wake.wake)),
        (1, Some(2)),
        "tried, and armed again"
    );
}

#[test]
fn an_entry_that_outlived_its_run_is_moved_and_lists_tell_the_same_as_before() {
    let stage = Stage::running(7);
    let mut entries = Vec::new();
    for id in ["one", "again"] {
        stage.start(id, json!({}));
        stage.pass(SECOND);
        let key = open_entries(&stage).into_iter().find(|key| key.contains(id)).unwrap();
        let store = stage.memory.clone();
        let read = key.clone();
        let body = stage.block_on(async move { store.get(&read).await }).unwrap().unwrap().body;
        stage.signal(id, "end");
        stage.pass(SECOND);
        entries.push((key, body));
    }
    // The id's next run: the run that closed is in an archive now.
    stage.send(json!({"type": "start", "workflow": "script", "id": "again", "request_id": "s2"}));
    stage.pass(SECOND);
    let listed = |stage: &Stage| {
        let client = stage.client();
        let filter = ListFilter { limit: 10, ..ListFilter::default() };
        stage.block_on(async move { client.list(&filter).await }).unwrap()
    };
    let before = listed(&stage);
    for (key, body) in entries {
        let store = stage.memory.clone();
        let closed = key.replace("/open/", "/closed/");
        stage.block_on(async move {
            ObjectStore::delete(&*store, &closed).await.unwrap();
            store.put(&key, body, Condition::Always).await.unwrap()
        });
    }
    assert_eq!(open_entries(&stage).len(), 3);
    assert_eq!(stage.sweep(), SweepReport { runs: 3, closed: 2, ..SweepReport::default() });
    assert_eq!(open_entries(&stage).len(), 1);
    assert_eq!(listed(&stage), before);
    assert_eq!(before.iter().filter(|run| run.entry.status == Status::Completed).count(), 2);
}

#[test]
fn a_run_that_cannot_be_read_does_not_hold_up_the_others_and_is_looked_at_again() {
    let stage = Stage::running(8);
    steps(&stage);
    for id in ["a", "b", "c"] {
        stage.call(id, "step", json!({}));
    }
    stage.pass(MINUTE);
    assert_eq!(forget(&stage, tasks()), 3);
    let key = keys().history(&"b".parse().unwrap());
    let store = stage.memory.clone();
    let good = stage.block_on(async move {
        let good = store.get(&key).await.unwrap().unwrap().body;
        store.put(&key, Bytes::from("{}"), Condition::Always).await.unwrap();
        good
    });
    let ghost = IndexEntry {
        workflow_id: "ghost".parse().unwrap(),
        run_id: millrace_core::RunId::from_random(9),
        workflow: "script".parse().unwrap(),
        status: Status::Running,
        started_at: stage.sim.clock().now(),
        closed_at: None,
        attributes: millrace_format::Attributes::default(),
    };
    let (store, key) =
        (stage.memory.clone(), keys().index_open(ghost.started_at, &ghost.workflow_id, ghost.run_id));
    stage.block_on(async move { store.put(&key, ghost.encode().into(), Condition::Always).await }).unwrap();
    let _worker = stage.worker("w");
    stage.pass(13 * DAY);
    let report = stage.sweep();
    assert_eq!(report, SweepReport { runs: 4, revived: 2, effects: 2, missing: 1, failed: 1, ..report });
    for id in ["a", "c"] {
        assert_eq!(stage.result(id, MINUTE), json!("done"));
    }
    let (store, key) = (stage.memory.clone(), keys().history(&"b".parse().unwrap()));
    stage.block_on(async move { store.put(&key, good, Condition::Always).await }).unwrap();
    let report = stage.sweep();
    assert_eq!(report, SweepReport { runs: 2, revived: 1, effects: 1, missing: 1, ..SweepReport::default() });
    assert_eq!(stage.result("b", MINUTE), json!("done"));
}

#[test]
fn a_sweep_with_nothing_to_do_is_one_get_for_each_open_run() {
    let stage = Stage::running(9);
    for n in 0..50 {
        stage.start(&format!("run-{n}"), json!({}));
    }
    stage.pass(MINUTE);
    let mut counting = None;
    let report = stage.sweep_with(|ports| {
        let (counter, ports) = Counting::wrap(&ports);
        counting = Some(counter);
        ports
    });
    assert_eq!(report, SweepReport { runs: 50, ..SweepReport::default() });
    let used = counting.unwrap().counts();
    assert_eq!(
        (used.gets, used.lists, used.puts, used.sends),
        (51, 8, 1, 0),
        "and one for when the last was"
    );
}
