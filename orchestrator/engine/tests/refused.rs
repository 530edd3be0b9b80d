//! What a workflow tells another is too large for any queue: nobody waits for ever (G4, G10).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod toy;

use std::sync::Arc;
use std::time::Duration;

use millrace_core::{
    Blocked, ChildOptions, Command, Coroutine, Event, EventKind, Fault, Payload, RunInfo, WorkflowCode,
};
use millrace_engine::ports::Queues;
use millrace_engine::{Orchestrator, OrchestratorConfig};
use serde_json::json;
use toy::{World, turn_all};

/// Does, of what is too large, what its input says.
struct TooLarge;

impl WorkflowCode for TooLarge {
    fn instantiate(&self, _info: &RunInfo) -> Result<Box<dyn Coroutine>, Blocked> {
        Ok(Box::new(Self))
    }
}

fn text() -> String {
    "x".repeat(<dyn Queues>::LARGEST_BODY_BYTES)
}

fn large() -> Payload {
    Payload::of(&text()).unwrap()
}

fn child(input: Payload) -> Command {
    let (workflow, workflow_id) = ("any".parse().unwrap(), "child".parse().unwrap());
    Command::StartChild { child_id: 1, workflow, workflow_id, input, options: ChildOptions::default() }
}

fn begin(what: &str) -> Vec<Command> {
    let workflow_id = "other".parse().unwrap();
    let of = |input: &str| child(Payload::of(&input).unwrap());
    match what {
        "start" => vec![child(large())],
        "parent of fail" => vec![of("fail")],
        "stop" => vec![of("wait"), Command::CancelChild(1, text())],
        "fail" => vec![Command::FailRun(Fault::Canceled { reason: text() })],
        "signal" => {
            vec![Command::SendSignal { sent_id: 1, workflow_id, name: "go".into(), input: large() }]
        }
        "cancel" => vec![Command::SendCancel { sent_id: 1, workflow_id, reason: text() }],
        _ => vec![],
    }
}

impl Coroutine for TooLarge {
    fn resume(&mut self, event: &Event) -> Result<Vec<Command>, Blocked> {
        Ok(match &event.kind {
            EventKind::RunStarted(e) => begin(&e.input.read::<String>().unwrap_or_default()),
            EventKind::ChildFailed(e) => vec![Command::FailRun(e.failure.fault.clone())],
            EventKind::SignalReceived(e) => vec![Command::CompleteRun(e.input.clone())],
            _ => vec![],
        })
    }
}

fn run(what: &str) -> World {
    let world = World::new();
    let config =
        OrchestratorConfig { poll: Duration::ZERO, build: "b1".into(), ..OrchestratorConfig::default() };
    let orchestrator = Orchestrator::new(world.ports.clone(), Arc::new(TooLarge), config);
    world.send(&json!({"type": "start", "workflow": "any", "id": "a", "input": what}).to_string());
    turn_all(&orchestrator);
    // Not held up by what was refused.
    if world.status("a") == "running" {
        world.send(r#"{"type":"signal","id":"a","name":"end","request_id":"end"}"#);
        turn_all(&orchestrator);
    }
    world.clock.advance(Duration::from_secs(3600));
    turn_all(&orchestrator);
    world
}

/// Why the run failed.
fn fault(world: &World) -> (String, String) {
    let history = world.client();
    let (_, events) = futures::executor::block_on(history.history(&"a".parse().unwrap(), None)).unwrap();
    match events.last().map(|event| &event.kind) {
        Some(EventKind::RunFailed(e)) => match &e.fault {
            Fault::Application(failure) => (failure.kind.clone(), failure.message.clone()),
            other => (String::new(), other.to_string()),
        },
        other => (String::new(), format!("{other:?}")),
    }
}

#[test]
fn a_child_whose_input_is_too_large_is_not_started() {
    let (kind, message) = fault(&run("start"));
    assert!(kind == "ChildNotStarted" && message.contains("bytes"), "{kind}: {message}");
}

#[test]
fn a_child_whose_outcome_is_too_large_has_failed() {
    let world = run("parent of fail");
    let (kind, message) = fault(&world);
    assert!(kind == "OutcomeRefused" && message.contains("return less"), "{kind}: {message}");
    assert_eq!(world.memory.all_messages().values().sum::<usize>(), 0);
}

#[test]
fn what_nobody_waits_for_becomes_a_dead_letter_cut_short() {
    for what in ["signal", "cancel", "stop"] {
        let world = run(what);
        assert_eq!(world.status("a"), "completed", "{what}");
        let dead = world.dead("events");
        assert_eq!(dead.len(), 1, "{what}: {dead:?}");
        let (body, error) = &dead[0];
        assert!(body.len() < 2_000 && body.contains(r#""workflow_id":""#), "{body}");
        assert!(error.starts_with(&format!("{what} from `a` to `")) && error.contains("bytes"), "{error}");
    }
}
