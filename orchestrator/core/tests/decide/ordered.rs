//! Signals that name the one before them.

use millrace_core::decide::WAIT_FOR_TURN;

use crate::script::*;

fn listening() -> World {
    World::started([(On::Signal("b"), [complete("1")].into())])
}

#[test]
fn a_signal_waits_for_the_one_before_it() {
    let mut world = listening();
    world.expect([signal_after("2", "b", Some("1"))], ["= Wait"]);
    world.expect([signal_after("1", "a", None)], ["SignalReceived a 1", "= Absorbed"]);
    let lines = world.lines(&[times(2, signal_after("2", "b", Some("1")))]);
    assert_eq!(lines[..2], ["SignalReceived b 1", "RunCompleted 1"]);
}

#[test]
fn within_one_batch_the_order_is_put_right() {
    let mut world = World::started([]);
    let batch = [
        signal_after("4", "d", Some("3")),
        signal_after("3", "c", Some("2")),
        signal_after("1", "a", None),
        signal_after("2", "b", Some("1")),
        signal_after("9", "z", Some("8")),
    ];
    world.expect(
        batch,
        [
            "SignalReceived a 1",
            "SignalReceived b 1",
            "SignalReceived c 1",
            "SignalReceived d 1",
            "= Absorbed",
            "= Absorbed",
            "= Absorbed",
            "= Absorbed",
            "= Wait",
        ],
    );
}

#[test]
fn the_one_before_may_have_been_absorbed_by_an_earlier_run() {
    let mut world = World::started([
        (On::Signal("a"), [continue_as_new("1")].into()),
        (On::Signal("b"), [complete("1")].into()),
    ]);
    world.turns(&[signal_after("1", "a", None)]);
    let lines = world.turns(&[signal_after("2", "b", Some("1"))]);
    assert_eq!(lines[..2], ["SignalReceived b 1", "RunCompleted 1"]);
}

#[test]
fn g9_waiting_makes_nothing_suspect_and_has_an_end() {
    let mut world = listening();
    world.expect([times(WAIT_FOR_TURN - 1, signal_after("2", "b", Some("1")))], ["= Wait"]);
    world.expect([times(WAIT_FOR_TURN, signal_after("2", "b", Some("1")))], ["= Rejected after"]);
    world.turn(&[signal_after("1", "a", None)]);
    let lines = world.lines(&[times(WAIT_FOR_TURN, signal_after("2", "b", Some("1")))]);
    assert_eq!(lines[..2], ["SignalReceived b 1", "RunCompleted 1"]);
}

#[test]
fn g4_a_waiting_signal_that_went_on_with_a_run_does_its_turn_again() {
    let mut world = World::started([
        (On::Started, [schedule(1, "listen")].into()),
        (On::Signal("a"), [continue_as_new("1")].into()),
    ]);
    world.turn(&[signal("1", "a")]); // Its second half is lost with the process.
    world.of_an_older_build();
    world.entropy += 1;
    let waiting = signal_after("3", "c", Some("2"));
    let lines = world.lines(std::slice::from_ref(&waiting));
    assert_eq!(lines.last().map(String::as_str), Some("= Wait"));
    assert_eq!(world.guarded("r:3").len(), 2, "the task and the index entry: {lines:?}");
    // Whether it still waits or not when it comes again, the host does what is still open of its guard.
    world.expect([waiting.clone()], ["= Wait"]);
    world.turn(&[signal("2", "b")]);
    world.expect([times(3, waiting)], ["SignalReceived c 1", "= Absorbed"]);
    assert_eq!(world.guarded("r:3").len(), 2);
}
