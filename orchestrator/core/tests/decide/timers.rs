//! Timers: early ones come again, fired ones count once, canceled ones are void.

use millrace_core::Command;

use crate::script::*;

fn nap() -> World {
    World::started([
        (On::Started, [sleep(1, 60)].into()),
        (On::Fired(1), [complete("null")].into()),
        (On::Signal("up"), [Command::CancelTimer(1)].into()),
    ])
}

#[test]
fn sleep_suspends() {
    let mut world = World::new([(On::Started, [sleep(1, 60)].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "TimerStarted 1 until 60.0s",
            "→ timer 1 at 60.0s [r:start]",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn an_early_timer_comes_again_without_a_commit() {
    let mut world = nap();
    world.now = 59.9;
    world.expect([timer(1)], ["= Early 60.0s"]);
}

#[test]
fn sleep_completed() {
    let mut world = nap();
    world.now = 60.0;
    world.expect([timer(1)], ["TimerFired 1", "RunCompleted null", "→ index closed [t:1]", "= Absorbed"]);
}

#[test]
fn g2_a_timer_fires_once() {
    let mut world = World::started([(On::Started, [sleep(1, 60), sleep(2, 90)].into())]);
    world.now = 95.0;
    world.expect(
        [timer(2), timer(1), timer(2)],
        ["TimerFired 2", "TimerFired 1", "= Absorbed", "= Absorbed", "= Repeated"],
    );
    world.expect([timer(1), timer(3)], ["= Repeated", "= Repeated"]);
}

#[test]
fn g7_a_canceled_timer_does_not_fire() {
    let mut world = nap();
    world.expect([signal("s1", "up")], ["SignalReceived up 1", "TimerCanceled 1", "= Absorbed"]);
    assert_eq!(world.guarded("r:start"), ["→ index open [r:start]"]);
    world.now = 61.0;
    world.expect([timer(1)], ["= Repeated"]);
}

#[test]
fn a_timer_that_its_own_turn_canceled_is_never_sent() {
    let mut world = World::new([(On::Started, [sleep(1, 60), Command::CancelTimer(1)].into())]);
    world.expect(
        [plain("start")],
        [
            "RunStarted",
            "TimerStarted 1 until 60.0s",
            "TimerCanceled 1",
            "→ index open [r:start]",
            "= Absorbed",
        ],
    );
}

#[test]
fn g8_a_time_beyond_the_calendar_is_its_end() {
    let world = World::started([(On::Started, [sleep(1, u64::MAX)].into())]);
    let due = world.run().timers[&1];
    assert_eq!(due, due.to_string().parse().unwrap());
}
