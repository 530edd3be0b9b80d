//! What stands in front of a process's faults sees what is sent or read without need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use millrace_conformance::Sim;
use millrace_core::Namespace;
use millrace_engine::ports::{Condition, Delivery, OutMessage, Ports, QueueName, Queues};
use millrace_format::Keys;
use millrace_local::Memory;
use millrace_simulation::warrants::Warranted;
use millrace_simulation::watch::Watch;
use serde_json::{Value, json};

const RUN: &str = "2c9c7c52-3f50-4b0c-9d0e-6f3f3f3a1b11";
const PARENT: &str = "2c9c7c52-3f50-4b0c-9d0e-6f3f3f3a1b22";
const HEAD: &str = "default/workflow/00/w/history";
const START: &str = r#"{"type":"start","workflow":"W","id":"w","input":null,"request_id":"s"}"#;

/// A process whose run has committed, under its start, a timer that is to be sent.
struct Process {
    watch: Arc<Watch>,
    ports: Ports,
}

impl Process {
    fn new() -> Self {
        let process = Self::idle();
        process.commits(1, 0);
        process
    }

    /// Without a run.
    fn idle() -> Self {
        let sim = Sim::new(0);
        let watch = Watch::new(Memory::new(sim.clock()));
        let (clock, entropy) = (sim.clock(), sim.entropy());
        let spawn = sim.process("p").spawner();
        let bare = Ports { store: watch.clone(), queues: watch.clone(), clock, entropy, spawn };
        let ports = Warranted::wrap(&bare, Keys::new(Namespace::default()), watch.clone(), "p");
        Self { watch, ports }
    }

    fn commits(&self, turn: u64, wakes_sent: u64) {
        let timer = json!({"send_timer": {"timer_id": 1, "at": "2026-01-01T00:00:05.000Z"}});
        let asked = json!({"n": 1, "type": "TimerStarted", "timer_id": 1});
        self.commits_effect((turn, wakes_sent), &asked, &timer);
    }

    /// Of its one run, under its start.
    fn commits_effect(&self, (turn, wakes_sent): (u64, u64), event: &Value, effect: &Value) {
        let header = json!({"run_id": RUN, "workflow_id": "w", "first": 1, "last": 1, "turn": turn, "wakes_sent": wakes_sent,
            "effects": [{"guard": "r:s", "effect": effect}]});
        self.puts(HEAD, &format!("{header}\n{event}"));
    }

    fn puts(&self, key: &str, body: &str) {
        block_on(self.ports.store.put(key, body.to_owned().into(), Condition::Always)).unwrap();
    }

    fn sends(&self, body: String) {
        block_on(self.ports.queues.send(&QueueName::events(), vec![OutMessage::now(body)]));
    }

    fn is_told(&self, queue: &QueueName, body: &str) -> Delivery {
        block_on(self.watch.send(queue, vec![OutMessage::now(body.to_owned())]));
        let minute = Duration::from_secs(60);
        block_on(self.ports.queues.receive(queue, 10, Duration::ZERO, minute)).unwrap().remove(0)
    }

    fn sends_timer(&self) {
        self.sends(timer());
    }

    fn deletes(&self, queue: &QueueName, delivery: &Delivery) {
        block_on(self.ports.queues.delete(queue, std::slice::from_ref(&delivery.receipt))).unwrap();
    }

    /// The only thing that is wrong.
    fn is_blamed(&self, hint: &str) {
        let violations = self.watch.violations();
        assert!(violations.len() == 1 && violations[0].contains(hint), "{violations:?}");
    }
}

fn timer() -> String {
    json!({"type": "timer", "v": 1, "workflow_id": "w", "run_id": RUN, "timer_id": 1}).to_string()
}

#[test]
fn each_delivery_of_the_guard_sends_the_effect_once() {
    let process = Process::new();
    for _ in 0..2 {
        let start = process.is_told(&QueueName::inbox(), START);
        process.sends_timer();
        process.deletes(&QueueName::inbox(), &start);
    }
    let early = process.is_told(&QueueName::events(), &timer());
    process.sends_timer();
    process.deletes(&QueueName::events(), &early);
    assert_eq!(process.watch.violations(), Vec::<String>::new());
}

#[test]
fn what_is_sent_twice_for_one_delivery_is_seen() {
    let process = Process::new();
    process.is_told(&QueueName::inbox(), START);
    process.sends_timer();
    process.sends_timer();
    process.is_blamed("Timer(1), 0) is sent without need");
}

#[test]
fn g4_what_is_sent_after_the_guard_is_deleted_is_seen() {
    let process = Process::new();
    let start = process.is_told(&QueueName::inbox(), START);
    process.deletes(&QueueName::inbox(), &start);
    process.sends_timer();
    process.is_blamed("is sent without need");
}

/// A process whose run is a child that has ended.
fn child() -> Process {
    let process = Process::idle();
    let parent = json!({"workflow_id": "p", "run_id": PARENT, "child_id": 7});
    let started = json!({"n": 1, "type": "RunStarted", "parent": parent});
    process.commits_effect((1, 0), &started, &json!("report_to_parent"));
    process
}

fn outcome(fault: Option<&str>) -> String {
    let result = match fault {
        None => json!({"completed": 1}),
        Some(kind) => json!({"failed": {"application": {"type": kind, "message": "no"}}}),
    };
    json!({"type": "child_outcome", "v": 1, "workflow_id": "p", "run_id": PARENT, "child_id": 7, "result": result}).to_string()
}

#[test]
fn what_a_parent_is_told_once_for_each_delivery_is_well() {
    let process = child();
    process.is_told(&QueueName::inbox(), START);
    process.sends(outcome(None));
    process.is_told(&QueueName::inbox(), START);
    process.sends(outcome(Some("Boom")));
    process.sends(outcome(Some("ChildNotStarted"))); // No run says that of itself.
    assert_eq!(process.watch.violations(), Vec::<String>::new());
    process.sends(outcome(None));
    process.is_blamed("Parent, 0) is sent without need");
}

/// After a lost race the parent's messages go back as copies.
#[test]
fn what_a_parent_is_told_is_sent_again_by_who_has_it_in_hand() {
    let process = child();
    let told = process.is_told(&QueueName::events(), &outcome(None));
    process.sends(outcome(None));
    assert_eq!(process.watch.violations(), Vec::<String>::new());
    process.deletes(&QueueName::events(), &told);
    process.sends(outcome(None));
    process.is_blamed("Parent, 0) is sent without need");
}

#[test]
fn what_a_parent_is_told_before_its_commit_is_seen() {
    let process = Process::idle();
    process.is_told(&QueueName::inbox(), START);
    process.sends(outcome(None));
    process.is_blamed("Parent, 0) is sent without need; its guards are {}");
}

/// A process whose run has committed, under its start, that its activity is to be canceled.
fn canceling() -> Process {
    let process = Process::idle();
    let asked = json!({"n": 1, "type": "ActivityCancelRequested", "activity_id": 1});
    let cancel = json!({"cancel_activity": {"activity_id": 1, "reason": "late"}});
    process.commits_effect((1, 0), &asked, &cancel);
    process
}

fn lease(cancel: Option<&str>, epoch: u64) -> String {
    json!({"v": 1, "holder": "w", "epoch": epoch, "cancel": cancel}).to_string()
}

#[test]
fn a_cancel_request_is_written_by_who_has_its_guard_and_kept_by_who_reads_it() {
    let process = canceling();
    let key = format!("default/workflow/00/w/{RUN}/activity/1");
    process.puts(&key, &lease(None, 1));
    process.is_told(&QueueName::inbox(), START);
    process.puts(&key, &lease(Some("late"), 1));
    block_on(process.ports.store.get(&key)).unwrap();
    process.puts(&key, &lease(Some("late"), 2));
    assert_eq!(process.watch.violations(), Vec::<String>::new());
}

#[test]
fn a_cancel_request_is_written_again_if_the_lease_had_changed() {
    let process = canceling();
    let key = format!("default/workflow/00/w/{RUN}/activity/1");
    process.puts(&key, &lease(None, 1));
    process.is_told(&QueueName::inbox(), START);
    let body = || lease(Some("late"), 1).into();
    block_on(process.ports.store.put(&key, body(), Condition::Absent)).unwrap_err();
    process.puts(&key, &lease(Some("late"), 1));
    assert_eq!(process.watch.violations(), Vec::<String>::new());
}

#[test]
fn g4_a_cancel_request_without_its_guard_is_seen() {
    let process = canceling();
    process.puts(&format!("default/workflow/00/w/{RUN}/activity/1"), &lease(Some("late"), 1));
    process.is_blamed("Cancel(1), 0) is sent without need");
}

#[test]
fn a_turn_that_says_nothing_new_is_seen() {
    let process = Process::new();
    process.commits(2, 1);
    assert_eq!(process.watch.violations(), Vec::<String>::new());
    process.commits(3, 1);
    process.is_blamed("is written again at event 1, and says the same");
}

#[test]
fn a_history_that_is_read_too_often_is_seen() {
    let process = Process::new();
    process.is_told(&QueueName::inbox(), START);
    let reads = |n: u32| (0..n).for_each(|_| _ = block_on(process.ports.store.get(HEAD)).unwrap());
    reads(5); // One for the write, four for the message.
    assert_eq!(process.watch.violations(), Vec::<String>::new());
    reads(1);
    process.is_blamed("is read, and so was a history 4 times for each message");
}

#[test]
fn a_listing_of_anything_but_timers_is_seen() {
    let process = Process::new();
    block_on(process.ports.store.list("default/timer/", None, None, 10)).unwrap();
    assert_eq!(process.watch.violations(), Vec::<String>::new());
    block_on(process.ports.store.list("default/index/open/", None, None, 10)).unwrap();
    process.is_blamed("it lists `default/index/open/`");
}
