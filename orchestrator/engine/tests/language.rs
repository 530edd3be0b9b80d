//! What runs say to each other, through the engine: children, signals, updates, continue-as-new; what each costs, and what a
//! fault in it leads to (§4, §11, G2, G4, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may, and so may what they share"
)]

mod toy;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::{
    Blocked, ChildOptions, Command, Coroutine, Event, EventKind, Payload, RunInfo, Unread, WorkflowCode,
};
use millrace_engine::ports::{CallCounts, Counting, Ports};
use millrace_engine::{Orchestrator, OrchestratorConfig};
use toy::World;
use toy::faults::{Faulty, Write};
use toy::turn_all;

/// `talk` does what its signals say; `short` is over at once.
struct Talk;

impl WorkflowCode for Talk {
    fn instantiate(&self, info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(if info.workflow.as_str() == "short" { Box::new(Short) } else { Box::new(Talking) })
    }
}

struct Talking;
struct Short;

impl Coroutine for Short {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        let begins = matches!(event.kind, EventKind::RunStarted(_));
        Ok(if begins { vec![Command::CompleteRun(Payload::of(&7).unwrap())] } else { vec![] })
    }
}

impl Coroutine for Talking {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::SignalReceived(e) => match e.name.as_str() {
                "go_on" => vec![Command::ContinueAsNew {
                    workflow: "talk".parse().unwrap(),
                    input: e.input.clone(),
                    unread: Unread::default(),
                }],
                "tell" => vec![Command::SendSignal {
                    sent_id: 1,
                    workflow_id: "b".parse().unwrap(),
                    name: "note".into(),
                    input: e.input.clone(),
                }],
                "child" => vec![Command::StartChild {
                    child_id: 1,
                    workflow: "short".parse().unwrap(),
                    workflow_id: e.input.read().unwrap(),
                    input: Payload::null(),
                    options: ChildOptions::default(),
                }],
                "end" => vec![Command::CompleteRun(e.input.clone())],
                _ => vec![],
            },
            EventKind::UpdateReceived(e) => {
                vec![Command::CompleteUpdate(e.request_id.clone(), e.input.clone())]
            }
            EventKind::ChildFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            _ => vec![],
        })
    }
}

fn orchestrator(ports: &Ports) -> Orchestrator {
    let config = OrchestratorConfig { poll: Duration::ZERO, ..OrchestratorConfig::default() };
    Orchestrator::new(ports.clone(), Arc::new(Talk), config)
}

fn start(world: &World, id: &str) {
    world.send(&format!(r#"{{"type":"start","workflow":"talk","id":"{id}","request_id":"s-{id}"}}"#));
}

fn signal(world: &World, name: &str, input: &str) {
    world.send(&format!(r#"{{"type":"signal","id":"a","name":"{name}","input":{input}}}"#));
}

/// The calls of a warm orchestrator, that of a run `a` and a run `b`, for what `act` sends.
fn calls(act: impl FnOnce(&World)) -> (World, CallCounts) {
    let world = World::new();
    let (counting, ports) = Counting::wrap(&world.ports);
    let orchestrator = orchestrator(&ports);
    start(&world, "a");
    start(&world, "b");
    turn_all(&orchestrator);
    let before = counting.counts();
    act(&world);
    turn_all(&orchestrator);
    let used = counting.counts() - before;
    assert_eq!((used.puts_failed, used.visibility_changes), (0, 0), "{used:?}");
    assert!(world.memory.all_messages().is_empty(), "{:?}", world.memory.all_messages());
    (world, used)
}

/// PUT, GET, DELETE; messages sent and received.
fn cost(used: CallCounts) -> (u64, u64, u64, u64, u64) {
    (used.puts, used.gets, used.deletes, used.messages_sent, used.messages_received)
}

#[test]
fn a_continue_as_new_costs_two_commits_an_archive_and_two_index_entries() {
    let (world, used) = calls(|world| signal(world, "go_on", "1"));
    println!("continue-as-new: {used:?}");
    // The close, its entry among the closed; the archive, the new head, its entry among the open.
    assert_eq!(cost(used), (5, 0, 1, 0, 1), "{used:?}");
    assert_eq!(world.events("a"), ["RunStarted"]);
    let keys = futures::executor::block_on(world.ports.store.list("default/", None, None, 100)).unwrap();
    let count = |part: &str| keys.iter().filter(|key| key.contains(part)).count();
    assert_eq!((count("/history"), count("index/open"), count("index/closed")), (3, 2, 1), "{keys:?}");
}

#[test]
fn a_child_costs_its_own_run_and_one_put_in_the_parent_for_its_start_and_its_end_each() {
    let (world, used) = calls(|world| signal(world, "child", r#""c""#));
    println!("child that ends at once, start and outcome: {used:?}");
    assert_eq!(world.events("a"), ["RunStarted", "SignalReceived", "ChildScheduled", "ChildCompleted"]);
    // The parent's two turns; the child's one and its entry among the closed. It is read for, once.
    assert_eq!(cost(used), (4, 1, 1, 2, 3), "{used:?}");
}

#[test]
fn a_signal_to_another_workflow_costs_a_put_in_each_and_one_message() {
    let (world, used) = calls(|world| signal(world, "tell", "1"));
    println!("signal to another workflow: {used:?}");
    assert_eq!(cost(used), (2, 0, 0, 1, 2), "{used:?}");
    assert_eq!(world.events("b"), ["RunStarted", "SignalReceived"]);
}

#[test]
fn an_update_with_its_answer_is_one_put() {
    let (world, used) = calls(|world| {
        world.send(r#"{"type":"update","id":"a","name":"ask","input":1,"request_id":"u"}"#);
    });
    println!("update: {used:?}");
    assert_eq!(cost(used), (1, 0, 0, 0, 1), "{used:?}");
    assert_eq!(world.events("a"), ["RunStarted", "UpdateReceived", "UpdateCompleted"]);
}

#[test]
fn g10_a_child_whose_id_is_taken_is_reported_to_its_parent_as_not_started() {
    let (world, _) = calls(|world| signal(world, "child", r#""b""#));
    assert_eq!(world.status("a"), "failed");
    let id = "a".parse().unwrap();
    let (_, events) = futures::executor::block_on(world.client().history(&id, None)).unwrap();
    let failed = events.iter().find_map(|event| match &event.kind {
        EventKind::ChildFailed(e) => e.failure.fault.application().cloned(),
        _ => None,
    });
    let failure = failed.expect("the child failed");
    assert_eq!((failure.kind.as_str(), failure.non_retryable), ("ChildNotStarted", true));
    assert!(failure.message.contains("`b`"), "{failure:?}");
    assert!(world.dead("events").is_empty());
    assert_eq!(world.events("b"), ["RunStarted"]);
}

fn pending(world: &World, id: &str) -> Vec<String> {
    let head = futures::executor::block_on(world.client().head(&id.parse().unwrap(), None)).unwrap();
    head.header.effects.iter().map(|pending| format!("{:?}", pending.effect.key())).collect()
}

/// Else the header of a run that tells others much would grow for as long as it lives.
#[test]
fn g4_what_nobody_answers_leaves_the_header_at_the_next_warm_commit() {
    let world = World::new();
    let warm = orchestrator(&world.ports);
    start(&world, "a");
    start(&world, "b");
    turn_all(&warm);
    assert_eq!(pending(&world, "a"), ["IndexOpen"]);
    signal(&world, "tell", "1");
    turn_all(&warm);
    assert_eq!(pending(&world, "a"), ["Send(1)"]);
    signal(&world, "x", "1");
    turn_all(&orchestrator(&world.ports)); // cold: it does not know whether that was done
    assert_eq!(pending(&world, "a"), ["Send(1)"]);
    let cold = orchestrator(&world.ports);
    signal(&world, "child", r#""c""#);
    turn_all(&cold);
    assert_eq!(pending(&world, "a"), ["Send(1)"], "the child has ended");
    assert_eq!(pending(&world, "c"), ["Parent", "IndexClosed"], "closed: nobody commits any more");
}

/// A 412 may be wrong (an earlier try of the same write, a store that is confused): the archive is looked for.
#[test]
fn g5_a_refused_archive_is_looked_for_before_its_run_is_replaced() {
    let world = World::new();
    let (faults, ports) = Faulty::wrap(&world.ports);
    let orchestrator = orchestrator(&ports);
    start(&world, "a");
    turn_all(&orchestrator);
    let id = "a".parse().unwrap();
    let first = futures::executor::block_on(world.client().head(&id, None)).unwrap().header.run_id;
    faults.next_write(Write::Through); // the close
    faults.next_write(Write::Refused); // the archive
    signal(&world, "go_on", "1");
    turn_all(&orchestrator);
    let (_, events) = futures::executor::block_on(world.client().history(&id, Some(first))).unwrap();
    assert!(matches!(events.last().unwrap().kind, EventKind::RunContinuedAsNew(_)), "{events:?}");
    assert_eq!(world.events("a"), ["RunStarted"]);
}

/// Its receiver has forgotten it by then, and would take it for another.
#[test]
fn g2_what_a_run_said_two_weeks_ago_is_not_said_again_when_its_id_is_used_again() {
    for (days, again) in [(13, 1), (15, 0)] {
        let world = World::new();
        let (faults, ports) = Faulty::wrap(&world.ports);
        start(&world, "b");
        start(&world, "a");
        signal(&world, "tell", "1");
        turn_all(&orchestrator(&ports));
        signal(&world, "end", "1");
        turn_all(&orchestrator(&ports));
        let before = faults.sent_to("events");
        world.clock.advance(Duration::from_secs(days * 86_400));
        world.send(r#"{"type":"start","workflow":"talk","id":"a","request_id":"again"}"#);
        turn_all(&orchestrator(&ports));
        assert_eq!(faults.sent_to("events") - before, again, "after {days} days");
        assert_eq!(world.events("b"), ["RunStarted", "SignalReceived"]);
    }
}

/// What this turn has just sent is not sent again because a copy of its guard came in the same batch.
#[test]
fn g4_a_duplicate_in_the_batch_repairs_nothing() {
    let world = World::new();
    let (faults, ports) = Faulty::wrap(&world.ports);
    let orchestrator = orchestrator(&ports);
    start(&world, "b");
    start(&world, "a");
    turn_all(&orchestrator);
    for _ in 0..2 {
        let tell = r#"{"type":"signal","id":"a","name":"tell","request_id":"twice"}"#;
        world.send(tell);
    }
    turn_all(&orchestrator);
    assert_eq!((faults.sent_to("events"), orchestrator.stats().repaired), (1, 0));
    assert_eq!(world.events("b"), ["RunStarted", "SignalReceived"]);
}
