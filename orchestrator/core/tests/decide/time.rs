//! G8: turn time = max(clock, last event's time).

use crate::script::*;

#[test]
fn g8_a_clock_that_goes_back_does_not_turn_the_log_back() {
    let mut world = World::started([(On::Signal("a"), [schedule(1, "a"), sleep(1, 10)].into())]);
    world.now = 100.0;
    world.turn(&[signal("s1", "x")]);
    world.now = 50.0; // another machine
    world.expect(
        [signal("s2", "a")],
        [
            "SignalReceived a 1",
            "ActivityScheduled 1 a",
            "TimerStarted 1 until 110.0s",
            "→ task 1#1 at 100.0s [r:s2]",
            "→ timer 1 at 110.0s [r:s2]",
            "= Absorbed",
        ],
    );
    world.expect(
        [failed(1, 1)],
        ["ActivityAttemptFailed 1 #1, #2 at 101.0s", "→ task 1#2 at 101.0s [a:1:1]", "= Absorbed"],
    );
}

#[test]
fn g8_a_clock_that_goes_back_makes_nothing_early_that_was_late() {
    let mut world = World::started([(On::Started, [sleep(1, 60)].into())]);
    world.now = 100.0;
    world.turn(&[signal("s1", "x")]);
    world.now = 50.0;
    world.expect([timer(1)], ["TimerFired 1", "= Absorbed"]);
}
