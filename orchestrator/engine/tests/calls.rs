//! What a step costs: calls counted exactly (DESIGN §11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod toy;

use millrace_engine::Stats;
use millrace_engine::ports::Counting;
use toy::{World, turn_all};

#[test]
fn g12_a_warm_step_is_one_put_no_get_and_two_messages() {
    let world = World::new();
    let (counting, ports) = Counting::wrap(&world.ports);
    let orchestrator = world.orchestrator(&ports);
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":20}"#);
    turn_all(&orchestrator);
    let before = counting.counts();
    for _ in 0..10 {
        world.work(&ports);
        turn_all(&orchestrator);
    }
    let used = counting.counts() - before;
    assert_eq!(
        (used.puts, used.puts_failed, used.gets, used.lists, used.deletes),
        (10, 0, 0, 0, 0),
        "{used:?}"
    );
    assert_eq!((used.sends, used.messages_sent), (20, 20), "a task and an outcome for each step");
    assert_eq!((used.receives, used.messages_received), (20, 20));
    assert_eq!((used.queue_deletes, used.messages_deleted), (20, 20));
}

#[test]
fn g12_a_cold_turn_reads_once() {
    let world = World::new();
    let (counting, ports) = Counting::wrap(&world.ports);
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":20}"#);
    turn_all(&world.orchestrator(&ports));
    world.work(&ports);
    let before = counting.counts();
    turn_all(&world.orchestrator(&ports));
    let used = counting.counts() - before;
    assert_eq!((used.gets, used.puts), (1, 1), "{used:?}");
}

/// Recorded, whatever the orchestrator knows of the run.
const SIGNAL: &str = r#"{"type":"signal","id":"a","name":"x","request_id":"x"}"#;

#[test]
fn g5_a_lost_race_reads_once() {
    let world = World::new();
    let (counting, ports) = Counting::wrap(&world.ports);
    let (one, two) = (world.orchestrator(&ports), world.orchestrator(&world.ports));
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":20}"#);
    turn_all(&one);
    world.work(&world.ports);
    turn_all(&two); // now the first one's cache is stale
    world.send(SIGNAL);
    let before = counting.counts();
    turn_all(&one);
    let used = counting.counts() - before;
    assert_eq!(
        (used.gets, used.puts, used.puts_failed),
        (1, 2, 1),
        "what the loser read is what it decides on"
    );
    assert_eq!(world.events("a").len(), 5, "nothing is lost");
}

#[test]
fn an_orchestrator_counts_what_it_does() {
    let world = World::new();
    let (one, two) = (world.orchestrator(&world.ports), world.orchestrator(&world.ports));
    world.send(r#"{"type":"start","workflow":"chain","id":"a","input":2}"#);
    world.send(r#"{"type":"start","workflow":"nope","id":"b"}"#);
    world.send("no JSON");
    turn_all(&one);
    let stats = Stats { turns: 2, messages: 3, dead_lettered: 1, runs_blocked: 1, ..Stats::default() };
    assert_eq!(one.stats(), stats);
    world.work(&world.ports);
    turn_all(&two);
    world.send(SIGNAL);
    let before = one.stats();
    turn_all(&one);
    assert_eq!(one.stats() - before, Stats { turns: 1, conflicts: 1, messages: 1, ..Stats::default() });
    world.send(r#"{"type":"signal","id":"later","name":"go"}"#);
    turn_all(&two);
    assert_eq!(two.stats(), Stats { turns: 1, messages: 1, given_back: 1, ..Stats::default() });
    let json = serde_json::to_value(two.stats()).unwrap();
    assert_eq!((&json["turns"], &json["turns_failed"]), (&1.into(), &0.into()));
}
