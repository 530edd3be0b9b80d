//! What watches the bucket and the queues sees what must not be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures::executor::block_on;
use millrace_conformance::Sim;
use millrace_engine::ports::{Condition, ObjectStore, OutMessage, QueueName, Queues};
use millrace_format::ContentHash;
use millrace_local::Memory;
use millrace_simulation::watch::Watch;
use serde_json::json;

const KEY: &str = "default/workflow/00/w/history";
const STARTED: &str = r#"{"n":1,"t":"2026-01-01T00:00:00.000Z","type":"RunStarted"}"#;
const SCHEDULED: &str =
    r#"{"n":2,"t":"2026-01-01T00:00:00.000Z","type":"ActivityScheduled","activity_id":1}"#;

fn watch() -> Arc<Watch> {
    Watch::new(Memory::new(Sim::new(0).clock()))
}

fn commit(watch: &Watch, first: u64, events: &[&str]) {
    let last = first + events.len() as u64 - 1;
    let header = json!({ "run_id": "r", "first": first, "last": last, "published": events });
    let body = [&[header.to_string().as_str()], events].concat().join("\n");
    block_on(watch.put(KEY, body.into(), Condition::Always)).unwrap();
}

fn sends_a_task(watch: &Watch, activity_id: u64) {
    let task = json!({ "run_id": "r", "activity_id": activity_id }).to_string();
    let sent = block_on(watch.send(&QueueName::from("task-cpu"), vec![OutMessage::now(task)]));
    assert_eq!(sent, [Ok(())]);
}

#[test]
fn a_history_that_grows_and_what_it_asks_for_are_well() {
    let watch = watch();
    commit(&watch, 1, &[STARTED, SCHEDULED]);
    sends_a_task(&watch, 1);
    commit(&watch, 2, &[SCHEDULED]);
    commit(&watch, 3, &[r#"{"n":3,"type":"ActivityCompleted"}"#]);
    assert_eq!(watch.violations(), Vec::<String>::new());
}

#[test]
fn g1_a_task_before_its_commit_is_seen() {
    let watch = watch();
    commit(&watch, 1, &[STARTED]);
    sends_a_task(&watch, 1);
    assert!(watch.violations()[0].starts_with("G1: activity_id 1 of run r leaves before its commit"));
}

/// Puts a task's body into the bucket, or not, and sends what points to it.
fn points_to_a_task(watch: &Watch, activity_id: u64, is_there: bool) {
    let task = json!({ "run_id": "r", "activity_id": activity_id }).to_string();
    let hash = ContentHash::of(task.as_bytes());
    if is_there {
        block_on(watch.put(&format!("default/message/{hash}"), task.into(), Condition::Always)).unwrap();
    }
    let pointer = json!({ "v": 1, "body": format!("message/{hash}") }).to_string();
    block_on(watch.send(&QueueName::from("task-cpu"), vec![OutMessage::now(pointer)]));
}

#[test]
fn g1_a_task_before_its_commit_is_seen_behind_a_pointer() {
    let watch = watch();
    commit(&watch, 1, &[STARTED, SCHEDULED]);
    points_to_a_task(&watch, 1, true);
    assert_eq!(watch.violations(), Vec::<String>::new());
    points_to_a_task(&watch, 2, true);
    assert!(watch.violations()[0].starts_with("G1: activity_id 2 of run r leaves before its commit"));
    assert_eq!(watch.pointers(), [(QueueName::from("task-cpu"), 2)].into());
}

#[test]
fn a_pointer_that_is_sent_before_its_body_is_stored_is_seen() {
    let watch = watch();
    commit(&watch, 1, &[STARTED, SCHEDULED]);
    points_to_a_task(&watch, 1, false);
    assert!(watch.violations()[0].ends_with("leaves before its body is there"), "{:?}", watch.violations());
}

#[test]
fn g2_events_that_change_or_are_lost_are_seen() {
    for (first, events, hint) in [
        (1, vec![STARTED], "goes from event 2 to events 1 to 1"),
        (1, vec![STARTED, STARTED], "event 2 is another now"),
        (4, vec![STARTED], "goes from event 2 to events 4 to 4"),
    ] {
        let watch = watch();
        commit(&watch, 1, &[STARTED, SCHEDULED]);
        commit(&watch, first, &events);
        let violations = watch.violations();
        assert!(violations.len() == 1 && violations[0].contains(hint), "{hint}: {violations:?}");
    }
}

#[test]
fn what_must_stay_hidden_is_seen() {
    let watch = Watch::hiding(Memory::new(Sim::new(0).clock()), &["open sesame"]);
    let put = |text: &'static str| block_on(watch.put("key", text.into(), Condition::Always));
    put("open, says me").unwrap();
    assert_eq!(watch.violations(), Vec::<String>::new());
    put("he says open sesame").unwrap();
    assert_eq!(watch.violations(), ["key shows `open sesame`"]);
}
