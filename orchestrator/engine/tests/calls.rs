//! What a step costs: calls counted exactly (DESIGN §11).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may, and so may what they share"
)]

mod toy;

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
