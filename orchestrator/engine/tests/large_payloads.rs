//! Payloads that are too large for the history's text: what they cost, what is killed on the way, and where it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may, and so may what they share"
)]

#[path = "large_payloads/pipe.rs"]
mod pipe;
mod toy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::executor::block_on;
use millrace_core::{Blocked, EventKind, Namespace, Payload, WorkflowId};
use millrace_engine::ports::{Condition, Ports, QueueName, Queues};
use millrace_engine::{
    Client, ClientError, ListFilter, LoadError, Orchestrator, OrchestratorConfig, Outcome, Sweeper,
};
use millrace_format::Keys;
use millrace_format::message::InboxMessage;
use pipe::{Make, Pipe};
use serde_json::json;
use toy::faults::{Faulty, Write};
use toy::watched::Watched;
use toy::{World, turn_all};

const KIB: usize = 1024;
const TOO_LARGE: usize = Payload::LARGEST_BYTES + 1;

fn text(length: usize) -> Payload {
    Payload::of(&"x".repeat(length)).unwrap()
}

fn length(payload: &Payload) -> Payload {
    Payload::of(&payload.read::<String>().unwrap().len()).unwrap()
}

fn orchestrator_of(ports: &Ports, result: usize) -> Orchestrator {
    let config =
        OrchestratorConfig { poll: Duration::ZERO, build: "b1".into(), ..OrchestratorConfig::default() };
    Orchestrator::new(ports.clone(), Arc::new(Pipe { result }), config)
        .with_local_activities(Arc::new(Make::Text(TOO_LARGE)))
}

fn orchestrator(ports: &Ports) -> Orchestrator {
    orchestrator_of(ports, 1)
}

fn start(world: &World, input: usize) {
    world.send(
        &json!({"type": "start", "workflow": "pipe", "id": "a", "input": "i".repeat(input)}).to_string(),
    );
}

fn begin(world: &World) {
    world.send(r#"{"type":"start","workflow":"pipe","id":"a","input":null}"#);
}

fn signal(world: &World, name: &str, input: usize) {
    let signal = json!({"type": "signal", "id": "a", "name": name, "input": "s".repeat(input)});
    world.send(&signal.to_string());
}

fn id() -> WorkflowId {
    "a".parse().unwrap()
}

fn keys() -> Keys {
    Keys::new(Namespace::default())
}

fn events(world: &World) -> Vec<EventKind> {
    let (_, events) = block_on(world.client().history(&id(), None)).unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

fn last(world: &World) -> EventKind {
    events(world).pop().unwrap()
}

/// The keys of all payloads that are objects.
fn payloads(world: &World) -> Vec<String> {
    let keys = block_on(world.ports.store.list("default/workflow/", None, None, 1_000)).unwrap();
    keys.into_iter().filter(|key| key.contains("/payload/")).collect()
}

fn history_bytes(world: &World) -> usize {
    block_on(world.ports.store.get(&keys().history(&id()))).unwrap().unwrap().body.len()
}

/// A run whose first activity has given a large result, all of which is committed.
fn with_result(world: &World, bytes: usize) {
    let orchestrator = orchestrator(&world.ports);
    start(world, 10);
    turn_all(&orchestrator);
    world.work_with(&world.ports, Arc::new(Make::Text(bytes)));
    turn_all(&orchestrator);
}

/// G12, and what it costs: a large payload is one PUT, nothing is read, and what is small costs what it did.
#[test]
fn g12_a_large_result_is_one_put_more_for_a_warm_turn() {
    let mut done = Vec::new();
    for bytes in [60 * KIB, 100 * KIB] {
        let world = World::new();
        let (watched, ports) = Watched::wrap(&world.ports);
        let orchestrator = orchestrator(&ports);
        start(&world, 10);
        turn_all(&orchestrator);
        let mut turns = Vec::new();
        for _ in 0..2 {
            world.work_with(&world.ports, Arc::new(Make::Text(bytes)));
            watched.take();
            turn_all(&orchestrator);
            turns.push(watched.take());
        }
        assert_eq!(world.status("a"), "completed");
        done.push((turns, payloads(&world).len()));
    }
    let end = ["put index", "delete index"];
    let small = (vec![vec!["put history"], [&["put part", "put history"][..], &end].concat()], 0);
    // It is `take`'s input and result, too: a run stores the same content once.
    let large = (vec![vec!["put payload", "put history"], [&["put history"][..], &end].concat()], 1);
    let as_text = |(turns, n): (Vec<Vec<&str>>, usize)| {
        let turns = turns.into_iter().map(|turn| turn.into_iter().map(str::to_owned).collect::<Vec<_>>());
        (turns.collect::<Vec<_>>(), n)
    };
    assert_eq!(done, [as_text(small), as_text(large)]);
}

#[test]
fn a_cold_turn_reads_each_large_payload_once() {
    let world = World::new();
    with_result(&world, 100 * KIB);
    assert!(history_bytes(&world) < 3 * KIB, "the text has a reference: {}", history_bytes(&world));
    world.work_with(&world.ports, Arc::new(Make::Text(0)));
    let (watched, ports) = Watched::wrap(&world.ports);
    turn_all(&orchestrator(&ports));
    assert_eq!(
        watched.take(),
        ["get history", "get payload", "put history", "put index", "delete index"],
        "a result that is an input as well is read once, and not written again"
    );
    let EventKind::RunCompleted(e) = last(&world) else { panic!("{:?}", last(&world)) };
    assert_eq!(e.result.as_str(), (100 * KIB).to_string());
}

#[test]
fn an_input_a_signal_an_update_and_details_of_a_failure_leave_the_text_too() {
    let world = World::new();
    let orchestrator = orchestrator(&world.ports);
    start(&world, 100 * KIB);
    signal(&world, "note", 101 * KIB);
    let input = "u".repeat(102 * KIB);
    world.send(
        &json!({"type": "update", "id": "a", "name": "ask", "input": input, "request_id": "u"}).to_string(),
    );
    turn_all(&orchestrator);
    // The activity's input is the run's, the update's answer is its input.
    assert_eq!(payloads(&world).len(), 3);
    let (watched, ports) = Watched::wrap(&world.ports);
    let client = Client::new(ports, keys(), None);
    let answer = block_on(client.answer(&id(), None, &"u".parse().unwrap())).unwrap();
    assert_eq!(answer.read::<String>().unwrap(), input);
    assert_eq!(watched.take(), ["get history", "get payload"], "only the answer is fetched");
    world.work_with(&world.ports, Arc::new(Make::Failure(103 * KIB)));
    turn_all(&orchestrator);
    assert_eq!(payloads(&world).len(), 4);
    assert!(history_bytes(&world) < 6 * KIB);
    let outcome = block_on(client.outcome(&id(), None)).unwrap();
    assert_eq!(watched.take(), ["get history", "get payload"]);
    let Some(Outcome::Failed(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.fault.details::<String>().unwrap().len(), 103 * KIB);
    let cold = self::orchestrator(&world.ports);
    signal(&world, "late", 1);
    turn_all(&cold);
}

/// A client that waits, `list`, the sweep, a task that comes again: none of them looks at payloads.
#[test]
fn who_reads_only_the_head_reads_no_payload() {
    let world = World::new();
    with_result(&world, 100 * KIB);
    let (watched, ports) = Watched::wrap(&world.ports);
    let client = Client::new(ports.clone(), keys(), None);
    let listed = block_on(client.list(&ListFilter { limit: 10, ..ListFilter::default() })).unwrap();
    assert_eq!(listed.len(), 1);
    block_on(client.head(&id(), None)).unwrap();
    assert_eq!(block_on(client.outcome(&id(), None)).unwrap(), None);
    let start = json!({"workflow": "pipe", "id": "a", "request_id": "again"});
    let start = InboxMessage::Start(serde_json::from_value(start).unwrap());
    assert!(client.absorbed(&start).now_or_never().is_none(), "nobody has absorbed it");
    let report = block_on(Sweeper::new(ports.clone(), keys()).sweep());
    assert_eq!((report.runs, report.failed), (1, 0));
    // The task of `take` is received, lost, and received again.
    let tasks = QueueName::from("task-cpu");
    let lost = world.ports.queues.receive(&tasks, 1, Duration::ZERO, Duration::from_secs(1));
    assert_eq!(block_on(lost).unwrap().len(), 1);
    world.clock.advance(Duration::from_secs(2));
    world.work_with(&ports, Arc::new(Make::Text(0)));
    let seen = watched.take();
    assert!(seen.iter().filter(|what| *what == "get history").count() >= 5, "{seen:?}");
    assert!(!seen.contains(&"get payload".to_owned()), "{seen:?}");
    let (head, _) = block_on(client.history(&id(), None)).unwrap();
    assert_eq!(watched.take(), ["get history", "get payload"], "a history is whole");
    assert_eq!(head.lines().unwrap().len(), 4);
}

/// G12: a message that changes nothing makes a warm turn look again: at the head alone, unless somebody has written it.
#[test]
fn g12_a_look_that_finds_nothing_new_reads_no_payload() {
    let world = World::new();
    let (watched, ports) = Watched::wrap(&world.ports);
    let orchestrator = orchestrator(&ports);
    start(&world, 10);
    turn_all(&orchestrator);
    world.work_with(&world.ports, Arc::new(Make::Text(100 * KIB)));
    turn_all(&orchestrator);
    let twice = r#"{"type":"signal","id":"a","name":"note","request_id":"n"}"#;
    world.send(twice);
    turn_all(&orchestrator);
    watched.take();
    world.send(twice);
    turn_all(&orchestrator);
    assert_eq!(watched.take(), ["get history"]);
}

/// G1, as it were: first the object, then the commit that refers to it. What a lost commit leaves is found again.
#[test]
fn g5_whatever_becomes_of_the_commit_the_payload_is_there() {
    for (write, more) in [
        (Write::ReplyLost, &["get history", "get payload"][..]),
        (Write::Lost, &["get history", "put payload", "put history"]),
        (Write::Refused, &["get history", "put payload", "put history"]),
        (Write::Busy, &["put history"]),
    ] {
        let world = World::new();
        let (faults, faulty) = Faulty::wrap(&world.ports);
        let (watched, ports) = Watched::wrap(&faulty);
        let orchestrator = orchestrator(&ports);
        start(&world, 10);
        turn_all(&orchestrator);
        world.work_with(&world.ports, Arc::new(Make::Text(100 * KIB)));
        faults.next_write(write);
        watched.take();
        turn_all(&orchestrator);
        let expected = [&["put payload", "put history"], more].concat();
        assert_eq!(watched.take(), expected, "{write:?}");
        world.work_with(&ports, Arc::new(Make::Text(0)));
        turn_all(&orchestrator);
        assert_eq!(world.status("a"), "completed", "{write:?}");
        assert_eq!(payloads(&world).len(), 1, "{write:?}");
    }
}

/// A commit that is lost for good leaves an object that nobody refers to, under the run, with which it is removed.
#[test]
fn what_a_lost_turn_has_written_lies_under_its_run() {
    let world = World::new();
    let (faults, ports) = Faulty::wrap(&world.ports);
    begin(&world);
    turn_all(&orchestrator(&ports));
    faults.next_write(Write::Down);
    signal(&world, "note", 100 * KIB);
    turn_all(&orchestrator(&ports));
    assert_eq!(world.events("a"), ["RunStarted"]);
    let head = block_on(world.client().head(&id(), None)).unwrap();
    let run = keys().archive(&id(), head.header.run_id);
    let run = run.trim_end_matches("history");
    let [orphan] = &payloads(&world)[..] else { panic!("{:?}", payloads(&world)) };
    assert!(orphan.starts_with(run), "{orphan}");
    world.clock.advance(Duration::from_secs(60));
    turn_all(&orchestrator(&ports));
    assert_eq!(world.events("a"), ["RunStarted", "SignalReceived"]);
    assert_eq!(payloads(&world).len(), 1, "the same object");
}

#[test]
fn a_payload_that_is_lost_or_another_one_is_named_and_its_run_left_alone() {
    let world = World::new();
    with_result(&world, 100 * KIB);
    world.work_with(&world.ports, Arc::new(Make::Text(0)));
    let [key] = &payloads(&world)[..] else { panic!("{:?}", payloads(&world)) };
    let whole = block_on(world.ports.store.get(key)).unwrap().unwrap().body;
    let mut other = whole.to_vec();
    other[5] ^= 1;
    for (object, said) in [
        (None, "it is missing"),
        (Some(whole.slice(..100)), "it has 100 bytes instead of 102402"),
        (Some(other.into()), "its content is not what its name says"),
    ] {
        set(&world, key, object);
        let error = block_on(world.client().history(&id(), None)).unwrap_err();
        let ClientError::Load(LoadError::Corrupt(corrupt)) = &error else { panic!("{error:?}") };
        assert_eq!(&corrupt.key, key);
        assert_eq!(
            error.to_string(),
            format!(
                "the history `{key}` is corrupt: of event 3 this is the `result`, and {said}; the run is left alone until \
                 the object is restored"
            )
        );
        let orchestrator = orchestrator(&world.ports);
        turn_all(&orchestrator);
        assert_eq!(orchestrator.stats().turns_failed, 1, "{said}");
        assert_eq!(world.status("a"), "running");
        world.clock.advance(Duration::from_secs(3600));
    }
    set(&world, key, Some(whole));
    turn_all(&orchestrator(&world.ports));
    // The message has come so often that the code was not run at once (G9).
    world.clock.advance(Duration::from_secs(5));
    turn_all(&orchestrator(&world.ports));
    assert_eq!(world.status("a"), "completed", "nothing was lost");
}

fn set(world: &World, key: &str, object: Option<Bytes>) {
    match object {
        Some(object) => block_on(world.ports.store.put(key, object, Condition::Always)).map(drop).unwrap(),
        None => block_on(world.ports.store.delete(key)).unwrap(),
    }
}

#[test]
fn what_is_sealed_stays_a_reference() {
    let world = World::new();
    let orchestrator = orchestrator(&world.ports);
    begin(&world);
    for n in 0..4 {
        signal(&world, "note", 100 * KIB + n);
        for _ in 0..2 {
            signal(&world, "note", 20 * KIB + n);
        }
        turn_all(&orchestrator);
    }
    let head = block_on(world.client().head(&id(), None)).unwrap();
    assert!(!head.header.parts.is_empty());
    assert_eq!(payloads(&world).len(), 4);
    let (watched, ports) = Watched::wrap(&world.ports);
    signal(&world, "note", 100 * KIB);
    turn_all(&self::orchestrator(&ports));
    let seen = watched.take();
    let count = |what: &str| seen.iter().filter(|seen| *seen == what).count();
    assert_eq!((count("get payload"), count("put payload")), (4, 0), "{seen:?}");
    assert_eq!(events(&world).len(), 14);
}

/// Each run refers to objects of its own: either can be removed without the other.
#[test]
fn a_run_that_continues_has_its_input_under_its_own_prefix() {
    let world = World::new();
    let orchestrator = orchestrator(&world.ports);
    begin(&world);
    turn_all(&orchestrator);
    let first = block_on(world.client().head(&id(), None)).unwrap().header.run_id;
    signal(&world, "next", 100 * KIB);
    turn_all(&orchestrator);
    signal(&world, "note", 1);
    turn_all(&orchestrator);
    let second = block_on(world.client().head(&id(), None)).unwrap().header.run_id;
    assert_ne!(first, second);
    let objects = payloads(&world);
    assert_eq!(objects.len(), 2, "{objects:?}");
    for run in [first, second] {
        assert_eq!(objects.iter().filter(|key| key.contains(&run.to_string())).count(), 1, "{objects:?}");
    }
    let own: Vec<_> = objects.iter().filter(|key| key.contains(&first.to_string())).collect();
    let (_, events) = block_on(world.client().history(&id(), Some(first))).unwrap();
    assert_eq!(events.len(), 3, "the archive is whole");
    set(&world, own[0], None);
    assert!(block_on(world.client().history(&id(), Some(first))).is_err());
    let (_, events) = block_on(world.client().history(&id(), None)).unwrap();
    let EventKind::RunStarted(e) = &events[0].kind else { panic!("{events:?}") };
    assert_eq!(e.input.read::<String>().unwrap().len(), 100 * KIB);
}

/// Nothing loops: an attempt is made once, and the message says what to do.
#[test]
fn a_result_that_is_too_large_fails_the_activity_for_good() {
    for (bytes, kind) in [(5 << 20, None), (TOO_LARGE, Some("OutcomeRefused"))] {
        let world = World::new();
        with_result(&world, bytes);
        match (last(&world), kind) {
            (EventKind::ActivityScheduled(e), None) => assert_eq!(e.input.size_bytes(), bytes + 2),
            (EventKind::RunFailed(e), Some(kind)) => {
                let failure = e.fault.application().unwrap();
                assert!(e.fault.is(kind) && failure.non_retryable, "{failure:?}");
                let said = format!("the result of activity `make` has {} bytes", bytes + 2);
                assert!(failure.message.starts_with(&said), "{failure}");
                assert!(
                    failure.message.ends_with("store it, in a file or an object, and return its name"),
                    "{failure}"
                );
                assert_eq!(world.memory.all_messages().values().sum::<usize>(), 0);
            }
            (last, _) => panic!("{bytes}: {last:?}"),
        }
    }
}

#[test]
fn details_that_are_too_large_are_left_out_and_the_failure_says_so() {
    let world = World::new();
    let orchestrator = orchestrator(&world.ports);
    start(&world, 10);
    turn_all(&orchestrator);
    world.work_with(&world.ports, Arc::new(Make::Failure(TOO_LARGE)));
    turn_all(&orchestrator);
    let EventKind::RunFailed(e) = last(&world) else { panic!("{:?}", last(&world)) };
    let failure = e.fault.application().unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str(), &failure.details), ("Boom", "no", &None));
    assert!(failure.causes[0].starts_with("its details had 16777219 bytes"), "{failure:?}");
}

#[test]
fn a_local_result_that_is_too_large_fails_the_call() {
    let world = World::new();
    let orchestrator = orchestrator(&world.ports);
    begin(&world);
    signal(&world, "local", 1);
    turn_all(&orchestrator);
    let EventKind::RunFailed(e) = last(&world) else { panic!("{:?}", last(&world)) };
    assert!(e.fault.is("OutcomeRefused"), "{}", e.fault);
}

#[test]
fn an_input_that_is_too_large_fails_the_call() {
    let world = World::new();
    let large = orchestrator_of(&world.ports, <dyn Queues>::LARGEST_BODY_BYTES);
    begin(&world);
    signal(&world, "call", 1);
    turn_all(&large);
    let EventKind::RunFailed(e) = last(&world) else { panic!("{:?}", last(&world)) };
    let said = "task queue `cpu` refused the task of activity `make`, whose input has 17825794 bytes";
    assert!(e.fault.is("TaskRefused") && e.fault.to_string().contains(said), "{}", e.fault);
}

/// G9: what the workflow makes, and no queue would refuse, blocks the run; code that makes less lets it go on.
#[test]
fn g9_a_workflow_whose_result_is_too_large_waits_for_better_code() {
    let world = World::new();
    let large = orchestrator_of(&world.ports, TOO_LARGE);
    begin(&world);
    signal(&world, "end", 1);
    turn_all(&large);
    let header = block_on(world.client().head(&id(), None)).unwrap().header;
    let reason = header.blocked.expect("blocked").reason;
    assert_eq!(
        reason,
        Blocked::TooLarge { what: "the workflow's result".into(), bytes: TOO_LARGE as u64 + 2 }
    );
    assert!(reason.to_string().contains("and a payload may have 16777216 (16 MiB)"), "{reason}");
    assert_eq!(world.events("a"), ["RunStarted", "SignalReceived", "RunBlocked"]);
    world.send(r#"{"type":"resume","id":"a"}"#);
    turn_all(&large);
    assert_eq!(world.events("a").last().unwrap(), "ResumeRequested", "the same trouble is recorded once");
    world.send(r#"{"type":"resume","id":"a"}"#);
    turn_all(&orchestrator(&world.ports));
    assert_eq!(world.status("a"), "completed");
}
